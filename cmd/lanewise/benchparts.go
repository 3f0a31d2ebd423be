package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/part"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
	"github.com/lanewise/lanewise/internal/corpus"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

// partCommand is a benchmark of one part, with its own flags.
type partCommand struct {
	reporting
	rounds int
}

func (p *partCommand) command(a *app, use cobra.Command, measure func() part.Part) *cobra.Command {
	use.Args = nothing
	use.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.measure(cmd, a, func(ctx context.Context, r *bench.Report) error {
			for round := range p.rounds {
				_, _ = fmt.Fprintf(a.err, "round %d of %d\n", round+1, p.rounds)
				if err := measure()(ctx, r); err != nil {
					return err
				}
			}
			return nil
		})
	}
	p.flags(use.Flags())
	use.Flags().IntVar(&p.rounds, "rounds", 5, "how often to measure")
	within(use.Flags(), 1, 1000, "rounds")
	return &use
}

func newBenchMerge(a *app) *cobra.Command {
	var shards, k int
	cmd := new(partCommand).command(a, cobra.Command{
		Use: "merge", Short: "Join the best hits of several shards, beside container/heap in the same order", Example: "  lanewise bench merge --shards 16 -k 100",
	}, func() part.Part { return part.Merge(shards, k) })
	cmd.Flags().IntVar(&shards, "shards", 16, "lists")
	cmd.Flags().IntVarP(&k, "k", "k", 100, "hits of each list, and of the result")
	within(cmd.Flags(), 1, 10_000, "shards", "k")
	return cmd
}

func newBenchMap(a *app) *cobra.Command {
	var shards int
	cmd := new(partCommand).command(a, cobra.Command{
		Use: "map", Short: "Place partitions, look keys up, and let a shard join", Example: "  lanewise bench map --shards 16",
	}, func() part.Part { return part.Map(shards) })
	cmd.Flags().IntVar(&shards, "shards", 16, "before one more joins")
	within(cmd.Flags(), 1, 1000, "shards")
	return cmd
}

func newBenchEmbed(a *app) *cobra.Command {
	var lane bool
	var measured time.Duration
	cmd := new(partCommand).command(a, cobra.Command{
		Use: "embed", Short: "Embed texts with the built-in model, or through the lane before upstreams", Example: `  lanewise bench embed --json embed.json
  lanewise bench embed --lane --rounds 3`,
		Long: `Embed embeds texts with the built-in model, 64 at a time and one alone.

With --lane it measures what the lane before embedding upstreams does instead:
texts of many callers that share calls, one caller alone, bulk over three
upstreams, single texts beside bulk, and the cache, each beside what was asked
of it. The upstreams are fakes in this process, which sleep.

The same in virtual time, which no busy machine disturbs: in a checkout of lanewise

  go test ./embed -v -run Target`,
	}, func() part.Part {
		if lane {
			return part.Lane(measured)
		}
		return part.Embed
	})
	cmd.Flags().BoolVar(&lane, "lane", false, "measure the lane before upstreams that are fakes")
	cmd.Flags().DurationVar(&measured, "duration", 6*time.Second, "with --lane: of each load of single texts, without and with bulk")
	within(cmd.Flags(), 0.001, 0, "duration")
	return cmd
}

func newBenchStore(a *app) *cobra.Command {
	var n, dims int
	cmd := new(partCommand).command(a, cobra.Command{
		Use: "store", Short: "Write into an embedded store and scan it, beside a plain sum over as many numbers", Example: "  lanewise bench store -n 100000 --dims 256",
		Long: `Store writes points into an embedded store and scans them, beside a loop in Go that
only adds up as many numbers, without vector instructions. A scan has them where
the processor does, and is faster then as long as memory is.

Beside chromem-go and a sum by vector instructions, which are no part of this
program: in a checkout of lanewise

  go test ./adapters/local -run '^$' -bench Target`,
	}, func() part.Part { return part.Store(n, dims) })
	cmd.Flags().IntVarP(&n, "count", "n", 20_000, "points")
	cmd.Flags().IntVar(&dims, "dims", 256, "numbers of a vector")
	within(cmd.Flags(), 1, 0, "count")
	within(cmd.Flags(), 1, 65_536, "dims")
	return cmd
}

// sink writes to a server.
type sink struct{ *client.Client }

// Create implements part.Server.
func (s sink) Create(ctx context.Context, collection string, dims int) error {
	_, err := s.CreateCollection(ctx, collection, wire.Collection{Dims: dims, Metric: search.Cosine})
	return err
}

// Put implements part.Server.
func (s sink) Put(ctx context.Context, collection string, points []search.Point) error {
	docs := make([]corpus.Document, len(points))
	for i, p := range points {
		docs[i] = corpus.Document{ID: p.ID, Vector: p.Dense}
	}
	return s.Upsert(ctx, collection, "", docs)
}

// Drop implements part.Server.
func (s sink) Drop(ctx context.Context, collection string) error {
	return s.DropCollection(ctx, collection)
}

func newBenchIngest(a *app) *cobra.Command {
	var t target
	var o part.Ingest
	p := partCommand{}
	cmd := p.command(a, cobra.Command{
		Use: "ingest", Short: "Write drawn points to a server, in a collection that is removed again",
		Long: `Ingest creates a collection whose name begins with "bench-", writes drawn points into
it, each batch acknowledged by all replicas, and removes it again.`,
		Example: "  lanewise bench ingest --url http://127.0.0.1:8080 -n 50000 --dims 256",
	}, func() part.Part {
		return func(ctx context.Context, r *bench.Report) error {
			return t.with(ctx, a, func(c *client.Client) error {
				o.Name = fmt.Sprintf("bench-%d", time.Now().UnixNano())
				return o.Run(ctx, sink{c}, r)
			})
		}
	})
	f := cmd.Flags()
	t.serverFlags(f, a)
	f.StringVarP(&t.file, "config", "c", "", "configuration to run in this process, instead of a server")
	f.IntVarP(&o.N, "count", "n", 10_000, "points")
	f.IntVar(&o.Dims, "dims", 256, "numbers of a vector")
	f.IntVar(&o.Batch, "batch", 500, "points a request")
	f.IntVar(&o.Parallel, "parallel", 4, "requests at a time")
	within(f, 1, 0, "count", "batch")
	within(f, 1, 65_536, "dims")
	within(f, 1, 1000, "parallel")
	return cmd
}
