package weaviate_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/go-openapi/strfmt"
	sdk "github.com/weaviate/weaviate-go-client/v5/weaviate"
	"github.com/weaviate/weaviate-go-client/v5/weaviate/graphql"
	sdkgrpc "github.com/weaviate/weaviate-go-client/v5/weaviate/grpc"
	"github.com/weaviate/weaviate/entities/models"
	pb "github.com/weaviate/weaviate/grpc/generated/protocol/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/lanewise/lanewise/adapters/weaviate"
	"github.com/lanewise/lanewise/internal/sidebyside"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// random makes points with short texts and some metadata.
func random(n, dims int) []search.Point {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // reproducible on purpose
	points := make([]search.Point, n)
	for i := range points {
		points[i] = search.Point{
			Key: search.Key{ID: fmt.Sprintf("p%05d", i)}, Version: 1, Dense: make([]float32, dims), Text: fmt.Sprintf("the text of point %d", i),
			Meta: fmt.Appendf(nil, `{"n":%d,"title":"number %d","lang":"en"}`, i, i),
		}
		for j := range points[i].Dense {
			points[i].Dense[j] = float32(rng.NormFloat64())
		}
	}
	return points
}

// BenchmarkSearch compares a search for ten points with their texts and metadata with
// the same request by Weaviate's own stub, for as many rows as this package reads.
func BenchmarkSearch(b *testing.B) {
	const n, dims = 5000, 256
	p := "B" + prefix()
	s := open(b, weaviate.Config{Prefix: p})
	points := random(n, dims)
	put(b, s, search.Batch{Create: &search.Collection{Name: "docs", Dims: dims, Metric: search.Cosine}})
	for from := 0; from < n; from += 500 {
		put(b, s, search.Batch{Collection: "docs", Upserts: points[from : from+500]})
	}
	b.Run("store", func(b *testing.B) {
		q := search.Query{Collection: "docs", Fields: search.Fields{Text: true, Meta: true}, Legs: []search.Leg{{Dense: points[7].Dense, K: 10}}}
		b.ReportAllocs()
		for b.Loop() {
			if res, err := s.Search(b.Context(), q); err != nil || len(res.Lists[0].Hits) != 10 {
				b.Fatal(res, err)
			}
		}
	})
	for _, rows := range []uint32{10, 26} {
		b.Run(fmt.Sprintf("stub/rows=%d", rows), func(b *testing.B) { benchmarkStub(b, p+"_docs", points[7].Dense, rows) })
	}
}

func benchmarkStub(b *testing.B, class string, v []float32, rows uint32) {
	b.Helper()
	_, address := server(b)
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // it is done
	var packed []byte
	for _, x := range v {
		packed = binary.LittleEndian.AppendUint32(packed, math.Float32bits(x))
	}
	req := &pb.SearchRequest{
		Collection: class, Limit: rows, Uses_127Api: true, NearVector: &pb.NearVector{VectorBytes: packed}, //nolint:staticcheck // of the vector without a name
		Metadata: &pb.MetadataRequest{Distance: true}, Properties: &pb.PropertiesRequest{NonRefProperties: []string{"key", "text", "meta"}},
	}
	stub := pb.NewWeaviateClient(conn)
	b.ReportAllocs()
	for b.Loop() {
		if res, err := stub.Search(b.Context(), req); err != nil || len(res.GetResults()) != int(rows) {
			b.Fatal(res, err)
		}
	}
}

// BenchmarkWrite compares batches of 500 new points with the same points in the bulk upsert of
// Weaviate's own client, into a class as a program would make it by itself: the fields
// of the metadata as indexed properties. (An object that is there already and has not
// changed costs Weaviate next to nothing.)
func BenchmarkWrite(b *testing.B) {
	const n, dims = 500, 256
	points := random(n, dims)
	for name, c := range map[string]weaviate.Config{"store": {}, "store without digests": {NoDigest: true}} {
		b.Run(name, func(b *testing.B) { benchmarkStore(b, c, points) })
	}
	b.Run("client", func(b *testing.B) { benchmarkBulk(b, points) })
}

func benchmarkStore(b *testing.B, c weaviate.Config, points []search.Point) {
	b.Helper()
	s := open(b, c)
	put(b, s, search.Batch{Create: &search.Collection{Name: "docs", Dims: len(points[0].Dense), Metric: search.Cosine}})
	b.ReportAllocs()
	for round := 0; b.Loop(); round++ {
		for i := range points {
			points[i].ID = fmt.Sprintf("p%d-%d", round, i)
		}
		put(b, s, search.Batch{Collection: "docs", Upserts: points})
	}
	b.ReportMetric(float64(len(points)*b.N)/b.Elapsed().Seconds(), "points/s")
}

func benchmarkBulk(b *testing.B, points []search.Point) {
	b.Helper()
	rest, address := server(b)
	c, err := sdk.NewClient(sdk.Config{Host: rest, Scheme: "http", GrpcConfig: &sdkgrpc.Config{Host: address}})
	if err != nil {
		b.Fatal(err)
	}
	class := prefix()
	err = c.Schema().ClassCreator().WithClass(&models.Class{
		Class: class, Vectorizer: "none", VectorIndexType: "flat", VectorIndexConfig: map[string]any{"distance": "cosine"},
		Properties: []*models.Property{
			{Name: "text", DataType: []string{"text"}, IndexFilterable: new(false), IndexSearchable: new(false)}, {Name: "n", DataType: []string{"int"}},
			{Name: "title", DataType: []string{"text"}, Tokenization: "field"}, {Name: "lang", DataType: []string{"text"}, Tokenization: "field"},
		},
	}).Do(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Schema().ClassDeleter().WithClassName(class).Do(b.Context()) //nolint:errcheck // at the end of the benchmark
	b.ReportAllocs()
	for round := 0; b.Loop(); round++ {
		batch := c.Batch().ObjectsBatcher()
		for i := range points {
			p := &points[i]
			batch.WithObjects(&models.Object{
				Class: class, ID: strfmt.UUID(fmt.Sprintf("00000000-0000-0000-%04x-%012x", round, i)), Vector: p.Dense,
				Properties: map[string]any{"text": p.Text, "n": i, "title": fmt.Sprintf("number %d", i), "lang": "en"},
			})
		}
		if _, err := batch.Do(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(points)*b.N)/b.Elapsed().Seconds(), "points/s")
}

func put(tb testing.TB, s *weaviate.Store, batch search.Batch) search.Written {
	tb.Helper()
	out, err := s.Write(tb.Context(), batch)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// BenchmarkTarget_router is a search for ten hits with text and metadata among 300 points:
// by the official client (by gRPC, and by GraphQL over REST), by this package, and by a router
// over it in the same process. extra-us is what the router costs more than the client by
// gRPC, asked for at most 100 us.
func BenchmarkTarget_router(b *testing.B) {
	p := "B" + prefix()
	s := open(b, weaviate.Config{Prefix: p})
	points := random(300, 64)
	put(b, s, search.Batch{Create: &search.Collection{Name: "docs", Dims: 64, Metric: search.Cosine}})
	put(b, s, search.Batch{Collection: "docs", Upserts: points})
	r, err := router.New(router.Config{Shards: []router.Shard{{Name: "s0", Replicas: []router.Replica{{Name: "r0", Store: s}}}}})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // nothing is under way
	by := func(s search.Searcher) func(k int) {
		return func(k int) {
			q := search.Query{Collection: "docs", Fields: search.Fields{Text: true, Meta: true}, Legs: []search.Leg{{Dense: points[7].Dense, K: k}}}
			if res, err := s.Search(b.Context(), q); err != nil || len(res.Lists[0].Hits) != k {
				b.Fatal(res, err)
			}
		}
	}
	store, routed := by(s), by(r)
	client, graph := clients(b, p+"_docs", points[7].Dense)
	p50 := sidebyside.Medians(b,
		sidebyside.Way{Name: "client", Do: func() { client(10) }},
		sidebyside.Way{Name: "graphql", Do: func() { graph(10) }},
		sidebyside.Way{Name: "store", Do: func() { store(10) }},
		sidebyside.Way{Name: "router", Do: func() { routed(10) }})
	b.ReportMetric(float64((p50[3]-p50[0]).Nanoseconds())/1e3, "extra-us")
	b.ReportMetric(sidebyside.AllocsEach(100, func() { client(10) }, func() { client(110) }), "client-allocs/hit")
	b.ReportMetric(sidebyside.AllocsEach(100, func() { routed(10) }, func() { routed(110) }), "router-allocs/hit")
}

// clients are searches by the official client: by gRPC and by GraphQL.
func clients(b *testing.B, class string, v []float32) (byGRPC, byGraphQL func(k int)) {
	b.Helper()
	rest, address := server(b)
	c, err := sdk.NewClient(sdk.Config{Host: rest, Scheme: "http", GrpcConfig: &sdkgrpc.Config{Host: address}})
	if err != nil {
		b.Fatal(err)
	}
	near := c.GraphQL().NearVectorArgBuilder().WithVector(v)
	byGRPC = func(k int) {
		found, err := c.Experimental().Search().WithCollection(class).WithLimit(k).WithNearVector(near).
			WithProperties("key", "text", "meta").WithMetadata(&graphql.Metadata{Distance: true}).Do(b.Context())
		if err != nil || len(found) != k {
			b.Fatal(found, err)
		}
	}
	fields := []graphql.Field{{Name: "key"}, {Name: "text"}, {Name: "meta"}, {Name: "_additional", Fields: []graphql.Field{{Name: "distance"}}}}
	byGraphQL = func(k int) {
		out, err := c.GraphQL().Get().WithClassName(class).WithLimit(k).WithNearVector(near).WithFields(fields...).Do(b.Context())
		if err != nil || len(out.Errors) > 0 {
			b.Fatal(out, err)
		}
	}
	return byGRPC, byGraphQL
}
