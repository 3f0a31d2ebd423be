package router

import (
	"context"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tracing"
	"github.com/lanewise/lanewise/search"
)

// Search answers a query of vectors over all shards that hold its tenant's
// points. Each list of the result is the one that a single store with all the
// points would give.
//
// Where shards are missing it returns the lists of the others together with a
// *PartialError; where no shard answered, the shards' joined errors.
func (r *Router) Search(ctx context.Context, q search.Query) (search.Result, error) {
	crowd, err := r.reads.enter(ctx, 1)
	if err != nil {
		return search.Result{}, err
	}
	defer r.reads.leave(crowd)
	topo := r.topo.Load()
	q, err = topo.checkQuery(q)
	if err != nil {
		return search.Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.SearchTimeout)
	defer cancel()
	g, err := r.begin(topo, q, everything)
	if err != nil {
		return search.Result{}, err
	}
	if err := r.seat(ctx, g); err != nil {
		return search.Result{}, err
	}
	return r.ride(ctx, g)
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
		if len(leg.Sparse.Index) > 0 && len(leg.Dense) == 0 {
			continue
		}
		if err := checkVector("/legs", leg.Dense, c); err != nil {
			return q, err
		}
	}
	q.Collection, q.Epoch = c.Name, t.m.Epoch()
	return q, nil
}

// ride is the road below the text, from its seats on: scatter until the shards'
// lists certify that nothing is missing, then gather.
func (r *Router) ride(ctx context.Context, g *gathering) (search.Result, error) {
	scatter, span := tracing.Start(ctx, "scatter")
	before, cancel := beforeDeadline(scatter)
	defer cancel()
	defer r.gathers.end(g)
	before, patience := g.wait(before)
	defer patience.end()
	for round := g.round(); len(round) > 0; round = g.next() {
		g.ask(before, round, patience)
	}
	span.End(nil)
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
