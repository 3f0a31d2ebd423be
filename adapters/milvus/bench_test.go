package milvus_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"os"
	"testing"
	"time"

	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"

	"github.com/lanewise/lanewise/adapters/milvus"
	"github.com/lanewise/lanewise/internal/sidebyside"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

const benchDims = 64

// benched is a store in a database of its own, and the SDK beside it.
func benched(b *testing.B) (*milvus.Store, client.Client) {
	b.Helper()
	address, database := os.Getenv("LANEWISE_TEST_MILVUS"), "bench_"+rand.Text()
	if address == "" {
		b.Skip("LANEWISE_TEST_MILVUS is not set: no Milvus to measure (scripts/servers/milvus up starts one)")
	}
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
	defer cancel()
	c, err := client.NewClient(ctx, client.Config{Address: address})
	must(b, err)
	must(b, c.CreateDatabase(ctx, database))
	must(b, c.UsingDatabase(ctx, database))
	s, err := milvus.New(milvus.Config{Address: address, Database: database})
	must(b, err)
	b.Cleanup(func() {
		must(b, s.Close())
		must(b, remove(context.Background(), c, database))
		must(b, c.Close())
	})
	about := search.Collection{Name: "docs", Dims: benchDims, Metric: search.Cosine, Placement: search.Placement{By: search.ByID}}
	_, err = s.Write(b.Context(), search.Batch{Create: &about})
	must(b, err)
	return s, c
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// benchPoints are points on a spiral, all unlike each other.
func benchPoints(n int, version search.Version) []search.Point {
	points := make([]search.Point, n)
	for i := range points {
		v := make([]float32, benchDims)
		for j := range v {
			v[j] = float32(math.Sin(float64(i+1) * float64(j+1) / 50))
		}
		points[i] = search.Point{
			Key: search.Key{ID: fmt.Sprint("p", i)}, Version: version, Dense: v, Text: fmt.Sprint("text of ", i),
			Meta: fmt.Appendf(nil, `{"n":%d,"lang":"en"}`, i),
		}
	}
	return points
}

// BenchmarkTarget_router is a search for ten hits with text and metadata: by the SDK, by
// this package, and by a router over it in the same process. extra-us is what the router
// costs more than the SDK, asked for at most 100 us.
func BenchmarkTarget_router(b *testing.B) {
	s, c := benched(b)
	out, err := s.Write(b.Context(), search.Batch{Collection: "docs", Upserts: benchPoints(300, 1)})
	must(b, err)
	<-time.After(out.Lag)
	r, err := router.New(router.Config{Shards: []router.Shard{{Name: "s0", Replicas: []router.Replica{{Name: "r0", Store: s}}}}})
	must(b, err)
	defer r.Close() //nolint:errcheck // nothing is under way
	query := benchPoints(7, 1)[6].Dense
	by := func(s search.Searcher) func(k int) {
		return func(k int) {
			res, err := s.Search(b.Context(), search.Query{
				Collection: "docs", Legs: []search.Leg{{Dense: query, K: k}}, Fields: search.Fields{Text: true, Meta: true},
			})
			if err != nil || len(res.Lists[0].Hits) != k {
				b.Fatalf("%+v, %v", res, err)
			}
		}
	}
	flat, err := entity.NewIndexFlatSearchParam()
	must(b, err)
	sdk := func(k int) {
		rs, err := c.Search(b.Context(), "docs", nil, `tenant == ""`, []string{"text", "meta"},
			[]entity.Vector{entity.FloatVector(query)}, "vector", entity.COSINE, k, flat, client.WithSearchQueryConsistencyLevel(entity.ClBounded))
		if err != nil || len(rs) != 1 || rs[0].ResultCount != k {
			b.Fatal(rs, err)
		}
	}
	store, routed := by(s), by(r)
	p50 := sidebyside.Medians(b,
		sidebyside.Way{Name: "sdk", Do: func() { sdk(10) }},
		sidebyside.Way{Name: "store", Do: func() { store(10) }},
		sidebyside.Way{Name: "router", Do: func() { routed(10) }})
	b.ReportMetric(float64((p50[2]-p50[0]).Nanoseconds())/1e3, "extra-us")
	b.ReportMetric(sidebyside.AllocsEach(100, func() { sdk(10) }, func() { sdk(110) }), "sdk-allocs/hit")
	b.ReportMetric(sidebyside.AllocsEach(100, func() { store(10) }, func() { store(110) }), "store-allocs/hit")
	b.ReportMetric(sidebyside.AllocsEach(100, func() { routed(10) }, func() { routed(110) }), "router-allocs/hit")
}

// BenchmarkTarget_write is a batch of 500 points: through this package, which reads the
// stored versions before, and by the SDK into a plain collection.
func BenchmarkTarget_write(b *testing.B) {
	s, c := benched(b)
	points := benchPoints(500, 1)
	plain := plainUpsert(b, c, points)
	version := search.Version(1)
	p50 := sidebyside.Medians(b,
		sidebyside.Way{Name: "store", Do: func() {
			version++
			for i := range points {
				points[i].Version = version
			}
			if out, err := s.Write(b.Context(), search.Batch{Collection: "docs", Upserts: points}); err != nil || out.Applied != 500 {
				b.Fatal(out, err)
			}
		}},
		sidebyside.Way{Name: "sdk", Do: plain})
	b.ReportMetric(p50[1].Seconds()/p50[0].Seconds(), "of-sdk-rate")
}

// plainUpsert makes a collection as a program would, and returns what writes to it.
func plainUpsert(b *testing.B, c client.Client, points []search.Point) func() {
	b.Helper()
	text := func(name string) *entity.Field {
		return entity.NewField().WithName(name).WithDataType(entity.FieldTypeVarChar).WithMaxLength(65535)
	}
	schema := entity.NewSchema().WithName("plain").WithField(text("id").WithIsPrimaryKey(true)).WithField(text("text")).
		WithField(entity.NewField().WithName("meta").WithDataType(entity.FieldTypeJSON)).
		WithField(entity.NewField().WithName("vector").WithDataType(entity.FieldTypeFloatVector).WithDim(benchDims))
	must(b, c.CreateCollection(b.Context(), schema, 1))
	flat, err := entity.NewIndexFlat(entity.COSINE)
	must(b, err)
	must(b, c.CreateIndex(b.Context(), "plain", "vector", flat, false))
	must(b, c.LoadCollection(b.Context(), "plain", false))
	var ids, texts []string
	var metas [][]byte
	var vectors [][]float32
	for _, p := range points {
		ids, texts, metas, vectors = append(ids, p.ID), append(texts, p.Text), append(metas, p.Meta), append(vectors, p.Dense)
	}
	return func() {
		_, err := c.Upsert(b.Context(), "plain", "", entity.NewColumnVarChar("id", ids), entity.NewColumnVarChar("text", texts),
			entity.NewColumnJSONBytes("meta", metas), entity.NewColumnFloatVector("vector", benchDims, vectors))
		must(b, err)
	}
}
