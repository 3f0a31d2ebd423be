package router

import (
	"cmp"
	"context"
	"errors"
	"math"
	"time"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// plan is a request with its defaults filled in, on one snapshot of the topology.
type plan struct {
	Request
	topo       *topology
	collection search.Collection
	timeout    time.Duration
}

// plan fills in defaults and refuses what cannot be answered, before anything
// is spent on it.
func (r *Router) plan(q Request) (*plan, error) {
	p := &plan{Request: q, topo: r.topo.Load()}
	c, ok := p.topo.m.Collection(q.Collection)
	if !ok {
		return nil, unknownCollection(q.Collection)
	}
	p.collection = c
	p.K = cmp.Or(q.K, 10)
	p.timeout = cmp.Or(q.Timeout, r.cfg.SearchTimeout)
	p.OnPartial = cmp.Or(q.OnPartial, FailPartial)
	if q.MinCoverage > 0 && q.OnPartial == "" {
		p.OnPartial = ReturnPartial
	}
	return p, errors.Join(p.checkLimits(), p.checkMode(), p.checkTarget())
}

func unknownCollection(name string) error {
	return &fault.Error{Class: fault.NotFound, Field: "/collection", Message: "there is no collection " + quoted(name)}
}

func (p *plan) checkLimits() error {
	switch {
	case p.K < 1 || p.K > MaxK:
		return fault.BadField("/k", "must be between 1 and %d, is %d", MaxK, p.K)
	case p.timeout < 0:
		return fault.BadField("/timeout_ms", "must not be negative")
	case math.IsNaN(p.MinCoverage) || p.MinCoverage < 0 || p.MinCoverage > 1:
		return fault.BadField("/min_coverage", "must be between 0 and 1, is %v", p.MinCoverage)
	case p.MinScore != nil && math.IsNaN(*p.MinScore):
		return fault.BadField("/min_score", "must be a number")
	case p.OnPartial != FailPartial && p.OnPartial != ReturnPartial:
		return fault.BadField("/on_partial", `must be "fail" or "return", is %q`, p.OnPartial)
	}
	return checkTenant(p.collection, p.Tenant)
}

// checkTenant refuses a request without a tenant on a collection of tenants:
// their points are never searched together.
func checkTenant(c search.Collection, tenant string) error {
	if c.Placement.By == search.ByTenant && tenant == "" {
		return fault.BadField("/tenant", "collection %q is placed by tenant: name one", c.Name)
	}
	return nil
}

func (p *plan) checkMode() error {
	switch p.Mode {
	case "", Auto, Dense:
		p.Mode = Dense
		return nil
	case Lexical, Hybrid:
		return fault.BadField("/mode", "collection %q has no lexical leg: use \"dense\"", p.collection.Name)
	default:
		return fault.BadField("/mode", `must be "auto", "dense", "lexical" or "hybrid", is %q`, p.Mode)
	}
}

// checkTarget checks what is to be found: one of a text and a fitting vector.
func (p *plan) checkTarget() error {
	switch {
	case p.Text == "" && len(p.Vector) == 0:
		return fault.BadField("/text", "give a text or a vector to search for")
	case p.Text != "" && len(p.Vector) > 0:
		return fault.BadField("/vector", "give a text or a vector, not both")
	case p.Text != "":
		return nil
	}
	if err := checkVector("/vector", p.Vector, p.collection); err != nil {
		return err
	}
	switch space := p.collection.Space; {
	case p.Space == "" && p.collection.StrictSpace:
		return fault.BadField("/space", "collection %q wants raw vectors to name their space: it is %q", p.collection.Name, space)
	case p.Space != "" && space != "" && p.Space != space:
		return &fault.Error{Class: fault.Conflict, Field: "/space",
			Message: "the vector is of space " + quoted(p.Space) + ", collection " + quoted(p.collection.Name) + " of " + quoted(space)}
	}
	return nil
}

// checkVector checks the length of a vector and that its numbers are finite.
func checkVector(field string, v []float32, c search.Collection) error {
	if len(v) != c.Dims {
		return fault.BadField(field, "has %d dims, collection %q has %d", len(v), c.Name, c.Dims)
	}
	for i, x := range v {
		if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
			return fault.BadField(field, "number %d is not finite", i)
		}
	}
	return nil
}

// vectorize turns the plan into a query of vectors. Embedding may use half of
// the time there is, so that the shards have the other half.
func (r *Router) vectorize(ctx context.Context, p *plan, rec *recorder) (search.Query, error) {
	vector := p.Vector
	if p.Text != "" {
		stage, cancel := shareOf(ctx, 0.5)
		defer cancel()
		v, err := r.embed(stage, p.collection, embed.Batch{Texts: []string{p.Text}, Task: embed.QueryTask})
		if err != nil {
			return search.Query{}, err
		}
		vector = v.Row(0)
		rec.stage("embed")
	}
	return search.Query{
		Collection: p.collection.Name, Tenant: p.Tenant, Filter: p.Filter, Fields: p.Fields, Epoch: p.topo.m.Epoch(),
		Legs: []search.Leg{{Dense: vector, K: p.K, EF: p.EF, Exact: p.Exact}},
	}, nil
}

// tolerate lets a partial answer pass where the request allows it.
func (p *plan) tolerate(rep search.Report, err error) error {
	if errors.Is(err, fault.Partial) && p.OnPartial == ReturnPartial && rep.Coverage >= p.MinCoverage {
		return nil
	}
	return err
}

// rank cuts the merged list of the only leg to what the request asked for.
func rank(p *plan, found search.Result) Response {
	res := Response{Report: found.Report}
	res.Report.Mode = string(p.Mode)
	if len(found.Lists) == 0 {
		return res
	}
	res.Hits = found.Lists[0].Hits
	if p.MinScore != nil {
		for i, h := range res.Hits {
			if h.Score < *p.MinScore { // sorted: the rest is lower still
				res.Hits = res.Hits[:i]
				break
			}
		}
	}
	return res
}

// shareOf bounds a stage to a share of the time that the request has left.
func shareOf(ctx context.Context, share float64) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(float64(time.Until(deadline))*share))
}
