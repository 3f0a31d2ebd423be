package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/chat"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
)

// benchChat are the flags of bench chat.
type benchChat struct {
	loading
	reporting
	chat.Workload
	targets      []string
	certificates client.Certificates
	goodput      time.Duration
}

func newBenchChat(a *app) *cobra.Command {
	o := benchChat{}
	cmd := &cobra.Command{
		Use:   "chat --target URL [--target URL ...] --model NAME",
		Short: "Load servers of language models, or lanewise before them",
		Long: `Chat loads OpenAI-compatible servers with chat completions: the time to the first
words, the time between tokens, tokens a second, and what share of the prompts
the server had cached, where it tells. Questions are drawn words, about a token
each; --prefix words stand before them, and are one of --shared beginnings.

The key is read from LANEWISE_KEY, or OPENAI_API_KEY.`,
		Example: `  lanewise bench chat --target http://127.0.0.1:8080/v1 --model small --rate 5
  lanewise bench chat --target http://127.0.0.1:8000/v1 --model small --prefix 1000 --shared 50 --sigma 1
  lanewise bench chat --target http://127.0.0.1:8080 --model small --goodput 500ms --json chat.json`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.targets) == 0 {
				o.targets = []string{cmp.Or(a.env("LANEWISE_URL"), defaultURL)}
			}
			if o.Model == "" {
				return misuse("give --model NAME")
			}
			slo, err := o.check()
			if err != nil {
				return err
			}
			o.Seed = o.Load.Seed
			return o.measure(cmd, a, func(ctx context.Context, r *bench.Report) error {
				if slo != nil {
					return o.highest(ctx, a, r, *slo)
				}
				return o.run(ctx, a, r)
			})
		},
	}
	f := cmd.Flags()
	o.loading.flags(f)
	o.promise(f)
	o.reporting.flags(f)
	certificateFlags(f, &o.certificates, a)
	f.StringArrayVar(&o.targets, "target", nil, "URL to load; may be given several times (default $LANEWISE_URL, or "+defaultURL+")")
	f.StringVar(&o.Model, "model", "", "name of the model")
	f.BoolVar(&o.Whole, "whole", false, "ask for answers in one piece instead of streams")
	f.IntVar(&o.Prompt, "prompt", 200, "words of a question, on average")
	f.Float64Var(&o.Sigma, "sigma", 0.5, "how mixed their lengths are: 0 equal, 1 very")
	f.IntVar(&o.Prefix, "prefix", 0, "words before the question that others share")
	f.IntVar(&o.Shared, "shared", 10, "beginnings that are shared")
	f.Float64Var(&o.Zipf, "zipf", 1, "exponent of their shares")
	f.IntVar(&o.Output, "output", 64, "most tokens of an answer")
	f.DurationVar(&o.Timeout, "timeout", time.Minute, "of a whole answer")
	f.DurationVar(&o.goodput, "goodput", 0, "also count the answers whose first words came in that time")
	within(f, 1, 1e6, "prompt", "shared", "output")
	within(f, 0, 1e6, "prefix")
	within(f, 0, 3, "sigma")
	within(f, 0, 10, "zipf")
	within(f, 0.001, 0, "timeout")
	within(f, 0, 0, "goodput")
	return cmd
}

// aims returns the targets, after a first call of each.
func (o *benchChat) aims(ctx context.Context, a *app) (out []chat.Target, err error) {
	secure, err := o.certificates.Open()
	if err != nil {
		return nil, usageError{err}
	}
	for _, url := range o.targets {
		t := chat.Target{URL: url, Key: cmp.Or(a.env("LANEWISE_KEY"), a.env("OPENAI_API_KEY")), TLS: secure}
		if err := o.Try(ctx, t); err != nil {
			return nil, fmt.Errorf("the first call of %s: %w", url, err)
		}
		out = append(out, t)
	}
	return out, nil
}

func (o *benchChat) run(ctx context.Context, a *app, r *bench.Report) error {
	targets, err := o.aims(ctx, a)
	if err != nil {
		return err
	}
	tails := bench.Tails()
	tails.Title = "time to the first words, by share of the answers"
	var overtime []bench.Plot
	var first bench.Distribution // of the round that is drawn
	all := systems{loading: &o.loading, to: a.err, report: r, names: o.targets}
	all.measure = func(ctx context.Context, i int, l bench.Load) (measured, error) {
		w := o.Workload
		w.Seed = l.Seed
		result, err := w.Run(ctx, l, targets[i])
		first = result.First
		figures := result.Figures()
		if o.goodput > 0 {
			figures = append(figures, result.Goodput(o.goodput))
		}
		return measured{result.Result, figures}, err
	}
	all.draw = func(i int, m measured) {
		tails.Lines = append(tails.Lines, bench.TailLine(o.targets[i], first))
		overtime = append(overtime, bench.Overtime(o.targets[i], m.Series, nil)...)
	}
	err = all.run(ctx)
	r.Plots = append([]bench.Plot{tails}, overtime...)
	return err
}

// highest finds the highest rate at which whole answers keep a promise.
func (o *benchChat) highest(ctx context.Context, a *app, r *bench.Report, slo bench.SLO) error {
	targets, err := o.aims(ctx, a)
	if err != nil {
		return err
	}
	for _, t := range targets {
		err := o.With(t, func(call bench.Call) error {
			rate, best, err := slo.Highest(ctx, o.Load, call, progress(a.err, t.URL))
			if err == nil {
				r.Add(t.URL, append([]bench.Figure{slo.Figure(rate)}, best.Figures()...))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
