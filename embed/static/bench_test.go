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
	p := newProvider(b)
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
	p := newProvider(b)
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

// BenchmarkEmbed_goDocs embeds the doc comments of Go's standard library, as
// ingestion does.
func BenchmarkEmbed_goDocs(b *testing.B) {
	p := newProvider(b)
	batch := embed.Batch{Task: embed.DocumentTask, Bulk: true}
	size := 0
	for _, d := range goDocs(b) {
		batch.Texts = append(batch.Texts, d.Text)
		size += len(d.Text)
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		if _, err := p.Embed(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(batch.Texts)), "texts")
}

// BenchmarkTokenize_linear reads texts that are hard on a tokenizer, of growing
// size: the throughput must not fall.
func BenchmarkTokenize_linear(b *testing.B) {
	m := newProvider(b).model
	for name, part := range map[string]string{
		"word":    "a",                                               // one word without an end
		"pieces":  strings.Repeat("qz", 50) + " ",                    // the longest words, of the shortest pieces
		"marks":   strings.Repeat("\U0001d165\u1b44", 50) + " ",      // to be put into another order
		"unknown": strings.Repeat("information", 9) + "\u1b44" + " ", // unknown only at the very end
	} {
		for _, size := range []int{1_000, 10_000, 100_000} {
			text := strings.Repeat(part, size/len(part)+1)[:size]
			b.Run(fmt.Sprintf("%s/bytes=%d", name, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				var s splitter
				var ids []uint32
				for b.Loop() {
					ids = m.tokenize(&s, ids[:0], text)
				}
			})
		}
	}
}

// BenchmarkNew loads the model and tells how much memory its tables take.
func BenchmarkNew(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p := newProvider(b)
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
