package local

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// withDocuments calls f with the documents of a collection, or with nil where
// none of the fields is in a document.
func (s *Store) withDocuments(c *collection, f search.Fields, read func(*shelf) error) error {
	if !f.Text && !f.Meta && !f.Vector {
		return read(nil)
	}
	return s.read(c, read)
}

// point returns the point in a row, with the fields that were asked for. What it
// returns is the caller's.
func (b block) point(tenant string, row int, f search.Fields, h *shelf) (search.Point, error) {
	p := search.Point{Key: search.Key{Tenant: tenant, ID: b.ids[row]}, Version: b.versions[row]}
	if f.Vector && !b.bare[row] {
		p.Dense = slices.Clone(b.vector(row))
	}
	if h == nil || !b.docs[row] {
		return p, nil
	}
	d, err := h.document(b.records[row])
	if err != nil {
		return p, err
	}
	if f.Text {
		p.Text = string(d.text)
	}
	if f.Meta && len(d.meta) > 0 {
		p.Meta = json.RawMessage(slices.Clone(d.meta))
	}
	if f.Vector {
		p.Sparse = d.sparse
	}
	return p, nil
}

// Get fetches points by key, in the order of the keys.
func (s *Store) Get(ctx context.Context, collection string, keys []search.Key, f search.Fields) ([]search.Point, error) {
	st, c, err := s.look(ctx, collection)
	if err != nil {
		return nil, err
	}
	defer st.release()
	points := make([]search.Point, 0, len(keys))
	err = s.withDocuments(c, f, func(h *shelf) error {
		for _, k := range keys {
			part, at, ok := c.find(k)
			if !ok {
				continue
			}
			p, err := part.blocks[at.block].point(k.Tenant, int(at.row), f, h)
			if err != nil {
				return err
			}
			points = append(points, p)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return points, nil
}

// find returns the place of a point that is there.
func (c *collection) find(k search.Key) (*part, slot, bool) {
	part, ok := c.tenants.get(k.Tenant)
	if !ok {
		return nil, slot{}, false
	}
	at, ok := part.ids.get(k.ID)
	return part, at, ok && !at.deleted()
}

// Count counts the points of a tenant that match the filter.
func (s *Store) Count(ctx context.Context, collection, tenant string, f search.Filter) (int, error) {
	st, c, err := s.look(ctx, collection)
	if err != nil {
		return 0, err
	}
	defer st.release()
	part, ok := c.tenants.get(tenant)
	if !ok {
		return 0, nil
	}
	if f.IsZero() {
		return part.points, nil
	}
	n := 0
	err = s.read(c, func(h *shelf) error {
		sv := newSieve(f, c.columns, h)
		for _, b := range part.blocks {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			for row := range b.n {
				if !b.isLive(row) {
					continue
				}
				ok, err := sv.look(b, row)
				if err != nil {
					return err
				}
				if ok {
					n++
				}
			}
		}
		return nil
	})
	return n, err
}

// Scroll returns one page of a collection in the order of the keys. The page is
// of one snapshot; the next one may be of a later one.
func (s *Store) Scroll(ctx context.Context, scan search.Scan) (search.Page, error) {
	if scan.Limit < 1 {
		return search.Page{}, fault.BadField("/limit", "is %d, it must be at least 1", scan.Limit)
	}
	st, c, err := s.look(ctx, scan.Collection)
	if err != nil {
		return search.Page{}, err
	}
	defer st.release()
	fields := scan.Fields
	if !scan.Filter.IsZero() {
		fields.Meta = true // opens the documents
	}
	w := walk{ctx: ctx, scan: &scan}
	err = s.withDocuments(c, fields, func(h *shelf) error {
		w.sieve = newSieve(scan.Filter, c.columns, h)
		w.collection(c)
		return w.err
	})
	if err != nil {
		return search.Page{}, err
	}
	return w.page, nil
}

// Stats of the snapshot.
func (st *state) stats(name string) ([]search.Stats, error) {
	if name != "" {
		c, ok := st.collections[name]
		if !ok {
			return nil, errNoCollection(name)
		}
		return []search.Stats{c.stats()}, nil
	}
	all := make([]search.Stats, 0, len(st.collections))
	for _, c := range st.collections {
		all = append(all, c.stats())
	}
	slices.SortFunc(all, func(a, b search.Stats) int {
		return strings.Compare(a.Collection.Name, b.Collection.Name)
	})
	return all, nil
}

func (c *collection) stats() search.Stats {
	return search.Stats{Collection: c.head.Collection, Points: c.points, Bytes: c.head.Bytes, Newest: c.head.Newest, Digest: c.digest}
}
