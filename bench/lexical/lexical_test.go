//go:build unix

// Package lexical_test compares the embedded store's lexical leg with another
// search library on the same documents. It is a package of its own so that nothing
// else links that library.
package lexical_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/simple"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/embed/bm25"
	"github.com/lanewise/lanewise/search"
)

// zipfTexts makes texts of words drawn by Zipf's law from 100,000.
func zipfTexts(seed uint64, n, words int) []string {
	rng := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // reproducible on purpose
	zipf := rand.NewZipf(rng, 1.07, 2, 99_999)
	texts := make([]string, n)
	for i := range texts {
		var b strings.Builder
		for range words {
			b.WriteString(zipfWord(zipf.Uint64()))
			b.WriteByte(' ')
		}
		texts[i] = b.String()
	}
	return texts
}

// zipfWord spells a number in letters: the more common, the shorter.
func zipfWord(n uint64) string {
	word := []byte{"bdfgklmnprst"[n%12], "aeiou"[n/12%5]}
	for n /= 60; n > 0; n /= 60 {
		word = append(word, "bdfgklmnprst"[n%12], "aeiou"[n/12%5])
	}
	return string(word)
}

// rows is how many documents there are: few with -short.
func rows() int {
	if testing.Short() {
		return 10_000
	}
	return 100_000
}

// filled opens a store with a point for each text, with the vector of its words.
func filled(b *testing.B, texts []string, vector func(text string) search.Sparse) *local.Store {
	b.Helper()
	s, err := local.Open(local.Config{Path: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	if _, err := s.Write(b.Context(), search.Batch{Create: &search.Collection{Name: "docs", Dims: 1, Metric: search.Dot, Lexical: true}}); err != nil {
		b.Fatal(err)
	}
	for from := 0; from < len(texts); from += 5000 {
		batch := search.Batch{Collection: "docs"}
		for i, text := range texts[from:min(from+5000, len(texts))] {
			p := search.Point{Key: search.Key{ID: fmt.Sprintf("%08d", from+i)}, Version: 1, Sparse: vector(text)}
			batch.Upserts = append(batch.Upserts, p)
		}
		if _, err := s.Write(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// lexicalQuery weighs a text's words by the store's statistics.
func lexicalQuery(b *testing.B, s *local.Store, words *bm25.Encoder, text string) search.Query {
	b.Helper()
	terms := words.Query(text)
	stats, err := s.TermStats(b.Context(), search.TermQuery{Collection: "docs", Terms: terms.Index})
	if err != nil {
		b.Fatal(err)
	}
	v, err := words.Weigh(terms, stats)
	if err != nil {
		b.Fatal(err)
	}
	return search.Query{Collection: "docs", Legs: []search.Leg{{Sparse: v, K: 10}}}
}

func bleveIndex(b *testing.B, texts []string) bleve.Index {
	b.Helper()
	mapping := bleve.NewIndexMapping()
	mapping.DefaultAnalyzer = simple.Name
	x, err := bleve.New(b.TempDir()+"/bleve", mapping)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = x.Close() })
	for from := 0; from < len(texts); from += 5000 {
		batch := x.NewBatch()
		for i, text := range texts[from:min(from+5000, len(texts))] {
			if err := batch.Index(fmt.Sprintf("%08d", from+i), map[string]string{"text": text}); err != nil {
				b.Fatal(err)
			}
		}
		if err := x.Batch(batch); err != nil {
			b.Fatal(err)
		}
	}
	return x
}

// series are the times of one contestant, on the clock and in processor time.
type series struct{ clock, cpu []time.Duration }

func (s *series) time(f func()) {
	start, before := time.Now(), cpuTime()
	f()
	s.cpu = append(s.cpu, cpuTime()-before)
	s.clock = append(s.clock, time.Since(start))
}

// cpuTime returns the processor time that the process has used: what other
// processes of the machine take does not count.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func percentile(times []time.Duration, p float64) time.Duration {
	t := slices.Clone(times)
	slices.Sort(t)
	return t[min(int(float64(len(t))*p), len(t)-1)]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// BenchmarkTarget_words asks for the top 10 of three words, drawn as the documents'
// words are, on one core, in turns with bleve on the same documents: p50 about 1 ms,
// p99 about 2 ms, times-bleve >= 10, and index-of-text <= 2. Times are of the
// processor. Indexing is timed beside it.
func BenchmarkTarget_words(b *testing.B) {
	texts, size := zipfTexts(1, rows(), 60), 0
	for _, text := range texts {
		size += len(text)
	}
	words, err := bm25.New(bm25.Config{AvgLen: 60})
	if err != nil {
		b.Fatal(err)
	}
	var own, theirs, build, buildTheirs series
	var s *local.Store
	var x bleve.Index
	build.time(func() { s = filled(b, texts, words.Document) })
	buildTheirs.time(func() { x = bleveIndex(b, texts) })
	bare := filled(b, texts, func(string) search.Sparse { return search.Sparse{} })
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	queries := zipfTexts(2, 400, 3)
	for b.Loop() {
		for i, text := range queries {
			q := lexicalQuery(b, s, words, text)
			own.time(func() { ask(b, s, q) })
			if i%8 == 0 {
				theirs.time(func() { askBleve(b, x, text) })
			}
		}
	}
	b.ReportMetric(float64(s.Memory()-bare.Memory())/float64(size), "index-of-text")
	b.ReportMetric(float64(build.cpu[0])/float64(buildTheirs.cpu[0]), "build-of-bleve")
	for _, p := range []float64{0.5, 0.99} {
		mine, others := percentile(own.cpu, p), percentile(theirs.cpu, p)
		b.ReportMetric(ms(mine), fmt.Sprintf("ms-p%g", 100*p))
		b.ReportMetric(float64(others)/float64(mine), fmt.Sprintf("times-bleve-p%g", 100*p))
		b.Logf("p%g: own %v (clock %v), bleve %v (clock %v)", 100*p, mine, percentile(own.clock, p), others, percentile(theirs.clock, p))
	}
}

func ask(b *testing.B, s *local.Store, q search.Query) {
	b.Helper()
	if _, err := s.Search(b.Context(), q); err != nil {
		b.Fatal(err)
	}
}

func askBleve(b *testing.B, x bleve.Index, text string) {
	b.Helper()
	if _, err := x.Search(bleve.NewSearchRequestOptions(bleve.NewMatchQuery(text), 10, 0, false)); err != nil {
		b.Fatal(err)
	}
}
