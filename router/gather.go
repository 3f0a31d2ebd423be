package router

import (
	"context"
	"errors"

	"github.com/lanewise/lanewise/search"
)

// gathering is a query with its shards' answers, by position.
type gathering struct {
	topo       *topology
	collection search.Collection
	query      search.Query
	asked      []int    // indices of shards
	answers    []answer // of asked[i]
	report     search.Report
	failed     []*ShardError
}

// gather merges what the shards answered and reports what is missing.
func (r *Router) gather(ctx context.Context, g *gathering) (search.Result, error) {
	if err := ctx.Err(); err != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return search.Result{}, context.Cause(ctx) // the caller left: nobody reads the report
	}
	g.report = search.Report{ShardsAsked: len(g.asked), Epoch: g.topo.m.Epoch()}
	lists := make([][]search.List, len(g.query.Legs)) // by leg
	for i, a := range g.answers {
		if a.err != nil {
			g.miss(g.asked[i], a.err)
			continue
		}
		g.report.ShardsAnswered++
		for leg, list := range a.result.Lists {
			g.report.RowsAsked += g.query.Legs[leg].K
			lists[leg] = append(lists[leg], g.keep(g.asked[i], list))
		}
	}
	result := search.Result{Lists: make([]search.List, len(lists))}
	for leg := range lists {
		result.Lists[leg] = join(g.query.Legs[leg].K, lists[leg])
		g.report.Dropped += result.Lists[leg].Dropped
	}
	r.cover(g)
	result.Report = g.report
	return result, g.verdict()
}

// miss records a shard without an answer.
func (g *gathering) miss(shard int, err error) {
	e := &ShardError{Shard: g.topo.shards[shard].name, Reason: reason(err), Err: err}
	g.failed = append(g.failed, e)
	g.report.Missing = append(g.report.Missing, search.Missing{Shard: e.Shard, Reason: e.Reason, Detail: err.Error()})
}

// verdict is nil for a complete answer. If no shard answered it is what they
// said, so that a bad query stays a bad query and a timeout a timeout.
func (g *gathering) verdict() error {
	switch {
	case len(g.failed) == 0:
		return nil
	case g.report.ShardsAnswered > 0:
		return &PartialError{Report: g.report, Shards: g.failed}
	}
	errs := make([]error, len(g.failed))
	for i, e := range g.failed {
		errs[i] = e
	}
	return errors.Join(errs...)
}
