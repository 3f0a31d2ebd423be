package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// read asks one shard something other than a search, over the same balanced lane.
func read[R any](ctx context.Context, s *shard, what string, f func(context.Context, search.Store) (R, error)) (R, error) {
	return balance.Do(ctx, s.pool, balance.Call{Class: what, NoHedge: true},
		func(ctx context.Context, replica Replica) (R, error) {
			res, err := f(ctx, replica.Store)
			return res, s.theirs(err)
		})
}

// readAll asks several shards side by side, and needs all of them. f is told
// the position of the shard in the list.
func readAll[R any](t *topology, shards []int, f func(i int, s *shard) (R, error)) ([]R, error) {
	results := make([]R, len(shards))
	errs := scatter(len(shards), func(i int) (err error) {
		s := t.shards[shards[i]]
		if results[i], err = f(i, s); err != nil {
			return &ShardError{Shard: s.name, Reason: reason(err), Err: err}
		}
		return nil
	})
	return results, errors.Join(errs...)
}

// Get fetches points by key from the shards that own them. Points that are not
// there are left out; the others come in the order of the keys.
func (r *Router) Get(ctx context.Context, collection string, keys []search.Key, f search.Fields) ([]search.Point, error) {
	crowd, err := r.reads.enter(ctx, 1)
	if err != nil {
		return nil, err
	}
	defer r.reads.leave(crowd)
	t := r.topo.Load()
	c, ok := t.m.Collection(collection)
	if !ok {
		return nil, unknownCollection(collection)
	}
	wanted := map[int][]search.Key{} // by shard
	for _, k := range keys {
		if err := checkTenant(c, k.Tenant); err != nil {
			return nil, err
		}
		for _, shard := range t.holders(c, k) {
			wanted[shard] = append(wanted[shard], k)
		}
	}
	shards := slices.Sorted(maps.Keys(wanted))
	found, err := readAll(t, shards, func(i int, s *shard) ([]search.Point, error) {
		return read(ctx, s, "get", func(ctx context.Context, store search.Store) ([]search.Point, error) {
			return store.Get(ctx, c.Name, wanted[shards[i]], f)
		})
	})
	if err != nil {
		return nil, err
	}
	return inOrder(keys, found), nil
}

// holders lists the shards on which a key may be.
func (t *topology) holders(c search.Collection, k search.Key) []int {
	switch c.Placement.By {
	case search.ByKey, search.ByExternal:
		return t.m.Route(c, k.Tenant)
	default:
		return []int{t.m.Owner(c, k, nil)}
	}
}

// inOrder puts points into the order of their keys, the newest where a key was
// found twice.
func inOrder(keys []search.Key, found [][]search.Point) []search.Point {
	byKey := make(map[search.Key]search.Point, len(keys))
	for _, points := range found {
		for _, p := range points {
			if have, ok := byKey[p.Key]; !ok || p.Version > have.Version {
				byKey[p.Key] = p
			}
		}
	}
	out := make([]search.Point, 0, len(byKey))
	for _, k := range keys {
		if p, ok := byKey[k]; ok {
			out = append(out, p)
		}
	}
	return out
}

// Scroll walks through a collection in key order, over all shards that hold it.
func (r *Router) Scroll(ctx context.Context, s search.Scan) (search.Page, error) {
	crowd, err := r.reads.enter(ctx, 1)
	if err != nil {
		return search.Page{}, err
	}
	defer r.reads.leave(crowd)
	t := r.topo.Load()
	c, ok := t.m.Collection(s.Collection)
	switch {
	case !ok:
		return search.Page{}, unknownCollection(s.Collection)
	case s.Limit < 1 || s.Limit > MaxK:
		return search.Page{}, fault.BadField("/limit", "must be between 1 and %d, is %d", MaxK, s.Limit)
	}
	if !s.AllTenants {
		if err := checkTenant(c, s.Tenant); err != nil {
			return search.Page{}, err
		}
	}
	s.Collection = c.Name
	return scrollOn(ctx, t, c, s)
}

// scrollOn reads one page of a collection from the shards that hold its points.
func scrollOn(ctx context.Context, t *topology, c search.Collection, s search.Scan) (search.Page, error) {
	shards := t.m.Route(c, s.Tenant)
	if s.AllTenants {
		shards = t.all()
	}
	bare := t.mixed && c.Placement.By == search.ByKey && !s.Fields.Meta // the owner shows in the metadata only
	s.Fields.Meta = s.Fields.Meta || bare
	for {
		pages, err := readAll(t, shards, func(_ int, sh *shard) (search.Page, error) {
			return read(ctx, sh, "scroll", func(ctx context.Context, store search.Store) (search.Page, error) {
				return store.Scroll(ctx, s)
			})
		})
		if err != nil {
			return search.Page{}, err
		}
		page, next := t.mergePages(c, shards, pages)
		if len(page.Points) > s.Limit {
			page.Points, page.More = page.Points[:s.Limit], true
		}
		for i := range page.Points {
			if bare {
				page.Points[i].Meta = nil
			}
		}
		if len(page.Points) > 0 || !page.More {
			return page, nil
		}
		s.After = next // every row of the page was some other shard's
	}
}

// mergePages joins the shards' pages into one, without the points that a shard
// does not own. A shard with more rows vouches only for keys up to its last one,
// so the page ends at the lowest of those, which is returned beside it.
func (t *topology) mergePages(c search.Collection, shards []int, pages []search.Page) (out search.Page, end search.Key) {
	for i, page := range pages {
		for _, p := range page.Points {
			if t.mayHold(c, p, shards[i]) {
				out.Points = append(out.Points, p)
			}
		}
		if n := len(page.Points); page.More && n > 0 {
			if last := page.Points[n-1].Key; !out.More || last.Compare(end) < 0 {
				end = last
			}
			out.More = true
		}
	}
	slices.SortFunc(out.Points, func(a, b search.Point) int { return a.Compare(b.Key) })
	if out.More {
		beyond, _ := slices.BinarySearchFunc(out.Points, end, func(p search.Point, k search.Key) int {
			return cmp.Or(p.Compare(k), -1) // the first point behind end
		})
		out.Points = out.Points[:beyond]
	}
	return out, end
}

// mayHold reports whether a point that a shard returned is not a copy from a move.
func (t *topology) mayHold(c search.Collection, p search.Point, shard int) bool {
	if t.mixed && c.Placement.By == search.ByKey {
		return t.m.Owner(c, p.Key, p.Meta) == shard
	}
	return slices.Contains(t.holders(c, p.Key), shard)
}

// countOwned counts by looking at every point, because shards hold copies that do not count.
func countOwned(ctx context.Context, t *topology, c search.Collection, s search.Scan) (n int, err error) {
	for s.Limit = MaxK; ; {
		page, err := scrollOn(ctx, t, c, s)
		if err != nil {
			return 0, err
		}
		n += len(page.Points)
		if !page.More || len(page.Points) == 0 {
			return n, nil
		}
		s.After = page.Points[len(page.Points)-1].Key
	}
}

func (t *topology) all() []int {
	all := make([]int, len(t.shards))
	for i := range all {
		all[i] = i
	}
	return all
}

// Count counts a tenant's points that match a filter, exactly; it needs every
// shard that holds some.
func (r *Router) Count(ctx context.Context, collection, tenant string, f search.Filter) (int, error) {
	crowd, err := r.reads.enter(ctx, 1)
	if err != nil {
		return 0, err
	}
	defer r.reads.leave(crowd)
	t := r.topo.Load()
	c, ok := t.m.Collection(collection)
	if !ok {
		return 0, unknownCollection(collection)
	}
	if err := checkTenant(c, tenant); err != nil {
		return 0, err
	}
	if t.mixed {
		return countOwned(ctx, t, c, search.Scan{Collection: c.Name, Tenant: tenant, Filter: f})
	}
	counts, err := readAll(t, t.m.Route(c, tenant), func(_ int, s *shard) (int, error) {
		return read(ctx, s, "count", func(ctx context.Context, store search.Store) (int, error) {
			return store.Count(ctx, c.Name, tenant, f)
		})
	})
	total := 0
	for _, n := range counts {
		total += n
	}
	return total, err
}

// Stats sums the shards' statistics of a collection, or of all collections
// where none is named.
func (r *Router) Stats(ctx context.Context, collection string) ([]search.Stats, error) {
	crowd, err := r.reads.enter(ctx, 1)
	if err != nil {
		return nil, err
	}
	defer r.reads.leave(crowd)
	t := r.topo.Load()
	collections := t.m.Collections()
	if collection != "" {
		c, ok := t.m.Collection(collection)
		if !ok {
			return nil, unknownCollection(collection)
		}
		collections = []search.Collection{c}
	}
	out := make([]search.Stats, len(collections))
	for i, c := range collections {
		parts, err := readAll(t, t.all(), func(_ int, s *shard) (search.Stats, error) { return statsOf(ctx, s, c.Name) })
		if err != nil {
			return nil, fmt.Errorf("statistics of %s: %w", c.Name, err)
		}
		out[i].Collection = c
		for _, p := range parts {
			out[i].Points += p.Points
			out[i].Bytes += p.Bytes
			out[i].Digest += p.Digest
			if out[i].DigestMask() > p.DigestMask() {
				out[i].DigestBits = p.DigestBits
			}
			out[i].Newest = max(out[i].Newest, p.Newest)
		}
	}
	return out, nil
}
