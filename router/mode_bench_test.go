package router_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// BenchmarkModes searches 20,000 sayings of Zipf's words over four shards, by meaning, by three words and by both:
// hybrid is to cost at most 1.8 times the slower of its legs. The vectors have 256 dims, as those of the built-in model.
func BenchmarkModes(b *testing.B) {
	c := router.Config{Embedders: []embed.Provider{letters{}}, Lexicon: words, SearchTimeout: time.Minute}
	for i := range 4 {
		s, err := local.Open(local.Config{Path: filepath.Join(b.TempDir(), "store")})
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close() //nolint:errcheck // the benchmark has its figures
		c.Shards = append(c.Shards, router.Shard{Name: fmt.Sprint("s", i), Replicas: []router.Replica{{Name: "r0", Store: s}}})
	}
	r, err := router.New(c)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // as above
	if _, err := r.CreateCollection(b.Context(), search.Collection{Name: "talk", Dims: 256, Lexical: true}); err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // repeatable
	texts := sayings(rng, 20_000)
	for from := 0; from < len(texts); from += 1000 {
		var points []search.Point
		for i, text := range texts[from : from+1000] {
			p := note(fmt.Sprint(from+i), text)
			p.Dense = randomVector(rng, 256)
			points = append(points, p)
		}
		if _, err := r.Upsert(b.Context(), router.Upsert{Collection: "talk", Points: points}); err != nil {
			b.Fatal(err)
		}
	}
	queries := make([]string, 500) // of three words
	for i := range queries {
		queries[i] = strings.Join(append(strings.Fields(texts[i]), "a0", "b1", "c2")[:3], " ")
	}
	modes := []string{"dense", "lexical", "hybrid"}
	legs := map[string]func(text string) []router.Leg{
		"dense":   func(string) []router.Leg { return []router.Leg{{Vector: randomVector(rng, 256)}} },
		"lexical": func(text string) []router.Leg { return []router.Leg{{Text: text, Using: router.Words}} },
		"hybrid": func(text string) []router.Leg {
			return []router.Leg{{Vector: randomVector(rng, 256)}, {Text: text, Using: router.Words}}
		},
	}
	took := map[string]time.Duration{} // in turn, so that a busy machine disturbs all of them
	for i := 0; b.Loop(); i++ {
		for _, mode := range modes {
			start := time.Now()
			if _, err := r.Retrieve(b.Context(), router.Request{Collection: "talk", Legs: legs[mode](queries[i%len(queries)])}); err != nil {
				b.Fatal(err)
			}
			took[mode] += time.Since(start)
		}
	}
	for _, mode := range modes {
		b.ReportMetric(float64(took[mode].Microseconds())/float64(b.N), mode+"-µs")
	}
	b.ReportMetric(float64(took["hybrid"])/float64(max(took["dense"], took["lexical"])), "hybrid/slower")
}
