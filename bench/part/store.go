package part

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/data"
	"github.com/lanewise/lanewise/search"
)

// batch is how many points a write has.
const batch = 500

// Store writes drawn points into an embedded store in a folder that it removes, and asks for the ten best by a full scan.
func Store(n, dims int) Part {
	return func(ctx context.Context, r *bench.Report) (err error) {
		points, err := data.Spec{Kind: "clustered", N: n, Dims: dims, Seed: 1}.Points()
		if err != nil {
			return err
		}
		dir, err := os.MkdirTemp("", "lanewise-store-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		s, err := local.Open(local.Config{Path: dir})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		wrote, err := fill(ctx, s, points, dims)
		if err != nil {
			return err
		}
		var failed error
		scan, err := perCall(ctx, func() {
			_, err := s.Search(ctx, search.Query{Collection: "docs", Legs: []search.Leg{{Dense: points[0].Dense, K: 10, Exact: true}}})
			failed = errors.Join(failed, err)
		})
		if err = errors.Join(err, failed); err != nil {
			return err
		}
		sum := bound(n * dims)
		r.Add(fmt.Sprintf("%d x %d", n, dims), []bench.Figure{
			{Name: "written", Unit: "points/s", Better: bench.Higher, Rounds: []float64{float64(n) / wrote.Seconds()}},
			micros("top 10", scan), micros("plain sum over as many numbers", sum), ratio("scan/sum", scan, sum),
		})
		return nil
	}
}

// fill writes in batches, each of which is on disk when the write returns.
func fill(ctx context.Context, s *local.Store, points []search.Point, dims int) (time.Duration, error) {
	about := search.Collection{Name: "docs", Dims: dims, Metric: search.Cosine}
	if _, err := s.Write(ctx, search.Batch{Create: &about}); err != nil {
		return 0, err
	}
	start := time.Now()
	for i := range points {
		points[i].Version = 1
	}
	for len(points) > 0 {
		size := min(batch, len(points))
		if _, err := s.Write(ctx, search.Batch{Collection: "docs", Upserts: points[:size]}); err != nil {
			return 0, err
		}
		points = points[size:]
	}
	return time.Since(start), nil
}

// bound is the time of a plain sum over n numbers, the best of several, on one core.
func bound(n int) time.Duration {
	numbers := make([]float32, n)
	for i := range numbers {
		numbers[i] = float32(i % 7)
	}
	best := time.Hour
	for range 5 {
		start := time.Now()
		var sums [8]float32
		for i := 0; i+8 <= n; i += 8 {
			for j := range sums {
				sums[j] += numbers[i+j]
			}
		}
		if took := time.Since(start); sums[0] >= 0 && took < best {
			best = took
		}
	}
	return max(best, 1)
}
