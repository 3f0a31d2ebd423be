package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/data"
	"github.com/lanewise/lanewise/bench/query"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/aim"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
)

// benchSearch are the flags of bench search.
type benchSearch struct {
	loading
	reporting
	targets      []string
	certificates client.Certificates
	aim.Options
	queries       string
	k, mode       string
	filters       []string
	tenants       int
	tenant        string
	zipf          float64
	timeout       time.Duration
	recall, drawn int
}

func newBenchSearch(a *app) *cobra.Command {
	o := benchSearch{}
	cmd := &cobra.Command{
		Use:   "search --target URL [--target URL ...]",
		Short: "Load searches on lanewise servers and engines, side by side",
		Long: `Search loads one target after the other with the same searches, in several rounds.
A target is a lanewise server (http://host:8080), or a collection of an engine
without lanewise's router in front of it (qdrant://host:6334/docs,
milvus://..., weaviate://..., postgres://...), asked through lanewise's adapter.

Queries are a file (.jsonl with "text" or "vector" in each line, .fvecs, .bvecs,
.npy), or are drawn from the collection: the vectors of its first points, or
with --texts their first words.`,
		Example: `  lanewise bench search --target http://127.0.0.1:8080 --queries q.jsonl --rate 200
  lanewise bench search --target http://127.0.0.1:8080 --target qdrant://127.0.0.1:6334/docs --recall 100
  lanewise bench search --target http://127.0.0.1:8080 --slo p99=50ms --html report.html
  lanewise bench search --target http://127.0.0.1:8080 --k 10:0.9,100:0.1 --filter '{"year": 2024}'`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.targets) == 0 {
				o.targets = []string{cmp.Or(a.env("LANEWISE_URL"), defaultURL)}
			}
			o.Key, o.EngineKey = a.env("LANEWISE_KEY"), a.env("LANEWISE_ENGINE_KEY")
			var err error
			if o.TLS, err = o.certificates.Open(); err != nil {
				return usageError{err}
			}
			slo, err := o.check()
			if err != nil {
				return err
			}
			mix, err := o.mix()
			if err != nil {
				return err
			}
			return o.measure(cmd, a, func(ctx context.Context, r *bench.Report) error {
				return o.run(ctx, searches{to: a.err, report: r}, mix, slo)
			})
		},
	}
	o.flags(cmd.Flags(), a)
	return cmd
}

func (o *benchSearch) flags(f *pflag.FlagSet, a *app) {
	o.loading.flags(f)
	o.promise(f)
	o.reporting.flags(f)
	certificateFlags(f, &o.certificates, a)
	f.StringArrayVar(&o.targets, "target", nil, "URL to load; may be given several times (default $LANEWISE_URL, or "+defaultURL+")")
	f.StringVar(&o.Collection, "collection", "docs", "name of the collection on lanewise servers")
	f.StringVar(&o.queries, "queries", "", "file of queries (default: drawn from the collection)")
	f.IntVar(&o.drawn, "draw", 1000, "queries to draw where there is no file")
	f.BoolVar(&o.Texts, "texts", false, "draw texts instead of vectors")
	f.StringVarP(&o.k, "k", "k", "10", "hits to ask for, with shares: 10:0.9,100:0.1")
	f.StringVar(&o.mode, "mode", "", "of lanewise servers, with shares: hybrid:0.5,dense:0.5")
	f.StringArrayVar(&o.filters, "filter", nil, "filter in JSON; of several, one is drawn for each search; {} is none")
	f.StringVar(&o.tenant, "tenant", "", "tenant, or with --tenants what stands before its number")
	f.IntVar(&o.tenants, "tenants", 0, "draw from that many tenants: t0, t1, ...")
	f.Float64Var(&o.zipf, "zipf", 1, "exponent of the tenants' shares")
	f.DurationVar(&o.timeout, "timeout", 0, "of each search (default: the target's)")
	f.IntVar(&o.recall, "recall", 0, "compare that many answers of each round with exact searches")
	within(f, 1, 1e6, "draw")
	within(f, 0, 1e6, "tenants", "recall")
	within(f, 0, 10, "zipf")
	within(f, 0, 0, "timeout")
}

// mix reads the flags of the mix, which then lacks its queries if they are drawn.
func (o *benchSearch) mix() (m query.Mix, err error) {
	m = query.Mix{Zipf: o.zipf, Timeout: o.timeout, Seed: o.Seed}
	if m.K, err = query.ParseShares("--k", o.k); err != nil {
		return m, misuse("%v", err)
	}
	if o.mode != "" {
		if m.Mode, err = query.ParseShares("--mode", o.mode); err != nil {
			return m, misuse("%v", err)
		}
	}
	for _, f := range o.filters {
		m.Filter = append(m.Filter, query.Share{Value: f, Weight: 1})
	}
	switch {
	case o.tenants > 0:
		for i := range o.tenants {
			m.Tenants = append(m.Tenants, cmp.Or(o.tenant, "t")+strconv.Itoa(i))
		}
	case o.tenant != "":
		m.Tenants = []string{o.tenant}
	}
	if err := m.Check(); err != nil {
		return m, misuse("--%s", strings.TrimPrefix(err.Error(), "/")) // its fields are called as the flags
	}
	if o.queries != "" {
		m.Queries, err = data.Queries(o.queries)
	}
	return m, err
}

func (o *benchSearch) run(ctx context.Context, s searches, mix query.Mix, slo *bench.SLO) (err error) {
	defer func() {
		for _, t := range s.targets {
			t.Close()
		}
	}()
	for _, url := range o.targets {
		t, err := aim.Open(ctx, url, o.Options)
		if err != nil {
			return fmt.Errorf("the target %s: %w", url, err)
		}
		s.targets = append(s.targets, t)
		s.report.Note(t.Name + ": " + t.About)
	}
	if len(mix.Queries) == 0 {
		if mix.Queries, err = s.targets[0].Draw(ctx, o.drawn, o.tenant); err != nil {
			return err
		}
	}
	for _, t := range s.targets {
		if err := mix.Try(ctx, t); err != nil {
			return fmt.Errorf("the first search of %s: %w", t.Name, err)
		}
	}
	plan := query.Plan{Load: o.Load, Mix: mix, Sample: o.recall}
	if slo != nil {
		return o.highest(ctx, *slo, plan, s)
	}
	return o.sideBySide(ctx, plan, s)
}

// searches are made on several targets.
type searches struct {
	to      io.Writer
	report  *bench.Report
	targets []*aim.Target
}

func (o *benchSearch) sideBySide(ctx context.Context, plan query.Plan, s searches) error {
	tails := bench.Tails()
	var overtime []bench.Plot
	all := systems{loading: &o.loading, to: s.to, report: s.report}
	for _, t := range s.targets {
		all.names = append(all.names, t.Name)
	}
	all.measure = func(ctx context.Context, i int, l bench.Load) (measured, error) {
		plan := plan
		plan.Load, plan.Mix.Seed = l, l.Seed
		result, err := plan.Run(ctx, s.targets[i])
		return measured{result.Result, result.Figures()}, err
	}
	all.draw = func(i int, m measured) {
		tails.Lines = append(tails.Lines, bench.TailLine(all.names[i], m.Latency))
		overtime = append(overtime, bench.Overtime(all.names[i], m.Series, nil)...)
	}
	err := all.run(ctx)
	s.report.Plots = append([]bench.Plot{tails}, overtime...)
	return err
}

func (o *benchSearch) highest(ctx context.Context, slo bench.SLO, plan query.Plan, s searches) error {
	for _, t := range s.targets {
		rate, best, err := plan.Highest(ctx, t, slo, progress(s.to, t.Name))
		if err != nil {
			return err
		}
		s.report.Add(t.Name, append([]bench.Figure{slo.Figure(rate)}, best.Figures()...))
	}
	return nil
}
