package weaviate

import (
	"strconv"
	"strings"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// fence adds the object that keeps the epoch of a collection. It has neither key nor term,
// so no query meets it.
func (d *draft) fence(c *class, epoch uint64) {
	d.text(fenceProperty, strconv.FormatUint(epoch, 10))
	d.number(fencedProperty, 1)
	d.end(c, fenceID, nil)
}

// flushed adds an object that follows every write. Weaviate writes the log of the vectors out
// only with the next batch: killed before that, it has the objects and their digests, and
// searches without the last vectors for ever after (1.35, seen with SIGKILL). As the mark of a
// deletion it is no point, and it has no vector itself. It tells the newest version of any write.
func (d *draft) flushed(c *class, newest search.Version) {
	const endOfTime = 1 << 40 // later than any deletion that is forgotten
	d.mark(newest, endOfTime)
	d.end(c, flushID, nil)
}

// mark writes what the mark of a deletion consists of; when is in seconds.
func (d *draft) mark(v search.Version, when int64) {
	d.text(goneProperty, string(appendVersion(nil, v)))
	d.number(markProperty, when)
}

// change adds what a change stores: a point, or the mark of a deletion, which has neither key
// nor term.
func (d *draft) change(c *class, id string, ch *change) {
	p := ch.point
	if p == nil {
		d.mark(ch.version, time.Now().Unix())
		d.end(c, id, nil)
		return
	}
	d.text(keyProperty, pointText(p.Key, p.Version))
	d.text(tenantProperty, term(tenantTerm, p.Tenant, ""))
	d.text(textProperty, p.Text)
	d.text(metaProperty, string(p.Meta))
	d.text(sparseProperty, packSparse(p.Sparse))
	if c.digest {
		d.number(digestProperty, int64(search.Digest(p.Key, p.Version)&digestMask))
	}
	d.indexed(c, &ch.indexed)
	d.end(c, id, p.Dense)
}

// indexed writes the properties that filters look at.
func (d *draft) indexed(c *class, x *indexed) {
	terms := x.terms
	for name, o := range x.orders {
		if c.orders[name] {
			d.list(name, o.values)
		} else {
			terms = append(terms, o.terms()...)
		}
	}
	if len(terms) > 0 {
		d.list(termsProperty, terms)
	}
}

// classOfObject reads why the server refused one object of a batch.
func classOfObject(text string) fault.Class {
	if text = strings.ToLower(text); strings.Contains(text, "wrong size") || strings.Contains(text, "dimension") {
		return fault.Invalid
	}
	return classOfText(text)
}
