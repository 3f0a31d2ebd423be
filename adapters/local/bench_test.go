package local_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/search"
)

const benchDims = 256

// corpus makes random points, whose numbers begin at from.
func corpus(from, n, dims int) []search.Point {
	rng := rand.New(rand.NewPCG(uint64(from), 7))
	all := make([]float32, n*dims)
	for i := range all {
		all[i] = float32(rng.NormFloat64())
	}
	points := make([]search.Point, n)
	for i := range points {
		points[i] = search.Point{
			Key: search.Key{ID: fmt.Sprintf("doc-%08d", from+i)}, Version: 1, Dense: all[i*dims : (i+1)*dims],
			Text: "A passage of the usual length, about two hundred bytes of text that a user would want to read, with its " +
				"beginning, its middle and its end, so that the file grows as it does in the field, line by line.",
			Meta: fmt.Appendf(nil, `{"path":"docs/%d.md","line":%d,"lang":"%s"}`, i%100, i, []string{"en", "de", "fr"}[i%3]),
		}
	}
	return points
}

// filled opens a store with rows random points of a collection "docs".
func filled(tb testing.TB, rows int, metric search.Metric) *local.Store {
	tb.Helper()
	return filledAt(tb, tb.TempDir(), rows, metric)
}

func filledAt(tb testing.TB, dir string, rows int, metric search.Metric) *local.Store {
	tb.Helper()
	s, err := local.Open(local.Config{Path: dir})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	mustWrite(tb, s, search.Batch{Create: &search.Collection{Name: "docs", Dims: benchDims, Metric: metric}})
	for from := 0; from < rows; from += 1000 {
		mustWrite(tb, s, search.Batch{Collection: "docs", Upserts: corpus(from, min(1000, rows-from), benchDims)})
	}
	return s
}

func mustWrite(tb testing.TB, s search.Writer, b search.Batch) {
	tb.Helper()
	if _, err := s.Write(tb.Context(), b); err != nil {
		tb.Fatal(err)
	}
}

func mustSearch(tb testing.TB, s search.Searcher, q search.Query) search.Result {
	tb.Helper()
	res, err := s.Search(tb.Context(), q)
	if err != nil {
		tb.Fatal(err)
	}
	return res
}

func topTen(seed int) search.Query {
	return search.Query{Collection: "docs", Legs: []search.Leg{{Dense: corpus(-1-seed, 1, benchDims)[0].Dense, K: 10}}}
}

func BenchmarkSearch(b *testing.B) {
	for _, m := range []search.Metric{search.Cosine, search.Dot, search.Euclidean} {
		b.Run(string(m), func(b *testing.B) {
			rows := 100_000
			if testing.Short() {
				rows = 10_000
			}
			s := filled(b, rows, m)
			q := topTen(0)
			b.SetBytes(int64(rows) * benchDims * 4)
			b.ReportAllocs()
			for b.Loop() {
				mustSearch(b, s, q)
			}
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			s := filled(b, 0, search.Cosine)
			n := 0
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				points := corpus(n, size, benchDims)
				n += size
				b.StartTimer()
				mustWrite(b, s, search.Batch{Collection: "docs", Upserts: points})
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "points/s")
		})
	}
}

// BenchmarkWrite_concurrent has 64 writers of one point each at a time: they share
// transactions, so that the disk's syncs are not the limit.
func BenchmarkWrite_concurrent(b *testing.B) {
	s := filled(b, 0, search.Cosine)
	points := corpus(0, 20_000, benchDims)
	var next atomic.Int64
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(next.Add(1)) % len(points)
			mustWrite(b, s, search.Batch{Collection: "docs", Upserts: points[i : i+1]})
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "points/s")
}

// BenchmarkOpen opens a store of 10,000 points.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := filledAt(b, dir, 10_000, search.Cosine)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := local.Open(local.Config{Path: dir})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
