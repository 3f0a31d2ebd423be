package router

import (
	"context"
	"errors"
	"slices"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/search"
)

// found is what the shards gave for a plan's legs.
type found struct {
	rankings []merge.Ranking // by leg of the plan
	lists    []search.List
	report   search.Report
}

// find asks the shards for the candidates of all legs, side by side, and has the
// scores completed that a fusion needs. A *PartialError comes with what was found.
func (r *Router) find(ctx context.Context, p *plan, depth int, fields search.Fields) (found, error) {
	queries, at := p.queries(depth, fields)
	out := found{rankings: make([]merge.Ranking, len(p.legs)), lists: make([]search.List, len(p.legs))}
	if len(queries) == 0 { // a text without words: nothing is the whole answer
		out.report = search.Report{Complete: true, Coverage: 1, Epoch: p.topo.m.Epoch()}
	}
	for i, l := range p.legs {
		out.lists[i].Exhausted = true // of a leg that asks for nothing
		out.rankings[i] = l.ranking(nil)
	}
	results, err := r.searchEach(ctx, p, queries, &out.report)
	for q, result := range results {
		for i, list := range result.Lists {
			leg := at[q][i]
			if p.MinScore != nil && p.mode == Dense {
				list = merge.AtLeast(list, *p.MinScore)
			}
			inPlan(list.Hits, at[q])
			out.lists[leg], out.rankings[leg] = list, p.legs[leg].ranking(list.Hits)
		}
	}
	err = p.unheard(&out.report, err)
	if !p.completes() || err != nil && !errors.Is(err, fault.Partial) {
		return out, err
	}
	return out, errors.Join(err, r.complete(ctx, p, &out))
}

// completes reports whether the scores of all candidates in all legs are needed.
func (p *plan) completes() bool {
	return len(p.legs) > 1 && (p.Fusion == merge.Completed || p.MinScore != nil && p.mode == Hybrid)
}

// inPlan turns the legs that hits have scores in from those of a query to those of the plan.
func inPlan(hits []search.Hit, at []int) {
	for i := range hits {
		for j := range hits[i].Legs {
			s := &hits[i].Legs[j]
			s.Leg = at[s.Leg]
		}
	}
}

// searchEach runs queries side by side and sums up their reports. If some are
// partial and the others complete, so is the sum: partial.
func (r *Router) searchEach(ctx context.Context, p *plan, queries []search.Query, rep *search.Report) ([]search.Result, error) {
	all := make([]*gathering, len(queries))
	for i := range queries {
		var err error
		if all[i], err = r.begin(p.topo, queries[i], p.demand()); err != nil {
			return nil, err
		}
	}
	if err := r.seat(ctx, all...); err != nil {
		return nil, err
	}
	p.underWay = true
	errs := make([]error, len(queries))
	results := scatter(len(queries), func(i int) (res search.Result) {
		res, errs[i] = r.ride(ctx, all[i])
		return res
	})
	var missing []*ShardError
	for i := range results {
		addReport(rep, results[i].Report)
		var partial *PartialError
		switch {
		case errs[i] == nil:
		case errors.As(errs[i], &partial):
			missing = append(missing, partial.Shards...)
		default:
			return nil, errs[i]
		}
	}
	if len(missing) > 0 {
		return results, &PartialError{Report: *rep, Shards: missing}
	}
	return results, nil
}

// demand is what the request can do without.
func (p *plan) demand() demand {
	d := demand{coverage: 1, patience: 1, seats: p.underWay}
	if p.OnPartial == ReturnPartial {
		d.coverage = p.MinCoverage
		if p.MinCoverage > 0 {
			d.patience = p.MinCoverage
		}
	}
	return d
}

// addReport adds a query's report to that of the request. The coverage of
// several fan-outs is that of the worst.
func addReport(sum *search.Report, rep search.Report) {
	if sum.ShardsAsked == 0 {
		sum.Complete, sum.Coverage = true, 1
	}
	sum.Complete = sum.Complete && rep.Complete
	sum.Coverage = min(sum.Coverage, rep.Coverage)
	sum.ShardsAsked += rep.ShardsAsked
	sum.ShardsAnswered += rep.ShardsAnswered
	sum.Missing = append(sum.Missing, rep.Missing...)
	sum.RowsAsked += rep.RowsAsked
	sum.RowsSaved += rep.RowsSaved
	sum.Refills += rep.Refills
	sum.Dropped += rep.Dropped
	sum.Vanished += rep.Vanished
	sum.Epoch = rep.Epoch
}

// complete asks each leg for the scores of the candidates that only other legs
// ranked, so that the fused order does not depend on how deep a leg went. Most
// stores have given them at once.
func (r *Router) complete(ctx context.Context, p *plan, f *found) error {
	queries, at := p.completions(merge.Missing(f.rankings))
	if len(queries) == 0 {
		return nil
	}
	var report search.Report
	results, err := r.searchEach(ctx, p, queries, &report)
	for q, result := range results {
		for i, list := range result.Lists {
			f.rankings[at[q][i]].Completed = list.Hits
		}
	}
	f.report.RowsAsked += report.RowsAsked
	addMissing(&f.report, report)
	return err
}

// completions turns the points that legs lack scores of into one query a collection. at says which leg
// of the plan each leg of a query is.
func (p *plan) completions(missing [][]search.Key) (queries []search.Query, at [][]int) {
	for i, keys := range missing {
		l := p.legs[i]
		if len(keys) == 0 || l.empty() {
			continue
		}
		q := slices.IndexFunc(queries, func(q search.Query) bool { return q.Collection == l.collection.Name })
		if q < 0 {
			q = len(queries)
			queries = append(queries, search.Query{Collection: l.collection.Name, Tenant: p.Tenant, Epoch: p.topo.m.Epoch()})
			at = append(at, nil)
		}
		queries[q].Legs = append(queries[q].Legs, search.Leg{Dense: l.Vector, Sparse: l.Sparse, K: len(keys), Only: keys, Exact: true})
		at[q] = append(at[q], i)
	}
	return queries, at
}

// addMissing takes into a request's report that shards, which may have answered before, did not
// complete the scores.
func addMissing(sum *search.Report, rep search.Report) {
	if len(rep.Missing) == 0 {
		return
	}
	sum.Complete, sum.Coverage = false, min(sum.Coverage, rep.Coverage)
	for _, m := range rep.Missing {
		if !slices.ContainsFunc(sum.Missing, func(known search.Missing) bool { return known.Shard == m.Shard }) {
			sum.Missing = append(sum.Missing, m)
			sum.ShardsAnswered--
		}
	}
}
