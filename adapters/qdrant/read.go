package qdrant

import (
	"context"

	"github.com/qdrant/go-client/qdrant"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// Get fetches points by key.
func (s *Store) Get(ctx context.Context, collection string, keys []search.Key, f search.Fields) ([]search.Point, error) {
	if err := s.begin(ctx, "get"); err != nil {
		return nil, err
	}
	defer s.end()
	c, err := s.lookup(ctx, collection)
	if err != nil {
		return nil, err
	}
	points, err := s.fetch(ctx, c, keys, f)
	s.forget(collection, err)
	return points, err
}

// fetch reads points in the order of their keys.
func (s *Store) fetch(ctx context.Context, c *collection, keys []search.Key, f search.Fields) ([]search.Point, error) {
	ids := c.pointIDs(keys)
	switch {
	case c.external != nil && c.external.ID != "":
		return s.fetchNamed(ctx, c, keys, f)
	case len(ids) == 0:
		return nil, nil
	}
	resp, err := s.points().Get(ctx, &qdrant.GetPoints{
		CollectionName: c.engine, Ids: ids, WithPayload: c.wanted(f), WithVectors: qdrant.NewWithVectors(f.Vector),
		ReadConsistency: s.consistency, ShardKeySelector: s.shard, Timeout: seconds(ctx),
	})
	if err != nil {
		return nil, s.classify(ctx, "get from "+c.engine, err)
	}
	found := make(map[search.Key]search.Point, len(resp.GetResult()))
	for _, p := range resp.GetResult() {
		if c.external != nil || !isMark(p.GetPayload()) {
			found[c.keyOf(p)] = c.decode(p, f)
		}
	}
	return inOrder(keys, found), nil
}

// pointIDs are where keys lie, without those that no point can have.
func (c *collection) pointIDs(keys []search.Key) []*qdrant.PointId {
	ids := make([]*qdrant.PointId, 0, len(keys))
	for _, k := range keys {
		if checkKey(k) != nil {
			continue
		}
		if id := c.pointID(k); id != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

func inOrder(keys []search.Key, found map[search.Key]search.Point) []search.Point {
	points := make([]search.Point, 0, len(found))
	for _, k := range keys {
		if p, ok := found[k]; ok {
			points = append(points, p)
		}
	}
	return points
}

// fetchNamed reads points of an external collection whose ids stand in the payload.
func (s *Store) fetchNamed(ctx context.Context, c *collection, keys []search.Key, f search.Fields) ([]search.Point, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	resp, err := s.points().Scroll(ctx, &qdrant.ScrollPoints{
		CollectionName: c.engine, Filter: &qdrant.Filter{Must: []*qdrant.Condition{c.named(keys)}}, Limit: new(uint32(len(keys))), //nolint:gosec // a page
		WithPayload: c.wanted(f), WithVectors: qdrant.NewWithVectors(f.Vector),
		ReadConsistency: s.consistency, ShardKeySelector: s.shard, Timeout: seconds(ctx),
	})
	if err != nil {
		return nil, s.classify(ctx, "get from "+c.engine, err)
	}
	found := make(map[search.Key]search.Point, len(resp.GetResult()))
	for _, p := range resp.GetResult() {
		found[c.keyOf(p)] = c.decode(p, f)
	}
	return inOrder(keys, found), nil
}

// Count counts a tenant's points that match a filter, exactly.
func (s *Store) Count(ctx context.Context, collection, tenant string, f search.Filter) (int, error) {
	if err := s.begin(ctx, "count"); err != nil {
		return 0, err
	}
	defer s.end()
	c, err := s.lookup(ctx, collection)
	if err != nil {
		return 0, err
	}
	filter, err := c.filter(&tenant, f)
	if err != nil {
		return 0, err
	}
	n, err := s.count(ctx, c, filter)
	s.forget(collection, err)
	return n, err
}

// tenantFilter is live for one tenant.
func tenantFilter(tenant string, f search.Filter) (*qdrant.Filter, error) {
	if err := checkText("/tenant", tenant); err != nil {
		return nil, err
	}
	return live(&tenant, f)
}

func (s *Store) count(ctx context.Context, c *collection, f *qdrant.Filter) (int, error) {
	resp, err := s.points().Count(ctx, &qdrant.CountPoints{
		CollectionName: c.engine, Filter: f, Exact: new(true),
		ReadConsistency: s.consistency, ShardKeySelector: s.shard, Timeout: seconds(ctx),
	})
	if err != nil {
		return 0, s.classify(ctx, "count in "+c.engine, err)
	}
	return int(resp.GetResult().GetCount()), nil
}

// Scroll fetches a page of a collection in key order. Qdrant keeps points in the
// order of its own ids, so the keys are read first, many pages' worth in one pass,
// and remembered for the pages that follow; a write through this store makes it
// read them again.
func (s *Store) Scroll(ctx context.Context, scan search.Scan) (search.Page, error) {
	if err := s.begin(ctx, "scroll"); err != nil {
		return search.Page{}, err
	}
	defer s.end()
	if scan.Limit < 1 {
		return search.Page{}, fault.BadField("/limit", "is %d, it must be at least 1", scan.Limit)
	}
	c, err := s.lookup(ctx, scan.Collection)
	if err != nil {
		return search.Page{}, err
	}
	page, err := s.page(ctx, c, scan)
	s.forget(scan.Collection, err)
	return page, err
}

// page goes on until there is a point: those of a whole page may be gone.
func (s *Store) page(ctx context.Context, c *collection, scan search.Scan) (search.Page, error) {
	for {
		w, err := s.window(ctx, c, scan)
		if err != nil {
			return search.Page{}, err
		}
		n := min(scan.Limit, len(w.keys))
		points, err := s.fetch(ctx, c, w.keys[:n], scan.Fields)
		if err != nil {
			return search.Page{}, err
		}
		rest := window{keys: w.keys[n:], more: w.more, read: w.read}
		more := len(rest.keys) > 0 || rest.more
		if n > 0 {
			scan.After = w.keys[n-1]
		}
		if more {
			s.windows.put(windowOf(scan), rest)
		}
		if len(points) > 0 || !more {
			return search.Page{Points: points, More: more}, nil
		}
	}
}
