package router

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tracing"
	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/search"
)

// retrieve is Retrieve without the bookkeeping.
func (r *Router) retrieve(ctx context.Context, q Request, rec *recorder) (res Response, err error) {
	crowd, err := r.reads.enter(ctx, 1)
	if err != nil {
		return Response{}, err
	}
	defer r.reads.leave(crowd)

	_, span := tracing.Start(ctx, "plan")
	p, err := r.plan(q) // defaults, limits, validation
	span.End(err)
	if err != nil {
		return Response{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()

	pass, err := r.admit(ctx, p)
	if err != nil {
		return Response{}, err
	}
	defer func() { pass.Leave(err) }()

	if p.page != nil {
		return r.turn(ctx, p)
	}
	if err := r.vectorize(ctx, p, rec); err != nil {
		return Response{}, err
	}
	if err := r.weigh(ctx, p, rec); err != nil {
		return Response{}, err
	}
	res, err = r.rank(ctx, p) // route, scatter, gather, fuse: one snapshot for the whole query
	rec.stage("search")
	return res, p.tolerate(res.Report, err)
}

// rank finds candidates and makes the answer of them: fused, grouped,
// diversified, cut, and with the payload that was asked for. Where groups come
// short it goes deeper.
func (r *Router) rank(ctx context.Context, p *plan) (Response, error) {
	depth, needs := p.depth, p.needs()
	fields := needs
	if !r.twoPhases(p, depth) {
		fields = union(fields, p.Fields)
	}
	for {
		f, err := r.find(ctx, p, depth, fields)
		list := p.fuse(f)
		if err == nil || errors.Is(err, fault.Partial) {
			list = r.rerank(ctx, p, list, &f.report)
		}
		hits, short := p.choose(list)
		if short && err == nil && depth < MaxK {
			depth = min(2*depth, MaxK)
			continue
		}
		res := Response{Hits: hits, Report: f.report, nearest: p.nearest(f)}
		res.Report.Mode = string(p.mode)
		res, unfinished := r.finish(ctx, p, res, fields)
		return res, errors.Join(err, unfinished)
	}
}

// finish cuts an answer to its length and fetches the payload that the shards
// were not asked for.
func (r *Router) finish(ctx context.Context, p *plan, res Response, have search.Fields) (_ Response, err error) {
	candidates := res.Hits
	if union(have, p.Fields) == have {
		res.Hits = candidates[:min(p.K, len(candidates))]
	} else if res.Hits, res.Report.Vanished, err = r.fetch(ctx, candidates, p.K, p.Fields); err != nil {
		return Response{Report: res.Report}, err
	}
	r.payloads.saw(p.Collection, res.Hits)
	strip(res.Hits, p.Fields)
	if p.Cursor != nil {
		rest := candidates[min(len(candidates), len(res.Hits)+res.Report.Vanished):]
		res.NextCursor, err = r.cursors.encode(page{
			collection: p.legs[0].collection.Name, tenant: p.Tenant, k: p.K, candidates: candidatesOf(rest),
		})
	}
	return res, err
}

// fuse makes one ranking of the legs.
func (p *plan) fuse(f found) search.List {
	if len(p.legs) == 1 {
		return f.lists[0]
	}
	list := search.List{Hits: merge.Fuse(p.Fusion, f.rankings), Exhausted: true}
	if p.MinScore != nil && p.mode == Hybrid {
		list.Hits = slices.DeleteFunc(list.Hits, func(h search.Hit) bool { return !p.near(h) })
	}
	for _, l := range f.lists {
		list.Exhausted = list.Exhausted && l.Exhausted
	}
	return list
}

// near reports whether some dense leg gave a hit the lowest score at least. In hybrid searches words
// bring candidates in that only a completed score can judge.
func (p *plan) near(h search.Hit) bool {
	return slices.ContainsFunc(h.Legs, func(s search.LegScore) bool {
		return p.legs[s.Leg].dense() && s.Score >= *p.MinScore
	})
}

// nearest is the best score in a dense leg, which unlike fused ones has a scale.
func (p *plan) nearest(f found) float64 {
	if p.mode == Lexical {
		return math.Inf(1)
	}
	best := math.Inf(-1)
	for i, l := range p.legs {
		if hits := f.lists[i].Hits; l.dense() && len(hits) > 0 {
			best = max(best, hits[0].Score)
		}
	}
	return best
}

// choose takes the hits of the answer from a ranking. short says that more
// candidates could fill the groups up.
func (p *plan) choose(list search.List) (hits []search.Hit, short bool) {
	keep := max(p.K+spareHits, p.wanted())
	if p.MMR != nil {
		list.Hits = merge.MMR(keep, *p.MMR, p.relevantTo(), list.Hits)
	}
	if p.Group != nil {
		hits, short = merge.Group(list, p.Group.By, max(p.Group.Size, 1), p.wanted())
		return hits, short
	}
	return list.Hits[:min(keep, len(list.Hits))], false
}

// wanted is how many hits the request can make use of.
func (p *plan) wanted() int {
	if p.Cursor != nil {
		return min(maxCandidates, 10*p.K)
	}
	return p.K
}

// relevantTo is the query vector that a diversified answer stays close to; with
// several legs, or reranked, it is their score instead.
func (p *plan) relevantTo() []float32 {
	if len(p.legs) > 1 || p.Rerank > 0 {
		return nil
	}
	return p.legs[0].Vector
}

// needs is what the ranking itself has to see of a point.
func (p *plan) needs() search.Fields {
	return search.Fields{Text: p.Rerank > 0, Meta: p.Group != nil, Vector: p.MMR != nil}
}

func union(a, b search.Fields) search.Fields {
	return search.Fields{Text: a.Text || b.Text, Meta: a.Meta || b.Meta, Vector: a.Vector || b.Vector}
}

// strip removes what only the ranking needed.
func strip(hits []search.Hit, fields search.Fields) {
	for i := range hits {
		if !fields.Text {
			hits[i].Text = ""
		}
		if !fields.Meta {
			hits[i].Meta = nil
		}
		if !fields.Vector {
			hits[i].Dense = nil
		}
	}
}
