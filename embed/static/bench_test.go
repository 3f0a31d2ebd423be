package static

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/embed"
)

// twenty returns n different texts of exactly 20 tokens.
func twenty(b *testing.B, p *Provider, n int) []string {
	b.Helper()
	words := strings.Fields(`the reader returns an error when its buffer is full and closes each connection
		after waiting for every request that still runs on this server under one deadline per client`)
	texts := make([]string, n)
	for i := range texts {
		var t strings.Builder
		for j := range 20 {
			t.WriteString(words[(i*7+j*(1+i%5))%len(words)] + " ")
		}
		texts[i] = t.String()
		if got := len(p.model.tokenize(&splitter{}, nil, texts[i])); got != 20 {
			b.Fatalf("%d tokens in %q", got, texts[i])
		}
	}
	return texts
}

// BenchmarkEmbed embeds texts of 20 tokens, in batches of 1,000 (of which bulk
// ones use all processors) and one by one.
func BenchmarkEmbed(b *testing.B) {
	p, err := New()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		texts int
		bulk  bool
	}{{1, false}, {1000, false}, {1000, true}} {
		batch := embed.Batch{Texts: twenty(b, p, c.texts), Task: embed.QueryTask, Bulk: c.bulk}
		b.Run(fmt.Sprintf("texts=%d/bulk=%t", c.texts, c.bulk), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Embed(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*c.texts)/b.Elapsed().Seconds(), "texts/s")
		})
	}
}

// BenchmarkTokenize is the first half of the way from a text to its vector.
func BenchmarkTokenize(b *testing.B) {
	p, err := New()
	if err != nil {
		b.Fatal(err)
	}
	texts := twenty(b, p, 1000)
	var s splitter
	var ids []uint32
	b.ReportAllocs()
	for b.Loop() {
		for _, text := range texts {
			ids = p.model.tokenize(&s, ids[:0], text)
		}
	}
	b.ReportMetric(float64(b.N*len(texts))/b.Elapsed().Seconds(), "texts/s")
}

// BenchmarkNew loads the model and tells how much memory its tables take.
func BenchmarkNew(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p, err := New()
	if err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
		if _, err := New(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc), "heap-bytes")
	runtime.KeepAlive(p)
}
