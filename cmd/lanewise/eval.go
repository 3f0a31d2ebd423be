package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/eval"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/show"
	"github.com/lanewise/lanewise/search/wire"
)

// evalOptions are the flags of eval.
type evalOptions struct {
	target
	queries, qrels string
	modes          []string
	k, depth       int
	rerank         int
	json           bool
}

// evalWidth is how many queries eval asks at the same time.
const evalWidth = 4

func newEval(a *app) *cobra.Command {
	o := evalOptions{}
	cmd := &cobra.Command{
		Use:   "eval --queries FILE --qrels FILE",
		Short: "Measure how well searches answer judged queries",
		Long: `Eval asks the queries of a file in each mode and compares the rankings with
relevance judgements: nDCG@k, recall@k and MRR, with 95 % confidence intervals
from a bootstrap over the queries.

Queries are lines of BEIR's queries.jsonl ({"_id": "q1", "text": "..."}), or an
id, a tab and a text. Judgements are lines of TREC's qrels (q1 0 doc 1) or of
BEIR's tsv (q1, doc and 1 between tabs). Documents go by the ids they were
ingested with.`,
		Example: `  lanewise eval --collection docs --queries queries.jsonl --qrels qrels/test.tsv
  lanewise eval --queries q.tsv --qrels qrels.txt --modes hybrid --rerank 50 --json`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.queries == "" || o.qrels == "" {
				return misuse("give --queries FILE and --qrels FILE")
			}
			return o.with(cmd.Context(), a, func(c *client.Client) error { return o.run(cmd.Context(), a, c) })
		},
	}
	o.flags(cmd, a)
	f := cmd.Flags()
	f.StringVar(&o.tenant, "tenant", "", "only this tenant's documents")
	f.StringVar(&o.queries, "queries", "", "file of queries")
	f.StringVar(&o.qrels, "qrels", "", "file of relevance judgements")
	f.StringSliceVar(&o.modes, "modes", []string{"dense", "lexical", "hybrid"}, "modes to compare")
	f.IntVarP(&o.k, "count", "k", 10, "places that nDCG and recall look at")
	f.IntVar(&o.depth, "depth", 100, "places that MRR looks at")
	f.IntVar(&o.rerank, "rerank", 0, "candidates that a reranker puts in order")
	f.BoolVar(&o.json, "json", false, "print the figures as JSON")
	return cmd
}

func (o *evalOptions) run(ctx context.Context, a *app, c *client.Client) error {
	switch {
	case o.k < 1 || o.depth < o.k:
		return misuse("--count must be at least 1 and --depth at least as much")
	case len(o.modes) == 0:
		return misuse("--modes: name one at least")
	}
	queries, skipped, err := eval.Read(o.queries, o.qrels)
	if err != nil {
		return err
	}
	all, _, err := o.judge(ctx, a, c, queries)
	if err != nil {
		return err
	}
	if o.json {
		return writeJSON(a.out, struct {
			Collection string        `json:"collection"`
			Skipped    int           `json:"skipped"` // queries without a relevant document
			Modes      []eval.Scores `json:"modes"`
		}{o.collection, skipped, all})
	}
	o.print(a.printer(), all, skipped)
	return nil
}

// judge asks the queries in all modes. It also returns the rankings of the last one.
func (o *evalOptions) judge(ctx context.Context, a *app, c *client.Client, queries []eval.Query) (all []eval.Scores, last [][]string, err error) {
	for _, mode := range o.modes {
		if last, err = rankings(ctx, newMeter(a, mode+" queries"), asker(c, o.request(mode)), queries); err != nil {
			return nil, nil, err
		}
		all = append(all, eval.Judge(mode, queries, last, o.k))
	}
	return all, last, nil
}

// request is a search in one mode, without its text.
func (o *evalOptions) request(mode string) wire.SearchRequest {
	return wire.SearchRequest{
		Collection: o.collection, Tenant: o.tenant, Mode: mode, K: o.depth, Rerank: o.rerank, Include: []string{},
	}
}

// asker returns a function that searches for a text and returns the ids of the hits.
func asker(c *client.Client, r wire.SearchRequest) func(ctx context.Context, text string) ([]string, error) {
	return func(ctx context.Context, text string) (ids []string, err error) {
		r := r
		r.Text = text
		found, err := c.Search(ctx, r)
		for _, h := range found.Hits {
			ids = append(ids, h.ID)
		}
		return ids, err
	}
}

// rankings asks all queries, and shows how far it has come.
func rankings(ctx context.Context, m *meter, ask func(context.Context, string) ([]string, error), queries []eval.Query) ([][]string, error) {
	defer m.end()
	var done atomic.Int64
	ranked := make([][]string, len(queries))
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(evalWidth + 1)
	asking.Go(func() error { return watch(ctx, m, &done, len(queries)) })
	for i, q := range queries {
		asking.Go(func() error {
			defer done.Add(1)
			var err error
			if ranked[i], err = ask(ctx, q.Text); err != nil {
				return fmt.Errorf("query %s: %w", q.ID, err)
			}
			return nil
		})
	}
	return ranked, asking.Wait()
}

// watch shows how many of n queries have been answered, until all have.
func watch(ctx context.Context, m *meter, done *atomic.Int64, n int) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for done.Load() < int64(n) {
		select {
		case <-ctx.Done():
			return nil // whoever failed says why
		case <-tick.C:
			m.set(int(done.Load()))
		}
	}
	return nil
}

func (o *evalOptions) print(p show.Printer, all []eval.Scores, skipped int) {
	cell := func(f eval.Figure) string { return fmt.Sprintf("%.3f (%.3f to %.3f)", f.Mean, f.Low, f.High) }
	p.Line("%s", p.Bold(fmt.Sprintf("%-8s  %-22s  %-22s  %-22s", "mode",
		fmt.Sprintf("nDCG@%d", o.k), fmt.Sprintf("recall@%d", o.k), "MRR")))
	for _, s := range all {
		p.Line("%s", strings.TrimRight(fmt.Sprintf("%-8s  %-22s  %-22s  %-22s", s.Mode, cell(s.NDCG), cell(s.Recall), cell(s.MRR)), " "))
	}
	note := show.Plural(all[0].Queries, "query")
	if skipped > 0 {
		note += fmt.Sprintf(", %d more without a relevant document left out", skipped)
	}
	p.Line("%s", p.Dim(note+"; in brackets 95 % of the means of redrawn queries"))
}
