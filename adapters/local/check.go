package local

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/wellformed"
	"github.com/lanewise/lanewise/search"
)

// The longest names, in bytes, and the most dims.
const (
	longestName = 1024
	longestID   = 32 << 10
	mostDims    = 65536
)

// checkCollection validates a descriptor and writes its defaults out.
func checkCollection(c *search.Collection) error {
	switch {
	case c.Name == "" || len(c.Name) > longestName:
		return fault.BadField("/create/name", "has %d bytes, it needs 1 to %d", len(c.Name), longestName)
	case !utf8.ValidString(c.Name):
		return fault.BadField("/create/name", "is not valid UTF-8")
	case c.Dims < 1 || c.Dims > mostDims:
		return fault.BadField("/create/dims", "is %d, it must be 1 to %d", c.Dims, mostDims)
	case c.Metric != search.Cosine && c.Metric != search.Dot && c.Metric != search.Euclidean:
		return fault.BadField("/create/metric", "is %q, it must be cosine, dot or euclidean", c.Metric)
	}
	if c.Placement.By == "" {
		c.Placement.By = search.ByID
	}
	return nil
}

// sameCollection refuses a second, different Create.
func sameCollection(have, want search.Collection) error {
	if have.Accepts(want) {
		return nil
	}
	return fault.New(fault.Conflict, "collection %q is already there, as %+v and not as %+v", have.Name, have, want)
}

// checkBatch validates points and tombstones before any of them is applied.
func checkBatch(c *search.Collection, b *search.Batch) error {
	for i := range b.Upserts {
		if err := checkPoint(c, &b.Upserts[i]); err != nil {
			return within(fmt.Sprintf("/upserts/%d", i), err)
		}
	}
	for i := range b.Deletes {
		if err := checkKey(b.Deletes[i].Key); err != nil {
			return within(fmt.Sprintf("/deletes/%d", i), err)
		}
	}
	return nil
}

// within puts the place of a point before the field that err blames.
func within(at string, err error) error {
	if e, ok := errors.AsType[*fault.Error](err); ok {
		e.Field = at + e.Field // err was made for this call alone
	}
	return err
}

func checkKey(k search.Key) error {
	switch {
	case k.ID == "" || len(k.ID) > longestID:
		return fault.BadField("/id", "has %d bytes, it needs 1 to %d", len(k.ID), longestID)
	case len(k.Tenant) > longestID:
		return fault.BadField("/tenant", "has %d bytes, at most %d", len(k.Tenant), longestID)
	case !utf8.ValidString(k.ID):
		return fault.BadField("/id", "is not valid UTF-8")
	case !utf8.ValidString(k.Tenant):
		return fault.BadField("/tenant", "is not valid UTF-8")
	}
	return nil
}

// checkPoint refuses, among others, what JSON cannot carry: one such hit would take
// every answer with it that goes over HTTP.
func checkPoint(c *search.Collection, p *search.Point) error {
	if err := checkKey(p.Key); err != nil {
		return err
	}
	if len(p.Dense) > 0 {
		if err := wellformed.Dense("/dense", c.Dims, p.Dense); err != nil {
			return err
		}
	}
	if len(p.Meta) > 0 && !wellformed.Object(p.Meta) {
		return fault.BadField("/meta", "is not a JSON object")
	}
	if !utf8.ValidString(p.Text) {
		return fault.BadField("/text", "is not valid UTF-8")
	}
	return wellformed.Sparse("/sparse", p.Sparse)
}
