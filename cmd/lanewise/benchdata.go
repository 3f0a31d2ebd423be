package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/data"
	"github.com/lanewise/lanewise/search"
)

// benchData are the flags of bench data.
type benchData struct {
	spec       data.Spec
	out        string
	queries    int
	queriesOut string
	truth      int
	truthOut   string
	metric     string
}

func newBenchData(a *app) *cobra.Command {
	o := benchData{}
	cmd := &cobra.Command{
		Use:   "data --gen KIND --out FILE.jsonl",
		Short: "Draw a set of points, queries for it and their exact answers",
		Long: `Data draws points as JSON lines that "lanewise ingest FILE.jsonl" stores:
clustered (around centres), uniform (on the sphere), or tenants (clustered, of
tenants whose sizes follow Zipf's law). --queries N writes N vectors drawn the
same way as fvecs, --truth K the ids of the K best points of each, by exact search
over all tenants, as JSON lines.`,
		Example: `  lanewise bench data --gen clustered -n 100000 --dims 128 --out points.jsonl --queries 1000 --truth 10`,
		Args:    nothing,
		RunE:    func(*cobra.Command, []string) error { return o.run(a) },
	}
	f := cmd.Flags()
	f.StringVar(&o.spec.Kind, "gen", "clustered", "clustered, uniform or tenants")
	f.IntVarP(&o.spec.N, "count", "n", 10_000, "points")
	f.IntVar(&o.spec.Dims, "dims", 128, "numbers of a vector")
	f.IntVar(&o.spec.Tenants, "tenants", 100, "with --gen tenants: how many")
	f.Uint64Var(&o.spec.Seed, "seed", 1, "the same seed draws the same set")
	f.StringVar(&o.out, "out", "points.jsonl", "file of the points")
	f.IntVar(&o.queries, "queries", 0, "queries to draw")
	f.StringVar(&o.queriesOut, "queries-out", "queries.fvecs", "file of the queries")
	f.IntVar(&o.truth, "truth", 0, "best points to find for each query")
	f.StringVar(&o.truthOut, "truth-out", "truth.jsonl", "file of the ids of the best points")
	f.StringVar(&o.metric, "metric", "cosine", "of the exact search: cosine, dot or euclidean")
	within(f, 1, 0, "count", "tenants")
	within(f, 1, 65_536, "dims")
	within(f, 0, 0, "queries", "truth")
	return cmd
}

func (o *benchData) run(a *app) error {
	if o.truth > 0 && o.queries == 0 {
		return misuse("--truth needs --queries")
	}
	switch search.Metric(o.metric) {
	case search.Cosine, search.Dot, search.Euclidean:
	default:
		return misuse("--metric is %q: it is cosine, dot or euclidean", o.metric)
	}
	// Queries are points of the same centres that the set does not have.
	spec := o.spec
	spec.N += o.queries
	points, err := spec.Points()
	if err != nil {
		return err
	}
	points, rest := points[:o.spec.N], points[o.spec.N:]
	queries := make([][]float32, len(rest))
	for i, p := range rest {
		queries[i] = p.Dense
	}
	if err := bench.WriteFile(o.out, func(w io.Writer) error { return writePoints(w, points) }); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(a.out, "%s: %d points of %d dims\n", o.out, len(points), o.spec.Dims)
	if o.queries == 0 {
		return nil
	}
	if err := bench.WriteFile(o.queriesOut, func(w io.Writer) error { return data.WriteFvecs(w, queries) }); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(a.out, "%s: %d queries\n", o.queriesOut, len(queries))
	return o.writeTruth(a, points, queries)
}

func (o *benchData) writeTruth(a *app, points []search.Point, queries [][]float32) error {
	if o.truth == 0 {
		return nil
	}
	truth, err := data.Truth(search.Metric(o.metric), points, queries, o.truth)
	if err != nil {
		return err
	}
	err = bench.WriteFile(o.truthOut, func(w io.Writer) error {
		e := json.NewEncoder(w)
		for i, ids := range truth {
			if err := e.Encode(map[string]any{"query": i, "ids": ids}); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		_, _ = fmt.Fprintf(a.out, "%s: the %d best points of each query\n", o.truthOut, o.truth)
	}
	return err
}

func writePoints(w io.Writer, points []search.Point) error {
	type line struct {
		ID       string            `json:"id"`
		Tenant   string            `json:"tenant,omitempty"`
		Vector   []float32         `json:"vector"`
		Metadata map[string]uint64 `json:"metadata"`
	}
	e := json.NewEncoder(w)
	for i, p := range points {
		if err := e.Encode(line{p.ID, p.Tenant, p.Dense, map[string]uint64{"number": uint64(i), "tenth": uint64(i % 10)}}); err != nil {
			return err
		}
	}
	return nil
}
