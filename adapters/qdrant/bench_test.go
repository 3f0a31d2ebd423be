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

// recorded is what a store sends last by a method.
func recorded(b *testing.B, method string, do func(*qdrant.Store)) any {
	b.Helper()
	engine := newServer()
	do(open(b, qdrant.Config{Address: engine.serve(b, "127.0.0.1:0", nil).address}))
	return engine.recent(method).request
}

// BenchmarkTarget_router is one query for ten hits with their metadata: by Qdrant's client,
// by this package, and by a router over it in the same process. extra-us is what the
// router costs more than the client, asked for at most 100 us; the server may be in this
// process, and its work is in all of them, so allocations are given beside the client's.
func BenchmarkTarget_router(b *testing.B) {
	at := somewhere(b)
	s, c := open(b, at), newClient(b, at)
	fill(b, s, 200)
	r, err := router.New(router.Config{Shards: []router.Shard{{Name: "s0", Replicas: []router.Replica{{Name: "r0", Store: s}}}}})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
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
	query := recorded(b, "QueryBatch", func(s *qdrant.Store) { fill(b, s, 20); by(s)(10) }).(*sdk.QueryBatchPoints)
	query.CollectionName = at.Prefix + docs
	query.QueryPoints[0].CollectionName = query.GetCollectionName()
	client := func(k int) {
		query.QueryPoints[0].Limit = new(uint64(k) + 1) //nolint:gosec // as the adapter does
		if rows, err := c.QueryBatch(b.Context(), query); err != nil || len(rows[0].GetResult()) != k+1 {
			b.Fatal(rows, err)
		}
	}
	store, routed := by(s), by(r)
	p50 := sidebyside.Medians(b,
		sidebyside.Way{Name: "client", Do: func() { client(10) }},
		sidebyside.Way{Name: "store", Do: func() { store(10) }},
		sidebyside.Way{Name: "router", Do: func() { routed(10) }})
	b.ReportMetric(float64((p50[2]-p50[0]).Nanoseconds())/1e3, "extra-us")
	beside := sidebyside.AllocsEach(100, func() { routed(10) }, func() { routed(110) }) -
		sidebyside.AllocsEach(100, func() { client(10) }, func() { client(110) })
	b.ReportMetric(beside, "more-allocs/hit")
}

// newClient is Qdrant's own.
func newClient(tb testing.TB, at qdrant.Config) *sdk.Client {
	tb.Helper()
	host, text, err := net.SplitHostPort(at.Address)
	if err != nil {
		tb.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := sdk.NewClient(&sdk.Config{Host: host, Port: port, APIKey: at.Key, SkipCompatibilityCheck: true, PoolSize: 2})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// BenchmarkTarget_write is a batch of 500 points of 256 dims: through this package, which
// makes what filters look at and reads the versions back, and by Qdrant's client
// with the same points as they were made.
func BenchmarkTarget_write(b *testing.B) {
	at := somewhere(b)
	s, c := open(b, at), newClient(b, at)
	batch := search.Batch{Collection: docs, Upserts: random(500, 256)}
	made := search.Batch{Create: &search.Collection{Name: docs, Dims: 256, Metric: search.Dot}}
	version := now
	write := func(s *qdrant.Store) {
		for i := range batch.Upserts {
			batch.Upserts[i].Version = version
		}
		version++
		if out, err := s.Write(b.Context(), batch); err != nil || out.Applied != 500 {
			b.Fatal(out, err)
		}
	}
	create := func(s *qdrant.Store) {
		if _, err := s.Write(b.Context(), made); err != nil {
			b.Fatal(err)
		}
	}
	create(s)
	upsert := recorded(b, "Upsert", func(s *qdrant.Store) { create(s); write(s) }).(*sdk.UpsertPoints)
	upsert.CollectionName, upsert.UpdateFilter = at.Prefix+docs, nil
	p50 := sidebyside.Medians(b,
		sidebyside.Way{Name: "adapter", Do: func() { write(s) }},
		sidebyside.Way{Name: "client", Do: func() {
			if _, err := c.Upsert(b.Context(), upsert); err != nil {
				b.Fatal(err)
			}
		}})
	b.ReportMetric(p50[1].Seconds()/p50[0].Seconds(), "of-client-rate")
}
