package qdrant_test

import (
	"fmt"
	"net"
	"strconv"
	"testing"

	sdk "github.com/qdrant/go-client/qdrant"

	"github.com/lanewise/lanewise/adapters/qdrant"
	"github.com/lanewise/lanewise/internal/sidebyside"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// BenchmarkSearch is one query for ten hits with their metadata: through this
// package, and by Qdrant's client asked for the same fields.
func BenchmarkSearch(b *testing.B) {
	engine := newServer()
	r, err := engine.listen("127.0.0.1:0", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer r.kill()
	s, err := qdrant.New(qdrant.Config{Address: r.address})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	fill(b, s, 20)
	b.Run("adapter", func(b *testing.B) {
		b.ReportAllocs()
		q := search.Query{Collection: docs, Legs: []search.Leg{{Dense: make([]float32, 64), K: 10}}, Fields: search.Fields{Meta: true}}
		q.Legs[0].Dense[0] = 1
		for b.Loop() {
			if res, err := s.Search(b.Context(), q); err != nil || len(res.Lists[0].Hits) != 10 {
				b.Fatal(res, err)
			}
		}
	})
	query := engine.recent("QueryBatch").request.(*sdk.QueryBatchPoints)
	b.Run("client", func(b *testing.B) { benchClient(b, r.address, query) })
}

func fill(b *testing.B, s *qdrant.Store, n int) {
	b.Helper()
	batch := search.Batch{Collection: docs}
	for i := range n {
		p := search.Point{
			Key: search.Key{ID: fmt.Sprint("p", i)}, Version: 1, Dense: make([]float32, 64),
			Meta: fmt.Appendf(nil, `{"n":%d,"title":"number %d","lang":"en"}`, i, i),
		}
		p.Dense[0] = float32(i)
		batch.Upserts = append(batch.Upserts, p)
	}
	for _, w := range []search.Batch{{Create: &search.Collection{Name: docs, Dims: 64, Metric: search.Dot}}, batch} {
		if _, err := s.Write(b.Context(), w); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTarget_router is the same query: by Qdrant's client, by this package, and by a
// router over it in the same process. extra-us is what the router costs more than the
// client, asked for at most 100 us; the server is in this process, and its work is in all
// of them, so allocations are given beside the client's.
func BenchmarkTarget_router(b *testing.B) {
	engine := newServer()
	served, err := engine.listen("127.0.0.1:0", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer served.kill()
	s, err := qdrant.New(qdrant.Config{Address: served.address})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	fill(b, s, 200)
	r, err := router.New(router.Config{Shards: []router.Shard{{Name: "s0", Replicas: []router.Replica{{Name: "r0", Store: s}}}}})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	c, err := newClient(served.address)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	by := func(s search.Searcher) func(k int) {
		q := search.Query{Collection: docs, Legs: []search.Leg{{Dense: make([]float32, 64)}}, Fields: search.Fields{Meta: true}}
		q.Legs[0].Dense[0] = 1
		return func(k int) {
			q.Legs[0].K = k
			if res, err := s.Search(b.Context(), q); err != nil || len(res.Lists[0].Hits) != k {
				b.Fatal(res, err)
			}
		}
	}
	store, routed := by(s), by(r)
	store(10)
	query := engine.recent("QueryBatch").request.(*sdk.QueryBatchPoints)
	client := func(k int) {
		query.QueryPoints[0].Limit = new(uint64(k) + 1) //nolint:gosec // as the adapter does
		if rows, err := c.QueryBatch(b.Context(), query); err != nil || len(rows[0].GetResult()) != k+1 {
			b.Fatal(rows, err)
		}
	}
	p50 := sidebyside.Medians(b,
		sidebyside.Way{Name: "client", Do: func() { client(10) }},
		sidebyside.Way{Name: "store", Do: func() { store(10) }},
		sidebyside.Way{Name: "router", Do: func() { routed(10) }})
	b.ReportMetric(float64((p50[2]-p50[0]).Nanoseconds())/1e3, "extra-us")
	beside := sidebyside.AllocsEach(100, func() { routed(10) }, func() { routed(110) }) -
		sidebyside.AllocsEach(100, func() { client(10) }, func() { client(110) })
	b.ReportMetric(beside, "more-allocs/hit")
}

// benchClient sends the same query as the adapter did.
func benchClient(b *testing.B, address string, query *sdk.QueryBatchPoints) {
	b.Helper()
	c, err := newClient(address)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		if rows, err := c.QueryBatch(b.Context(), query); err != nil || len(rows[0].GetResult()) != 11 {
			b.Fatal(rows, err)
		}
	}
}

func newClient(address string) (*sdk.Client, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	return sdk.NewClient(&sdk.Config{Host: host, Port: port, SkipCompatibilityCheck: true, PoolSize: 2})
}

// BenchmarkTarget_write is a batch of 500 points of 256 dims: through this package, which
// makes what filters look at and reads the versions back, and by Qdrant's client
// with the same points as they were made.
func BenchmarkTarget_write(b *testing.B) {
	engine := newServer()
	r, err := engine.listen("127.0.0.1:0", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer r.kill()
	s, err := qdrant.New(qdrant.Config{Address: r.address})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Write(b.Context(), search.Batch{Create: &search.Collection{Name: docs, Dims: 256, Metric: search.Dot}}); err != nil {
		b.Fatal(err)
	}
	batch := search.Batch{Collection: docs, Upserts: random(500, 256)}
	version := now
	adapter := func() {
		for i := range batch.Upserts {
			batch.Upserts[i].Version = version
		}
		version++
		if out, err := s.Write(b.Context(), batch); err != nil || out.Applied != 500 {
			b.Fatal(out, err)
		}
	}
	adapter()
	upsert := engine.recent("Upsert").request.(*sdk.UpsertPoints)
	upsert.UpdateFilter = nil
	c, err := newClient(r.address)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	p50 := sidebyside.Medians(b,
		sidebyside.Way{Name: "adapter", Do: adapter},
		sidebyside.Way{Name: "client", Do: func() {
			if _, err := c.Upsert(b.Context(), upsert); err != nil {
				b.Fatal(err)
			}
		}})
	b.ReportMetric(p50[1].Seconds()/p50[0].Seconds(), "of-client-rate")
}
