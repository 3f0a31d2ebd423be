//go:build unix

package local

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	chromem "github.com/philippgille/chromem-go"
	"github.com/viterin/vek/vek32"

	"github.com/lanewise/lanewise/search"
)

// The benchmarks here print ratios of figures taken in turns within one run,
// because times on a shared machine mean little by themselves. Each iteration is
// one round; the ratios are of the medians.

const targetDims = 256

// rows of the targets' collection: all of them, or few with -short.
func targetRows() int {
	if testing.Short() {
		return 10_000
	}
	return 100_000
}

// loaded opens a store with random vectors.
func loaded(b *testing.B, rows int, metric search.Metric) *Store {
	b.Helper()
	s, err := Open(Config{Path: b.TempDir(), Index: []string{"lang"}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	create := search.Batch{Create: &search.Collection{Name: "docs", Dims: targetDims, Metric: metric}}
	if _, err := s.Write(b.Context(), create); err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for from := 0; from < rows; from += 10_000 {
		batch := search.Batch{Collection: "docs"}
		for i, v := range randomRows(rng, min(10_000, rows-from), targetDims) {
			batch.Upserts = append(batch.Upserts, search.Point{
				Key: search.Key{ID: fmt.Sprintf("%08d", from+i)}, Version: 1, Dense: v,
				Meta: fmt.Appendf(nil, `{"lang":"%s","n":%d}`, []string{"en", "de", "fr", "it"}[i%4], from+i),
			})
		}
		if _, err := s.Write(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// sumAll reads every vector once: as fast as this machine reads them.
func (s *Store) sumAll() (sum float32) {
	p, _ := s.state.Load().collections["docs"].tenants.get("")
	for _, b := range p.blocks {
		sum += vek32.Sum(b.vectors[:b.n*b.dims])
	}
	return sum
}

// rounds times things in turns.
type rounds struct {
	b     *testing.B
	names []string
	times map[string][]time.Duration
	cpu   map[string][]time.Duration // of the process: other processes do not count
}

func (r *rounds) time(name string, f func()) {
	start, before := time.Now(), cpuTime()
	f()
	r.cpu[name] = append(r.cpu[name], cpuTime()-before)
	if !slices.Contains(r.names, name) {
		r.names = append(r.names, name)
	}
	r.times[name] = append(r.times[name], time.Since(start))
}

func newRounds(b *testing.B) *rounds {
	b.Helper()
	return &rounds{b: b, times: map[string][]time.Duration{}, cpu: map[string][]time.Duration{}}
}

// cpuTime returns the processor time that the process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(times []time.Duration) time.Duration {
	t := slices.Clone(times)
	slices.Sort(t)
	return t[len(t)/2]
}

// ratio reports how many times longer a took than c, on the clock and in
// processor time.
func (r *rounds) ratio(what, a, c string) {
	r.b.ReportMetric(float64(median(r.times[a]))/float64(median(r.times[c])), what)
	r.b.ReportMetric(float64(median(r.cpu[a]))/float64(median(r.cpu[c])), what+"(cpu)")
}

// report prints the medians.
func (r *rounds) report() {
	for _, n := range r.names {
		r.b.Logf("%-20s median of %d: %v, processor time %v", n, len(r.times[n]), median(r.times[n]), median(r.cpu[n]))
	}
}

func (s *Store) ask(b *testing.B, q search.Query) {
	b.Helper()
	if _, err := s.Search(b.Context(), q); err != nil {
		b.Fatal(err)
	}
}

func tenOf(seed uint64, legs int) search.Query {
	q := search.Query{Collection: "docs"}
	for _, v := range randomRows(rand.New(rand.NewPCG(seed, 9)), legs, targetDims) {
		q.Legs = append(q.Legs, search.Leg{Dense: v, K: 10})
	}
	return q
}

// BenchmarkTarget_bandwidth compares the top 10 on one core with the time that
// vek32.Sum takes over the same vectors: share-of-sum >= 0.5, better 0.65.
func BenchmarkTarget_bandwidth(b *testing.B) {
	for _, m := range metrics() {
		b.Run(string(m), func(b *testing.B) {
			s := loaded(b, targetRows(), m)
			s.helpers = nil // one core
			r, sum := newRounds(b), float32(0)
			for b.Loop() {
				r.time("sum", func() { sum += s.sumAll() })
				r.time("search", func() { s.ask(b, tenOf(uint64(len(r.times["sum"])), 1)) })
			}
			r.ratio("share-of-sum", "sum", "search")
			r.report()
		})
	}
}

// BenchmarkTarget_cores compares one core with two: speedup >= 1.6.
func BenchmarkTarget_cores(b *testing.B) {
	s := loaded(b, targetRows(), search.Cosine)
	one := ownCopy(s, nil)
	two := ownCopy(s, make(chan struct{}, 1))
	r := newRounds(b)
	for b.Loop() {
		r.time("one core", func() { one.ask(b, tenOf(1, 1)) })
		r.time("two cores", func() { two.ask(b, tenOf(1, 1)) })
	}
	r.ratio("speedup", "one core", "two cores")
	r.report()
}

// ownCopy returns a second view of a store with other helpers.
func ownCopy(s *Store, helpers chan struct{}) *Store {
	c := &Store{cfg: s.cfg, file: s.file, db: s.db, helpers: helpers, turn: s.turn}
	c.state.Store(s.state.Load())
	return c
}

// BenchmarkTarget_chromem compares with philippgille/chromem-go on the same
// vectors, both with all cores: times-faster >= 7.
func BenchmarkTarget_chromem(b *testing.B) {
	s := loaded(b, targetRows(), search.Cosine)
	peer, err := chromem.NewDB().CreateCollection("docs", nil, func(context.Context, string) ([]float32, error) { return nil, nil })
	if err != nil {
		b.Fatal(err)
	}
	p, _ := s.state.Load().collections["docs"].tenants.get("")
	for _, blk := range p.blocks {
		var docs []chromem.Document
		for i := range blk.n {
			docs = append(docs, chromem.Document{ID: blk.ids[i], Embedding: slices.Clone(blk.vector(i)), Content: "x"})
		}
		if err := peer.AddDocuments(b.Context(), docs, runtime.NumCPU()); err != nil {
			b.Fatal(err)
		}
	}
	r := newRounds(b)
	for b.Loop() {
		q := tenOf(uint64(len(r.names)+7), 1)
		r.time("chromem-go", func() {
			if _, err := peer.QueryEmbedding(b.Context(), slices.Clone(q.Legs[0].Dense), 10, nil, nil); err != nil {
				b.Fatal(err)
			}
		})
		r.time("local", func() { s.ask(b, q) })
	}
	r.ratio("times-faster", "chromem-go", "local")
	r.report()
}

// BenchmarkTarget_batch compares eight legs in one query with eight queries.
func BenchmarkTarget_batch(b *testing.B) {
	s := loaded(b, targetRows(), search.Cosine)
	q := tenOf(3, 8)
	r := newRounds(b)
	for b.Loop() {
		r.time("eight queries", func() {
			for i := range q.Legs {
				s.ask(b, search.Query{Collection: "docs", Legs: q.Legs[i : i+1]})
			}
		})
		r.time("eight legs", func() { s.ask(b, q) })
	}
	r.ratio("times-faster", "eight queries", "eight legs")
	r.report()
}

// BenchmarkTarget_filter compares a filter on an indexed field, on another one,
// and none.
func BenchmarkTarget_filter(b *testing.B) {
	s := loaded(b, targetRows(), search.Cosine)
	queries := map[string]string{"no filter": `{}`, "indexed": `{"lang":"de"}`, "not indexed, wide": `{"n":{"$gte":100}}`, "not indexed, narrow": `{"n":{"$lt":100}}`}
	r := newRounds(b)
	for b.Loop() {
		for name, text := range queries {
			f, err := search.ParseFilter([]byte(text))
			if err != nil {
				b.Fatal(err)
			}
			q := tenOf(3, 1)
			q.Filter = f
			r.time(name, func() { s.ask(b, q) })
		}
	}
	r.ratio("indexed/none", "indexed", "no filter")
	r.report()
}

// BenchmarkTarget_rows prints the cost of a search from 1,000 to 1,000,000 rows.
func BenchmarkTarget_rows(b *testing.B) {
	counts := []int{1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000}
	if testing.Short() {
		counts = counts[:3]
	}
	for _, rows := range counts {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			s := loaded(b, rows, search.Cosine)
			q := tenOf(5, 1)
			r := newRounds(b)
			b.ReportAllocs()
			for b.Loop() {
				r.time("search", func() { s.ask(b, q) })
			}
			b.ReportMetric(float64(median(r.times["search"]).Microseconds()), "median-µs")
			b.ReportMetric(float64(median(r.cpu["search"]).Microseconds()), "cpu-µs")
			b.ReportMetric(float64(median(r.cpu["search"]).Nanoseconds())/float64(rows), "cpu-ns/row")
		})
	}
}
