package pgvector_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lanewise/lanewise/adapters/pgvector"
	"github.com/lanewise/lanewise/internal/sidebyside"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// BenchmarkSearch compares a search with the statement that a program would send by
// itself: the ten best ids with text and metadata, by the same driver.
func BenchmarkSearch(b *testing.B) {
	const n, dims = 5000, 256
	for _, hnsw := range []*pgvector.HNSW{nil, {}} {
		schema := freshSchema(b)
		s := open(b, pgvector.Config{Schema: schema, HNSW: hnsw})
		loadPoints(b, s, search.Collection{Name: "docs", Dims: dims, Metric: search.Cosine}, n)
		execute(b, "analyze")
		query := random(rand.New(rand.NewPCG(9, 9)), dims) //nolint:gosec // reproducible on purpose
		b.Run(fmt.Sprintf("store/hnsw=%t", hnsw != nil), func(b *testing.B) {
			q := search.Query{Collection: "docs", Fields: search.Fields{Text: true, Meta: true}, Legs: []search.Leg{{Dense: query, K: 10}}}
			for b.Loop() {
				if res, err := s.Search(b.Context(), q); err != nil || len(res.Lists[0].Hits) != 10 {
					b.Fatalf("%+v, %v", res, err)
				}
			}
		})
		b.Run(fmt.Sprintf("driver/hnsw=%t", hnsw != nil), func(b *testing.B) { benchmarkDriver(b, schema, query) })
	}
}

func benchmarkDriver(b *testing.B, schema string, query []float32) {
	b.Helper()
	ask := byDriver(b, schema, query)
	for b.Loop() {
		ask(10)
	}
}

// byDriver is the search as a program would send it by itself.
func byDriver(b *testing.B, schema string, query []float32) func(k int) {
	b.Helper()
	pool, err := pgxpool.New(b.Context(), dsn(b))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	sql := "select id, text, meta, dense <=> $1::real[]::vector from " + pgx.Identifier{schema, "docs_1"}.Sanitize() +
		" where tenant = '' order by 4 limit $2"
	return func(k int) {
		rows, err := pool.Query(b.Context(), sql, query, k)
		if err != nil {
			b.Fatal(err)
		}
		var id, text, meta string
		var distance float64
		tag, err := pgx.ForEachRow(rows, []any{&id, &text, &meta, &distance}, func() error { return nil })
		if err != nil || tag.RowsAffected() != int64(k) {
			b.Fatal(tag, err)
		}
	}
}

// BenchmarkTarget_router is a search for ten hits with text and metadata: by the driver, by
// this package, and by a router over it in the same process. extra-us is what the router
// costs more than the driver, asked for at most 100 us.
func BenchmarkTarget_router(b *testing.B) {
	const n, dims = 300, 64
	schema := freshSchema(b)
	s := open(b, pgvector.Config{Schema: schema})
	loadPoints(b, s, search.Collection{Name: "docs", Dims: dims, Metric: search.Cosine, Placement: search.Placement{By: search.ByID}}, n)
	execute(b, "analyze")
	r, err := router.New(router.Config{Shards: []router.Shard{{Name: "s0", Replicas: []router.Replica{{Name: "r0", Store: s}}}}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = r.Close() })
	query := random(rand.New(rand.NewPCG(9, 9)), dims) //nolint:gosec // reproducible on purpose
	by := func(s search.Searcher) func(k int) {
		q := search.Query{Collection: "docs", Fields: search.Fields{Text: true, Meta: true}, Legs: []search.Leg{{Dense: query, K: 10}}}
		return func(k int) {
			q.Legs[0].K = k
			if res, err := s.Search(b.Context(), q); err != nil || len(res.Lists[0].Hits) != k {
				b.Fatalf("%+v, %v", res, err)
			}
		}
	}
	driver, store, routed := byDriver(b, schema, query), by(s), by(r)
	p50 := sidebyside.Medians(b,
		sidebyside.Way{Name: "driver", Do: func() { driver(10) }},
		sidebyside.Way{Name: "store", Do: func() { store(10) }},
		sidebyside.Way{Name: "router", Do: func() { routed(10) }})
	b.ReportMetric(float64((p50[2]-p50[0]).Nanoseconds())/1e3, "extra-us")
	b.ReportMetric(sidebyside.AllocsEach(100, func() { driver(10) }, func() { driver(110) }), "driver-allocs/hit")
	b.ReportMetric(sidebyside.AllocsEach(100, func() { routed(10) }, func() { routed(110) }), "router-allocs/hit")
}

// BenchmarkWrite compares a batch of 500 points with the driver's own batch of plain upserts.
func BenchmarkWrite(b *testing.B) {
	const n, dims = 500, 256
	schema := freshSchema(b)
	s := open(b, pgvector.Config{Schema: schema})
	points := loadPoints(b, s, search.Collection{Name: "docs", Dims: dims, Metric: search.Cosine}, n)
	version := search.Version(2)
	b.Run("store", func(b *testing.B) {
		for b.Loop() {
			for i := range points {
				points[i].Version = version
			}
			version++
			write(b, s, search.Batch{Collection: "docs", Upserts: points})
		}
		b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "points/s")
	})
	b.Run("driver", func(b *testing.B) { benchmarkUpserts(b, schema, points) })
}

func benchmarkUpserts(b *testing.B, schema string, points []search.Point) {
	b.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, os.Getenv(serverVariable))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // it is done
	table := pgx.Identifier{schema, "plain"}.Sanitize()
	exec(b, conn, "create table "+table+" (id text primary key, dense vector(256), text text, meta jsonb)")
	for b.Loop() {
		var batch pgx.Batch
		for i := range points {
			p := &points[i]
			batch.Queue("insert into "+table+" values ($1, $2::real[]::vector, $3, $4::text::jsonb) on conflict (id) do update set dense = excluded.dense, text = excluded.text, meta = excluded.meta",
				p.ID, p.Dense, p.Text, string(p.Meta))
		}
		if err := conn.SendBatch(ctx, &batch).Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(points)*b.N)/b.Elapsed().Seconds(), "points/s")
}
