package router_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// BenchmarkScatter is the router's own cost: replicas that answer at once.
func BenchmarkScatter(b *testing.B) {
	for _, shards := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprintf("shards=%d", shards), func(b *testing.B) {
			var c router.Config
			for i := range shards {
				s := router.Shard{Name: fmt.Sprintf("s%d", i)}
				for j := range 3 {
					s.Replicas = append(s.Replicas, router.Replica{Name: fmt.Sprintf("r%d", j), Store: instant(i)})
				}
				c.Shards = append(c.Shards, s)
			}
			r, err := router.New(c)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = r.Close() }()
			if _, err := r.CreateCollection(b.Context(), search.Collection{Name: "docs", Dims: 2}); err != nil {
				b.Fatal(err)
			}
			q := router.Request{Collection: "docs", Vector: []float32{1, 0}, K: 10}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Retrieve(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// instant answers every search with the same ten hits, at once.
func instant(seed int) *fake {
	hits := make([]search.Hit, 10)
	for i := range hits {
		hits[i] = hit(fmt.Sprintf("%d-%d", seed, i), 1/float64(seed+i+1))
	}
	return &fake{search: func(_ context.Context, q search.Query) (search.Result, error) { return listsOf(q, hits...), nil }}
}
