package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/eval"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/show"
	"github.com/lanewise/lanewise/router"
)

type reembedOptions struct {
	target
	step         router.Reembed
	judge        evalOptions
	keep, anyway bool
}

func newReembed(a *app) *cobra.Command {
	o := reembedOptions{judge: evalOptions{k: 10, depth: 100}}
	cmd := &cobra.Command{
		Use:   "reembed NAME --to SPACE",
		Short: "Move a collection to another embedding model",
		Long: `Reembed embeds the texts of a collection anew, into the space of another
configured embedder and a new collection NAME--SPACE, compares how well both
answer judged queries, and has the name stand for the new collection. Searches
and writes go on meanwhile: what is written is carried over, and for the moment
of the swap writes wait.

NAME is best an alias: the swap points it to the new collection, and the old one
stays as it is, so that the way back is one more alias. A collection's own name
can only become an alias where the old points go: with --replace they are
dropped after the swap, and there is no way back.

It may be interrupted or killed at any time: started again, it passes over the
points that are done. Where the new model answers the queries worse, beyond what
chance explains, nothing is swapped. The server must run on this machine.`,
		Example: `  lanewise reembed live --to bge-m3-1024 --queries queries.jsonl --qrels qrels.tsv
  lanewise reembed docs --to bge-m3-1024 --replace`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 || o.step.Space == "":
				return misuse("name the collection and the space: lanewise reembed NAME --to SPACE")
			case (o.judge.queries == "") != (o.judge.qrels == ""):
				return misuse("give --queries FILE and --qrels FILE together")
			case o.keep && o.step.Replace:
				return misuse("--keep swaps nothing, so that nothing is replaced")
			}
			o.collection, o.step.Collection = args[0], args[0]
			return o.with(cmd.Context(), a, func(c *client.Client) error { return o.run(cmd.Context(), a, c) })
		},
	}
	o.flags(cmd, a)
	f := cmd.Flags()
	f.Lookup("collection").Hidden = true // it is NAME
	f.StringVar(&o.step.Space, "to", "", "id of the embedding space to move to, of a configured embedder")
	f.StringVar(&o.judge.queries, "queries", "", "file of queries, as eval reads it")
	f.StringVar(&o.judge.qrels, "qrels", "", "file of relevance judgements, as eval reads it")
	f.StringVar(&o.judge.tenant, "tenant", "", "tenant whose documents the queries are about")
	f.BoolVar(&o.keep, "keep", false, "copy and compare only, and let the name stand for what it does")
	f.BoolVar(&o.step.Replace, "replace", false, "of a collection's own name: drop the old points after the swap")
	f.BoolVar(&o.anyway, "anyway", false, "swap also where the new model answers the queries worse")
	f.IntVar(&o.step.Limit, "batch", 0, "points a step (default 250)")
	return cmd
}

func (o *reembedOptions) run(ctx context.Context, a *app, c *client.Client) error {
	have, err := c.Collection(ctx, o.collection)
	if err != nil {
		return err
	}
	if !o.keep && have.Name == o.collection && have.Space != o.step.Space && !o.step.Replace {
		return misuse("%q is the collection's own name: it can stand for the new one only where the old points are dropped (--replace); "+
			"--keep copies and compares without", o.collection)
	}
	step := o.step
	copied, err := o.steps(ctx, a, c, step)
	if err != nil {
		return fmt.Errorf("%w; the same command goes on where it was", err)
	}
	if copied.Swapped {
		a.printer().Line("%s is of space %s already: nothing to do", o.collection, step.Space)
		return nil
	}
	if err := o.compare(ctx, a, c, copied); err != nil {
		return err
	}
	if o.keep {
		a.printer().Line("%s still stands for %s; started again without --keep, the command swaps", o.collection, copied.From)
		return nil
	}
	step.Swap = true
	if _, err := o.steps(ctx, a, c, step); err != nil {
		return fmt.Errorf("swap: %w", err)
	}
	a.printer().Line("%s stands for %s now", o.collection, copied.Into)
	return nil
}

// steps takes all steps and prints what they came to.
func (o *reembedOptions) steps(ctx context.Context, a *app, c *client.Client, step router.Reembed) (done client.Reembedded, err error) {
	m := newMeter(a, "looked at")
	defer m.end()
	began, seen, embedded, deleted := time.Now(), 0, 0, 0
	for {
		if done, err = c.Reembed(ctx, step); err != nil {
			return done, err
		}
		seen, embedded, deleted = seen+done.Seen, embedded+done.Embedded, deleted+done.Deleted
		m.set(seen)
		if step.Cursor = done.Cursor; step.Cursor == "" {
			break
		}
	}
	m.end()
	if !done.Swapped || embedded+deleted > 0 {
		a.printer().Line("%s of %s embedded into %s, %s deleted there, in %s", show.Plural(embedded, "point"), done.From, done.Into,
			show.Count(deleted), show.Took(time.Since(began)))
	}
	return done, nil
}

// compare has both collections judged, and refuses to go on where the new one is worse.
func (o *reembedOptions) compare(ctx context.Context, a *app, c *client.Client, done client.Reembedded) error {
	if o.judge.queries == "" {
		return nil
	}
	queries, skipped, err := eval.Read(o.judge.queries, o.judge.qrels)
	if err != nil {
		return err
	}
	var rankings [2][][]string
	for i, name := range [2]string{done.From, done.Into} {
		have, err := c.Collection(ctx, name)
		if err != nil {
			return err
		}
		o.judge.collection, o.judge.modes = name, []string{"dense"}
		if have.Lexical != nil && *have.Lexical {
			o.judge.modes = []string{"dense", "hybrid"}
		}
		all, ranked, err := o.judge.judge(ctx, a, c, queries)
		if err != nil {
			return err
		}
		rankings[i] = ranked
		a.printer().Line("%s, space %s", a.printer().Bold(name), have.Space)
		o.judge.print(a.printer(), all, skipped)
	}
	gain := eval.Gain(queries, rankings[1], rankings[0], o.judge.k)
	a.printer().Line("the new one's nDCG@%d is %+.3f above the old one's (%+.3f to %+.3f)", o.judge.k, gain.Mean, gain.Low, gain.High)
	if gain.High < 0 && !o.anyway {
		return fmt.Errorf("%s answers the queries worse than %s: nothing was swapped (--anyway swaps all the same)", done.Into, done.From)
	}
	return nil
}
