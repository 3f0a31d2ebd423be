package router_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// BenchmarkScatter is the router's own cost: replicas that answer at once.
func BenchmarkScatter(b *testing.B) {
	for _, shards := range []int{1, 4, 16, 64} {
		for _, k := range []int{10, 100} {
			b.Run(fmt.Sprintf("shards=%d/k=%d", shards, k), func(b *testing.B) {
				r := instantRouter(b, shards, k)
				q := router.Request{Collection: "docs", Vector: []float32{1, 0}, K: k}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := r.Retrieve(b.Context(), q); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// instantRouter makes a router over three instant replicas a shard, which hold
// 4k points in all.
func instantRouter(b *testing.B, shards, k int) *router.Router {
	b.Helper()
	var c router.Config
	var list []shardmap.Shard
	for i := range shards {
		list = append(list, shardmap.Shard{Name: fmt.Sprintf("s%02d", i)})
	}
	m, err := shardmap.New(list)
	if err != nil {
		b.Fatal(err)
	}
	hits := make([][]search.Hit, shards)
	for i := range 4*k + 4*shards {
		h := hit(fmt.Sprint("p", i), 1/float64(i+1))
		owner := m.Owner(search.Collection{Name: "docs"}, h.Key, nil)
		hits[owner] = append(hits[owner], h)
	}
	for i, s := range m.Shards() {
		shard := router.Shard{Name: s.Name}
		for j := range 3 {
			shard.Replicas = append(shard.Replicas, router.Replica{Name: fmt.Sprint("r", j), Store: instant(hits[i])})
		}
		c.Shards = append(c.Shards, shard)
	}
	r, err := router.New(c)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = r.Close() })
	if _, err := r.CreateCollection(b.Context(), search.Collection{Name: "docs", Dims: 2}); err != nil {
		b.Fatal(err)
	}
	return r
}

// instant answers at once with as many of its hits as it is asked for.
func instant(hits []search.Hit) *fake {
	return &fake{points: 100, search: func(_ context.Context, q search.Query) (search.Result, error) {
		n := min(q.Legs[0].K, len(hits))
		list := search.List{Hits: slices.Clone(hits[:n]), Exhausted: n == len(hits), Prefix: true}
		return search.Result{Lists: []search.List{list}}, nil
	}}
}
