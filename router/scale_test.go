//go:build unix

package router_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// BenchmarkScale shows how the router's own cost for a query grows, over replicas that answer at
// once: with the shards, with k, with the tenants, and with the tenants that are placed by name.
// rows/op is what the shards were asked for, and cpu-ns/op the time of all processors.
func BenchmarkScale(b *testing.B) {
	for shards := 1; shards <= 256; shards *= 2 {
		b.Run(fmt.Sprintf("shards=%d", shards), func(b *testing.B) { scaleSearch(b, shards, 10) })
	}
	for _, k := range []int{10, 30, 100, 300, 1000} {
		b.Run(fmt.Sprintf("k=%d", k), func(b *testing.B) { scaleSearch(b, 16, k) })
	}
	for tenants := 1; tenants <= 100_000; tenants *= 10 {
		b.Run(fmt.Sprintf("tenants=%d", tenants), func(b *testing.B) { scaleTenants(b, tenants, 0) })
	}
	for _, overrides := range []int{1, 1000, 1_000_000} {
		b.Run(fmt.Sprintf("overrides=%d", overrides), func(b *testing.B) { scaleTenants(b, overrides, overrides) })
	}
}

// BenchmarkByHand is the floor under BenchmarkScale: the same stores asked with two
// goroutines, a context, a timer and two channels a shard, as a call that returns on time has
// them, and with nothing else: no pick, no lease, no merge.
func BenchmarkByHand(b *testing.B) {
	for _, shards := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("shards=%d", shards), func(b *testing.B) {
			store := instant(slices.Repeat([]search.Hit{hit("p", 1)}, 10))
			b.ReportAllocs()
			start, n := processors(b), 0
			for b.Loop() {
				byHand(b.Context(), store, shards)
				n++
			}
			b.ReportMetric(float64((processors(b)-start).Nanoseconds())/float64(n), "cpu-ns/op")
		})
	}
}

// byHand asks a store as often as there are shards, side by side.
func byHand(ctx context.Context, store search.Searcher, shards int) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	q := search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 0}, K: max(5, 10/shards)}}}
	answers := make(chan search.Result, shards)
	for range shards {
		go func() {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			landed := make(chan search.Result, 2)
			go func() {
				res, _ := store.Search(ctx, q)
				landed <- res
			}()
			defer time.AfterFunc(30*time.Millisecond, func() { landed <- search.Result{} }).Stop()
			select {
			case res := <-landed:
				answers <- res
			case <-ctx.Done():
				answers <- search.Result{}
			}
		}()
	}
	for range shards {
		<-answers
	}
}

func scaleSearch(b *testing.B, shards, k int) {
	b.Helper()
	r := instantRouter(b, shards, k)
	q := router.Request{Collection: "docs", Vector: []float32{1, 0}, K: k}
	run(b, r, func(int) router.Request { return q })
}

// run measures queries, and reports the rows that they asked for.
func run(b *testing.B, r *router.Router, query func(i int) router.Request) {
	b.Helper()
	rows, n := 0, 0
	b.ReportAllocs()
	start := processors(b)
	for b.Loop() {
		res, err := r.Retrieve(b.Context(), query(n))
		if err != nil {
			b.Fatal(err)
		}
		rows += res.Report.RowsAsked
		n++
	}
	b.ReportMetric(float64((processors(b)-start).Nanoseconds())/float64(n), "cpu-ns/op")
	b.ReportMetric(float64(rows)/float64(n), "rows/op")
}

// processors returns the time that this process has used of all processors.
func processors(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// scaleTenants asks for one tenant after another of a collection that is placed by tenant on 16
// shards. The first so many tenants are placed by name.
func scaleTenants(b *testing.B, tenants, overrides int) {
	b.Helper()
	c := router.Config{MapPath: filepath.Join(b.TempDir(), "map")}
	var list []shardmap.Shard
	for i := range 16 {
		name := fmt.Sprintf("s%02d", i)
		list = append(list, shardmap.Shard{Name: name})
		c.Shards = append(c.Shards, router.Shard{Name: name, Replicas: []router.Replica{{Name: "r0", Store: instantTenants()}}})
	}
	docs := search.Collection{Name: "docs", Dims: 2, Metric: search.Dot, Placement: search.Placement{By: search.ByTenant}}
	m, err := shardmap.New(list)
	if err == nil {
		m, err = m.WithCollection(docs)
	}
	names := map[string][]string{}
	for i := range overrides {
		names[tenantName(i)] = []string{list[i%16].Name}
	}
	if err == nil && overrides > 0 {
		m, err = m.WithOverrides("docs", names)
	}
	if err != nil {
		b.Fatal(err)
	}
	store(b, c.MapPath, m)
	r, err := router.New(c)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // nothing is left to lose
	run(b, r, func(i int) router.Request {
		return router.Request{Collection: "docs", Tenant: tenantName(i % tenants), Vector: []float32{1, 0}, K: 10}
	})
}

func tenantName(i int) string { return fmt.Sprintf("tenant-%d", i) }

func store(b *testing.B, path string, m *shardmap.Map) {
	b.Helper()
	f, err := shardmap.OpenFile(path)
	if err != nil {
		b.Fatal(err)
	}
	if err := f.Save(m); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}

// instantTenants has ten points of every tenant.
func instantTenants() *fake {
	return &fake{points: 100, search: func(_ context.Context, q search.Query) (search.Result, error) {
		list := search.List{Exhausted: true, Prefix: true, Hits: make([]search.Hit, 10)}
		for i := range list.Hits {
			list.Hits[i] = hit("p", 1/float64(i+1))
			list.Hits[i].ID, list.Hits[i].Tenant = string(rune('a'+i)), q.Tenant
		}
		return search.Result{Lists: []search.List{list}}, nil
	}}
}
