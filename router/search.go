package router

import (
	"context"
	"math"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/search"
)

// Search answers a query of vectors over all shards that hold its tenant's
// points. Each list of the result is the one that a single store with all the
// points would give.
//
// Where shards are missing it returns the lists of the others together with a
// *PartialError; where no shard answered, the shards' joined errors.
func (r *Router) Search(ctx context.Context, q search.Query) (search.Result, error) {
	topo := r.topo.Load()
	q, err := topo.checkQuery(q)
	if err != nil {
		return search.Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.SearchTimeout)
	defer cancel()
	return r.searchOn(ctx, topo, q)
}

// checkQuery resolves the collection and checks the legs against it.
func (t *topology) checkQuery(q search.Query) (search.Query, error) {
	c, ok := t.m.Collection(q.Collection)
	if !ok {
		return q, unknownCollection(q.Collection)
	}
	if err := checkTenant(c, q.Tenant); err != nil {
		return q, err
	}
	if len(q.Legs) == 0 {
		return q, fault.BadField("/legs", "at least one leg is needed")
	}
	for _, leg := range q.Legs {
		switch {
		case leg.Collection != "" && leg.Collection != q.Collection:
			return q, fault.BadField("/legs", "a leg of another collection cannot be routed with this query")
		case leg.K < 1 || leg.K > MaxK:
			return q, fault.BadField("/legs", "k must be between 1 and %d, is %d", MaxK, leg.K)
		}
		if err := checkVector("/legs", leg.Dense, c); err != nil {
			return q, err
		}
	}
	q.Collection, q.Epoch = c.Name, t.m.Epoch()
	return q, nil
}

// searchOn is the road below the text, on one snapshot: route, scatter, gather.
func (r *Router) searchOn(ctx context.Context, t *topology, q search.Query) (search.Result, error) {
	c, ok := t.m.Collection(q.Collection)
	if !ok {
		return search.Result{}, unknownCollection(q.Collection)
	}
	g := &gathering{topo: t, collection: c, query: q, asked: t.m.Route(c, q.Tenant)}
	before, cancel := beforeDeadline(ctx)
	defer cancel()
	g.answers = scatter(len(g.asked), func(i int) answer { return r.ask(before, t.shards[g.asked[i]], q) })
	return r.gather(ctx, g)
}

// beforeDeadline ends a little before ctx, so that what the shards have
// answered by then can still be merged: a twentieth of the time, at most 50 ms.
func beforeDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	reserve := min(time.Until(deadline)/20, 50*time.Millisecond)
	return context.WithDeadline(ctx, deadline.Add(-reserve))
}

// keep drops the rows that a shard may not answer with: points of another
// tenant or collection, points that another shard owns, and scores that are not
// finite. What is dropped is counted.
func (g *gathering) keep(shard int, list search.List) search.List {
	kept := list.Hits[:0:0]
	for i, h := range list.Hits {
		h.Shard = g.topo.shards[shard].name
		if h.Collection == "" {
			h.Collection = g.query.Collection
		}
		if g.foreign(shard, h) {
			list.Dropped++
			continue
		}
		if kept == nil {
			kept = make([]search.Hit, 0, len(list.Hits)-i)
		}
		kept = append(kept, h)
	}
	list.Hits = kept
	return list
}

func (g *gathering) foreign(shard int, h search.Hit) bool {
	switch {
	case h.Tenant != g.query.Tenant, h.Collection != g.query.Collection, math.IsNaN(h.Score), math.IsInf(h.Score, 0):
		return true
	case g.collection.Placement.By == search.ByKey, g.collection.Placement.By == search.ByExternal:
		return false // the owner is not a function of the key
	}
	return g.topo.m.Owner(g.collection, h.Key, nil) != shard
}

// join merges the lists of one leg.
func join(k int, lists []search.List) search.List { return merge.TopK(k, lists...) }
