package qdrant_test

import (
	"fmt"
	"net"
	"strconv"
	"testing"

	sdk "github.com/qdrant/go-client/qdrant"

	"github.com/lanewise/lanewise/adapters/qdrant"
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

// BenchmarkWrite is a batch of 500 points of 256 dims: through this package, which
// makes what filters look at and reads the versions back, and by Qdrant's client
// with the same points as they were made.
func BenchmarkWrite(b *testing.B) {
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
	b.Run("adapter", func(b *testing.B) {
		b.ReportAllocs()
		for ; b.Loop(); version++ {
			for i := range batch.Upserts {
				batch.Upserts[i].Version = version
			}
			if out, err := s.Write(b.Context(), batch); err != nil || out.Applied != 500 {
				b.Fatal(out, err)
			}
		}
	})
	upsert := engine.recent("Upsert").request.(*sdk.UpsertPoints)
	upsert.UpdateFilter = nil
	b.Run("client", func(b *testing.B) {
		c, err := newClient(r.address)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Upsert(b.Context(), upsert); err != nil {
				b.Fatal(err)
			}
		}
	})
}
