package router

import (
	"context"
	"fmt"
	"slices"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tracing"
	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/rerank"
	"github.com/lanewise/lanewise/search"
)

// rerank has the best candidates put in order by a model that reads them, and
// returns these alone: the scores of the others have another scale. It may use half of the
// time there is. An order that does not come in time, or not at all, leaves the list
// as it was, and the report says why.
func (r *Router) rerank(ctx context.Context, p *plan, list search.List, rep *search.Report) search.List {
	if p.Rerank == 0 || len(list.Hits) == 0 {
		return list
	}
	ctx, cancel := halfOf(ctx)
	defer cancel()
	top := slices.Clone(list.Hits[:min(max(p.Rerank, p.K), len(list.Hits))])
	batch := rerank.Batch{Query: p.question(), Texts: make([]string, len(top))}
	for i := range top {
		batch.Texts[i] = top[i].Text
	}
	ctx, span := tracing.Start(ctx, "rerank")
	scores, err := r.cfg.Reranker.Rerank(ctx, batch)
	if err == nil && len(scores.Values) != len(top) {
		err = fmt.Errorf("%d scores for %d texts", len(scores.Values), len(top))
	}
	span.End(err)
	if err != nil {
		rep.RerankSkipped = err.Error()
		return list
	}
	for i := range top {
		top[i].Raw, top[i].Score = top[i].Score, scores.Values[i]
	}
	slices.SortFunc(top, merge.Better)
	rep.Reranked = len(top)
	return search.List{Hits: top, Exhausted: true} // a longer list would not be reranked
}

// Rerank scores texts by how well they answer a question, on the rerank lane.
func (r *Router) Rerank(ctx context.Context, b rerank.Batch) (rerank.Scores, error) {
	if r.cfg.Reranker == nil {
		return rerank.Scores{}, fault.New(fault.Invalid, "no reranker is configured")
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.SearchTimeout)
	defer cancel()
	return r.cfg.Reranker.Rerank(ctx, b)
}

// question is what the candidates are read by: the request's text, or its first leg that has one.
func (p *plan) question() string {
	if p.Text != "" {
		return p.Text
	}
	i := slices.IndexFunc(p.legs, func(l leg) bool { return l.Text != "" })
	if i < 0 {
		return ""
	}
	return p.legs[i].Text
}

func (p *plan) checkRerank(able bool) error {
	switch {
	case p.Rerank == 0:
		return nil
	case p.Rerank < 0 || p.Rerank > rerank.MostTexts:
		return fault.BadField("/rerank", "must be between 0 and %d, is %d", rerank.MostTexts, p.Rerank)
	case !able:
		return fault.BadField("/rerank", "no reranker is configured")
	case p.Cursor != nil:
		return fault.BadField("/rerank", "does not go with a cursor: later pages would have scores of another scale")
	case p.question() == "":
		return fault.BadField("/rerank", "needs a text to read the candidates by")
	}
	return nil
}
