package router

import (
	"cmp"
	"context"
	"errors"
	"math"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/search"
)

// plan is a request with its defaults filled in, on one snapshot of the topology.
type plan struct {
	Request
	topo    *topology
	legs    []leg
	mode    Mode          // what the legs come to
	silent  []*ShardError // shards that did not say how common the words are
	depth   int           // candidates that each leg is asked for
	page    *page         // the page to turn to; nil: a new search
	timeout time.Duration

	underWay bool // shards have been asked: it is not shed any more
}

// leg is a ranking that the plan asks for.
type leg struct {
	Leg
	collection search.Collection
	field      string // JSON pointer of the leg in the request
}

// plan fills in defaults and refuses what cannot be answered, before anything
// is spent on it.
func (r *Router) plan(q Request) (*plan, error) {
	p := &plan{Request: q, topo: r.topo.Load()}
	p.K = cmp.Or(q.K, 10)
	p.timeout = cmp.Or(q.Timeout, r.cfg.SearchTimeout)
	p.OnPartial = cmp.Or(q.OnPartial, FailPartial)
	p.Fusion = cmp.Or(q.Fusion, merge.Completed)
	if q.MinCoverage > 0 && q.OnPartial == "" {
		p.OnPartial = ReturnPartial
	}
	if err := p.openCursor(r.cursors); err != nil {
		return nil, err
	}
	if err := p.spellOut(r.cfg.Lexicon != nil); err != nil {
		return nil, err
	}
	p.depth = p.firstDepth()
	return p, errors.Join(p.checkLimits(), p.checkRanking(), p.checkRerank(r.cfg.Reranker != nil), p.checkPaging())
}

// spellOut turns the short form of a request into legs, and checks them. lexicon says
// whether texts can be taken by their words.
func (p *plan) spellOut(lexicon bool) error {
	spelled, field, err := p.Legs, "/legs/", error(nil)
	switch {
	case len(p.Legs) == 0:
		field = ""
		if spelled, err = p.shortForm(lexicon); err != nil {
			return err
		}
	case p.Mode != "" && p.Mode != Auto:
		return fault.BadField("/mode", "goes with a text; of legs, each says what it uses")
	case p.Text != "" || len(p.Vector) > 0:
		return fault.BadField("/legs", "give legs, or a text or vector, not both")
	case len(p.Legs) > maxLegs:
		return fault.BadField("/legs", "at most %d legs are possible, not %d", maxLegs, len(p.Legs))
	}
	for i, l := range spelled {
		l.Collection = cmp.Or(l.Collection, p.Collection)
		c, ok := p.topo.m.Collection(l.Collection)
		if !ok {
			return unknownCollection(l.Collection)
		}
		planned := leg{Leg: l, collection: c}
		if field != "" {
			planned.field = field + string(rune('0'+i))
		}
		if err := errors.Join(checkTenant(c, p.Tenant), p.checkTarget(planned), planned.checkUsing(lexicon)); err != nil {
			return err
		}
		p.legs = append(p.legs, planned)
	}
	p.mode = modeOf(p.legs)
	return nil
}

// maxLegs bounds the rankings of one request: each costs a scan of its own.
const maxLegs = 8

// firstDepth is how many candidates each leg is first asked for: more than k
// where later steps choose among them.
func (p *plan) firstDepth() int {
	depth := p.K
	if len(p.legs) > 1 {
		depth = max(50, 4*p.K)
	}
	if p.MMR != nil {
		depth = max(depth, 4*p.K)
	}
	depth = max(depth, p.Rerank)
	if p.Group != nil {
		depth = max(depth, 2*p.K)
	}
	if p.Cursor != nil {
		depth = max(depth, min(maxCandidates, 10*p.K))
	}
	return min(depth, MaxK)
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
	case p.MinScore != nil && p.mode == Lexical:
		return fault.BadField("/min_score", "is about dense legs, and there is none: BM25 scores have no scale to put a threshold on")
	case p.OnPartial != FailPartial && p.OnPartial != ReturnPartial:
		return fault.BadField("/on_partial", `must be "fail" or "return", is %q`, p.OnPartial)
	}
	return nil
}

// checkTenant refuses a request without a tenant on a collection of tenants:
// their points are never searched together.
func checkTenant(c search.Collection, tenant string) error {
	if c.Placement.By == search.ByTenant && tenant == "" {
		return fault.BadField("/tenant", "collection %q is placed by tenant: name one", c.Name)
	}
	return nil
}

// checkRanking checks what becomes of the candidates.
func (p *plan) checkRanking() error {
	switch {
	case p.Fusion != merge.Completed && p.Fusion != merge.RRF && p.Fusion != merge.DBSF:
		return fault.BadField("/fusion", `must be "completed", "rrf" or "dbsf", is %q`, p.Fusion)
	case p.MMR != nil && !(*p.MMR >= 0 && *p.MMR <= 1):
		return fault.BadField("/mmr/lambda", "must be between 0 and 1, is %v", *p.MMR)
	case p.Group != nil && p.Group.By == "":
		return fault.BadField("/group/by", "must name a metadata field")
	case p.Group != nil && p.Group.Size < 0:
		return fault.BadField("/group/size", "must be at least 1, is %d", p.Group.Size)
	}
	for _, l := range p.legs {
		if w := l.Weight; !(w >= 0) || math.IsInf(w, 0) {
			return fault.BadField(l.field+"/weight", "must be a number, 0 or more")
		}
	}
	return nil
}

// checkTarget checks what a leg is to find: one of a text and a fitting vector.
func (p *plan) checkTarget(l leg) error {
	switch {
	case p.page != nil:
		return nil // the cursor knows what was found
	case len(l.Sparse.Index) > 0 && (l.Text != "" || len(l.Vector) > 0):
		return fault.BadField(l.field+"/sparse", "give one of text, vector and sparse, not several")
	case len(l.Sparse.Index) > 0:
		return nil
	case l.Text == "" && len(l.Vector) == 0:
		return fault.BadField(l.field+"/text", "give a text or a vector to search for")
	case l.Text != "" && len(l.Vector) > 0:
		return fault.BadField(l.field+"/vector", "give a text or a vector, not both")
	case l.Text != "":
		return nil
	}
	if err := checkVector(l.field+"/vector", l.Vector, l.collection); err != nil {
		return err
	}
	switch space := l.collection.Space; {
	case p.Space == "" && l.collection.StrictSpace:
		return fault.BadField("/space", "collection %q wants raw vectors to name their space: it is %q", l.collection.Name, space)
	case p.Space != "" && space != "" && p.Space != space:
		return &fault.Error{Class: fault.Conflict, Field: "/space",
			Message: "the vector is of space " + quoted(p.Space) + ", collection " + quoted(l.collection.Name) + " of " + quoted(space)}
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

// tolerate lets a partial answer pass where the request allows it.
func (p *plan) tolerate(rep search.Report, err error) error {
	if errors.Is(err, fault.Partial) && p.OnPartial == ReturnPartial && rep.Coverage >= p.MinCoverage {
		return nil
	}
	return err
}

// halfOf bounds a stage to half of the time that the request has left, so that the later ones have the other half.
func halfOf(ctx context.Context) (context.Context, context.CancelFunc) { return shareOf(ctx, 0.5) }

// shareOf bounds a stage to a share of the time that the request has left.
func shareOf(ctx context.Context, share float64) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(share*float64(time.Until(deadline))))
}
