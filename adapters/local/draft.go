package local

import (
	"slices"

	"go.etcd.io/bbolt"

	"github.com/lanewise/lanewise/search"
)

// draft is a collection that is being changed by one edit. Readers see nothing
// of it until it is done and its snapshot published.
type draft struct {
	c          *collection // own copy
	by         *edition
	parts      map[string]*partDraft // those that were touched
	rows, docs *bbolt.Bucket
	since      uint64 // number of the snapshot that is being made
	graves     []grave
	marks      []mark
	fresh      int64 // about the memory of sparse vectors that the header does not count yet
}

// partDraft is a tenant's part that is being changed.
type partDraft struct {
	part
	by   *edition
	name string // the tenant
	dims int
	cols int                  // indexed fields
	own  []bool               // block i has a bitmap of its own
	news map[uint32][]posting // by term: not yet in the lexicon
}

func newDraft(c *collection, by *edition) *draft {
	own := *c
	return &draft{c: &own, by: by, parts: map[string]*partDraft{}}
}

// part returns the draft of a tenant's part.
func (d *draft) part(tenant string) *partDraft {
	if p, ok := d.parts[tenant]; ok {
		return p
	}
	p := &partDraft{by: d.by, name: tenant, dims: d.c.head.Collection.Dims, cols: len(d.c.columns)}
	if old, ok := d.c.tenants.get(tenant); ok {
		p.part = *old
		p.blocks = slices.Clone(old.blocks)
	}
	p.own = make([]bool, len(p.blocks))
	d.parts[tenant] = p
	return p
}

// done returns the changed collection.
func (d *draft) done() *collection {
	for tenant, p := range d.parts {
		old, ok := d.c.tenants.get(tenant)
		if ok {
			d.c.points -= old.points
			d.c.digest -= old.digest
			d.c.words -= old.words.bytes
		}
		p.learn()
		p.pack()
		d.c.points += p.points
		d.c.digest += p.digest
		d.c.words += p.words.bytes
		if p.ids.size == 0 {
			d.c.words -= p.words.bytes
			d.c.tenants.remove(d.by, tenant)
			continue
		}
		final := p.part
		d.c.tenants.put(d.by, tenant, &final)
	}
	d.c.head.Words = d.c.words
	return d.c
}

// forget makes the row of a slot stand for nothing.
func (p *partDraft) forget(old slot) {
	if old.deleted() {
		return
	}
	b := &p.blocks[old.block]
	if !p.own[old.block] {
		b.live = slices.Clone(b.live)
		p.own[old.block] = true
	}
	b.live[old.row/64] &^= 1 << (old.row % 64)
	p.points--
	p.digest -= search.Digest(search.Key{Tenant: p.name, ID: b.ids[old.row]}, b.versions[old.row])
	p.dead++
	if b.worded[old.row] {
		p.words.docs--
	}
}

// grow returns a chunk and the index of a free row in it, at the end of the part.
func (p *partDraft) grow() (*chunk, int) {
	last := len(p.blocks) - 1
	if last < 0 || p.blocks[last].n == len(p.blocks[last].ids) {
		rows := min(max(p.points+p.dead, smallestChunk), largestChunk)
		p.blocks = append(p.blocks, block{chunk: newChunk(p.dims, p.cols, rows), live: make([]uint64, (rows+63)/64)})
		p.own = append(p.own, true)
		last++
	}
	b := &p.blocks[last]
	if !p.own[last] {
		b.live = slices.Clone(b.live)
		p.own[last] = true
	}
	return b.chunk, b.n
}

// settle completes the row that grow returned, whose vector is filled in, and
// makes it stand for id.
func (p *partDraft) settle(m search.Metric, id string, at slot, doc bool) {
	at.block = int32(len(p.blocks) - 1) //nolint:gosec // memory ends before int32 does
	b := &p.blocks[at.block]
	at.row = int32(b.n) //nolint:gosec // at most largestChunk
	b.ids[b.n], b.versions[b.n], b.records[b.n], b.docs[b.n] = id, at.version, at.record, doc
	if !b.bare[b.n] {
		b.norms[b.n] = rowNorm(m, b.vector(b.n))
	}
	b.live[b.n/64] |= 1 << (b.n % 64)
	b.n++
	p.points++
	p.digest += search.Digest(search.Key{Tenant: p.name, ID: id}, at.version)
	p.ids.put(p.by, id, at)
}
