package router

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lanewise/lanewise/balance/admit"
	"github.com/lanewise/lanewise/search"
)

// newGate bounds the searches that are at work: what is more than the shards can
// answer within half of the deadline waits for a quarter of it at most, fairly by
// tenant, and is then shed as a whole, before anything has been spent on it.
func newGate(c Config) (*admit.Gate, error) {
	a := c.Admission
	a.Target = cmp.Or(a.Target, c.SearchTimeout/2)
	a.Most = cmp.Or(a.Most, 1024)
	a.Start = cmp.Or(a.Start, min(64, a.Most))
	a.Least = cmp.Or(a.Least, min(4, a.Most))
	a.Patience = cmp.Or(a.Patience, min(100*time.Millisecond, a.Target/2))
	return admit.New(a)
}

// admit lets a search in, or sheds it: at once where a shard that it will ask has
// no room, so that nothing is spent on its text where it cannot be finished. Its seats
// are taken when the text is ready: kept for it meanwhile, they would be idle. The search says in
// the end what became of it, from which the gate learns how much the shards can do.
func (r *Router) admit(ctx context.Context, p *plan) (*admit.Pass, error) {
	bytes := len(p.Text)
	for _, l := range p.legs {
		bytes += len(l.Text) + 4*len(l.Vector)
	}
	pass, err := r.gate.Enter(ctx, p.Tenant, int64(bytes))
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(p.legs, func(l leg) bool { return l.toEmbed() || l.toWeigh() }) {
		return pass, nil // what is next is to take its seats
	}
	for _, l := range p.legs {
		g := &gathering{topo: p.topo, demand: p.demand(), shards: p.topo.m.Route(l.collection, p.Tenant)}
		g.docs = r.documents(p.topo, l.collection, g.shards)
		if err := r.seat(ctx, g); err != nil {
			pass.Leave(err)
			return nil, err
		}
		g.unseat()
	}
	return pass, nil
}

// demand is what a search can do without.
type demand struct {
	coverage float64 // below which it is worth nothing
	patience float64 // coverage at which stragglers are given up; 1: never
	seats    bool    // it has asked shards before, and gets a seat wherever it needs one
}

// everything is what a search needs that knows of no partial answers.
var everything = demand{coverage: 1, patience: 1}

// seat takes a seat for the search at every shard that it is about to ask, or at
// none: a search is shed as a whole, by its tightest shard, before any shard has
// worked for it. One that can do without the shards that are full goes on without
// them. Each seat is given up by the question to its shard.
func (r *Router) seat(ctx context.Context, all ...*gathering) error {
	within := r.cfg.SearchTimeout
	if deadline, ok := ctx.Deadline(); ok {
		within = max(time.Until(deadline), 0)
	}
	for i, g := range all {
		if err := g.seat(within); err != nil {
			for _, other := range all[:i+1] {
				other.unseat()
			}
			return err
		}
	}
	return nil
}

// seat takes the seats of one query. Those that were taken stay so where there are
// not enough.
func (g *gathering) seat(within time.Duration) error {
	if g.demand.seats {
		within = -1
	}
	g.full = make([]error, len(g.shards))
	var tight []error
	var all, covered float64
	for at, shard := range g.shards {
		s := g.topo.shards[shard]
		all += g.docs[at]
		if g.full[at] = s.pool.Seat(within); g.full[at] == nil {
			covered += g.docs[at]
			continue
		}
		tight = append(tight, &ShardError{Shard: s.name, Reason: search.Shed, Err: g.full[at]})
	}
	if len(tight) > 0 && (covered < g.demand.coverage*all || len(tight) == len(g.shards)) {
		return errors.Join(tight...)
	}
	return nil
}

// unseat gives the seats back of a query that is not asked.
func (g *gathering) unseat() {
	for at, err := range g.full {
		if err == nil {
			g.topo.shards[g.shards[at]].pool.Unseat()
		}
	}
	g.full = nil
}

// seated returns why there is no seat at a shard. A further question to the shard
// gets one of its own.
func (g *gathering) seated(at int) error {
	err := g.full[at]
	if err == nil && g.sat[at] {
		return g.topo.shards[g.shards[at]].pool.Seat(-1)
	}
	g.sat[at] = true
	return err
}
