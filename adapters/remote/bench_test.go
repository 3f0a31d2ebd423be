package remote_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/lanewise/lanewise/adapters/remote"
	"github.com/lanewise/lanewise/search"
)

// BenchmarkSearch is one search of k=10 over loopback, client and server
// together; the server answers at once.
func BenchmarkSearch(b *testing.B) {
	var list search.List
	for i := range 10 {
		h := search.Hit{Score: 1 / float64(i+1), Shard: "s0"}
		h.ID, h.Text, h.Meta = fmt.Sprint("strings.Builder", i), "Builder is used to efficiently build a string.", json.RawMessage(`{"package":"strings","kind":"type"}`)
		list.Hits = append(list.Hits, h)
	}
	f := &fake{result: search.Result{Lists: []search.List{list}}}
	s, _ := start(b, serve(quiet{f}), remote.Config{Key: key})
	q := search.Query{Collection: "docs", Legs: []search.Leg{{Dense: make([]float32, 256), K: 10}}, Fields: search.Fields{Text: true, Meta: true}}
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Search(b.Context(), q); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Search(b.Context(), q); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// quiet is a fake that may be called by many at once: it remembers nothing.
type quiet struct{ *fake }

func (q quiet) Search(context.Context, search.Query) (search.Result, error) { return q.result, nil }
