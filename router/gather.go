package router

import (
	"context"
	"errors"
	"math/bits"
	"slices"
	"strconv"
	"sync"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tracing"
	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/search"
)

// gathering is a query on its way through the shards. Shards hand in their
// answers by position, so no lock is needed.
type gathering struct {
	topo       *topology
	collection search.Collection
	query      search.Query // legs ask for what the whole query wants
	fields     search.Fields
	shards     []int            // indices of the shards that are asked
	docs       []float64        // that they hold, as far as known
	legs       []*merge.Gather  // by leg of the query
	rows       [][]int          // by leg: what each shard is asked for first
	named      [][][]search.Key // by leg: the points that it names, by the position of their shard; nil: not parted
	errs       []error          // by position: the shard's last failure
	mutes      []error          // by position: that of its companions
	replicas   []string         // by position: which one answered, and is asked first for more
	class      string           // of the quota of rows
	full       []error          // by position: why there is no seat at the shard
	sat        []bool           // by position: the seat was given up for a question
	demand     demand
	report     search.Report
	failed     []*ShardError
	partly     bool // some shard lacks nothing but its lexical leg
}

// begin routes a query and decides how many rows each shard is asked for.
func (r *Router) begin(t *topology, q search.Query, d demand) (*gathering, error) {
	c, ok := t.m.Collection(q.Collection)
	if !ok {
		return nil, unknownCollection(q.Collection)
	}
	g := &gathering{topo: t, collection: c, query: q, demand: d, fields: q.Fields, shards: t.m.Route(c, q.Tenant)}
	g.legs = make([]*merge.Gather, len(q.Legs))
	g.rows = make([][]int, len(q.Legs))
	g.named = make([][][]search.Key, len(q.Legs))
	n := len(g.shards)
	g.errs, g.mutes, g.replicas, g.sat = make([]error, n), make([]error, n), make([]string, n), make([]bool, n)
	g.docs = r.documents(t, c, g.shards)
	for i, leg := range q.Legs {
		g.class = quotaClass(c, leg.K)
		if leg.Only != nil {
			g.rows[i] = slices.Repeat([]int{leg.K}, len(g.shards))
			g.named[i] = g.partKeys(leg.Only)
		} else {
			g.rows[i] = r.quota.Rows(g.class, leg.K, g.docs)
		}
		g.legs[i] = r.gathers.get()
		g.legs[i].Start(leg.K, g.rows[i])
	}
	return g, g.answerable()
}

// gathers keeps the buffers of gatherings that are over: they are a third of what
// a query needs of memory.
type gathers struct{ free sync.Pool }

func (p *gathers) get() *merge.Gather {
	if g, ok := p.free.Get().(*merge.Gather); ok {
		return g
	}
	return new(merge.Gather)
}

// end gives the buffers of a gathering back. Nothing may come in any more.
func (p *gathers) end(g *gathering) {
	for _, leg := range g.legs {
		p.free.Put(leg)
	}
	g.legs = nil
}

// rowsOf is how many rows to ask of each shard that holds a tenant's points.
func (r *Router) rowsOf(t *topology, c search.Collection, tenant string, k int) []int {
	return r.quota.Rows(quotaClass(c, k), k, r.documents(t, c, t.m.Route(c, tenant)))
}

// quotaClass groups searches that need refills about equally often.
func quotaClass(c search.Collection, k int) string {
	return c.Name + "/k" + strconv.Itoa(bits.Len(uint(k))) //nolint:gosec // k is positive
}

// round is the first round: every shard, every leg, but for those that name points of
// other shards only.
func (g *gathering) round() []asking {
	n := len(g.legs) * len(g.shards)
	round := make([]asking, len(g.shards))
	legs, asked := make([]int, 0, n), make([]search.Leg, 0, n) // of all shards
	for at := range round {
		from := len(legs)
		for leg := range g.legs {
			if g.idle(leg, at) {
				g.legs[leg].Put(at, search.List{Exhausted: true, Prefix: true}, nil)
				continue
			}
			legs, asked = append(legs, leg), append(asked, g.leg(leg, at, g.rows[leg][at]))
		}
		round[at] = asking{at: at, legs: legs[from:], asked: asked[from:]}
	}
	return round
}

// next is a further round: the shards that could still hide a hit, and nothing
// where none can.
func (g *gathering) next() []asking {
	var round []asking
	for leg := range g.legs {
		for _, refill := range g.legs[leg].Next() {
			i := slices.IndexFunc(round, func(a asking) bool { return a.at == refill.Shard })
			if i < 0 {
				round, i = append(round, asking{at: refill.Shard}), len(round)
			}
			a := &round[i]
			a.legs, a.asked = append(a.legs, leg), append(a.asked, g.leg(leg, refill.Shard, refill.Rows))
		}
	}
	return round
}

// part is the query as one shard gets it.
func (g *gathering) part(a asking) search.Query {
	q := g.query
	q.Fields, q.Legs = g.fields, a.asked
	q.Complete = g.completes(a)
	return q
}

// completes reports whether a shard is asked what all legs make of its hits. Some of the legs could only
// tell a part.
func (g *gathering) completes(a asking) bool {
	return g.query.Complete && len(a.legs) == len(g.query.Legs)
}

// leg is a leg as one shard gets it. The breadth of an approximate search follows
// from what the whole query asks for, not from the rows that this shard is
// expected to contribute.
func (g *gathering) leg(leg, at, rows int) search.Leg {
	l := g.query.Legs[leg]
	if g.named[leg] != nil {
		l.Only = g.named[leg][at]
	}
	if rows < l.K {
		l.EF = max(l.EF, l.K)
	}
	l.K = rows
	return l
}

// put hands in a shard's lists. Different shards' may come at the same time.
func (g *gathering) put(a asking, said answer) {
	if !a.words {
		g.replicas[a.at] = said.replica
	}
	shard, complete := g.shards[a.at], g.completes(a)
	name := g.topo.shards[shard].name
	for i, leg := range a.legs {
		list := said.lists[i]
		for j := range list.Hits {
			h := &list.Hits[j]
			h.Shard = name
			if h.Collection == "" {
				h.Collection = g.query.Collection
			}
			if !complete || slices.ContainsFunc(h.Legs, func(s search.LegScore) bool { return s.Leg < 0 || s.Leg >= len(g.legs) }) {
				h.Legs = nil // not asked for, or of legs that there are not
			}
		}
		g.legs[leg].Put(a.at, list, func(h *search.Hit) bool { return g.mayAnswer(shard, h) })
	}
}

// fail records that a shard did not answer.
func (g *gathering) fail(a asking, err error) {
	if a.words {
		g.muted(a, err)
		return
	}
	g.errs[a.at] = err
	for _, leg := range a.legs {
		g.legs[leg].Fail(a.at)
	}
}

// mayAnswer refuses points of another tenant or collection, and points that
// another shard owns.
func (g *gathering) mayAnswer(shard int, h *search.Hit) bool {
	if h.Tenant != g.query.Tenant || h.Collection != g.query.Collection {
		return false
	}
	if !g.ownedByKey() {
		return true
	}
	return g.topo.m.Owner(g.collection, h.Key, nil) == shard
}

// gather merges what the shards answered and reports what is missing.
func (r *Router) gather(ctx context.Context, g *gathering) (search.Result, error) {
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return search.Result{}, context.Cause(ctx) // the caller left: nobody reads the report
	}
	_, span := tracing.Start(ctx, "merge")
	defer span.End(nil)
	g.report = search.Report{ShardsAsked: len(g.shards), Epoch: g.topo.m.Epoch()}
	result := search.Result{Lists: make([]search.List, len(g.legs))}
	for leg := range g.legs {
		result.Lists[leg] = g.legs[leg].List()
		tally := g.legs[leg].Tally()
		g.report.Dropped += result.Lists[leg].Dropped
		g.report.RowsAsked += g.rowsAsked(leg, tally)
		g.report.RowsSaved += tally.RowsSaved
		g.report.Refills += tally.Refills
		for _, at := range tally.Uncertain {
			if _, err := g.failure(at); err == nil {
				g.errs[at] = fault.New(fault.Unavailable, "the shard cannot show that its list holds all that it should")
			}
		}
	}
	r.quota.Saw(g.class, g.report.Refills > 0)
	g.miss()
	r.cover(g)
	result.Report = g.report
	if err := r.fillIn(ctx, g, result.Lists); err != nil {
		return result, err
	}
	return result, g.verdict()
}

// miss records the shards without an answer.
func (g *gathering) miss() {
	for at := range g.shards {
		why, err := g.failure(at)
		if err == nil {
			g.report.ShardsAnswered++
			continue
		}
		g.partly = g.partly || g.halved(at)
		e := &ShardError{Shard: g.topo.shards[g.shards[at]].name, Reason: why, Err: err}
		g.failed = append(g.failed, e)
		g.report.Missing = append(g.report.Missing, search.Missing{Shard: e.Shard, Reason: e.Reason, Detail: err.Error()})
	}
}

// verdict is nil for a complete answer. If no shard answered it is what they
// said, so that a bad query stays a bad query and a timeout a timeout.
func (g *gathering) verdict() error {
	switch {
	case len(g.failed) == 0:
		return nil
	case g.report.ShardsAnswered > 0 || g.partly:
		return &PartialError{Report: g.report, Shards: g.failed}
	}
	errs := make([]error, len(g.failed))
	for i, e := range g.failed {
		errs[i] = e
	}
	return errors.Join(errs...)
}
