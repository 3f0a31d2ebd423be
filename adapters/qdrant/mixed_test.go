package qdrant_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	milvusclient "github.com/milvus-io/milvus-sdk-go/v2/client"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/adapters/milvus"
	"github.com/lanewise/lanewise/adapters/pgvector"
	"github.com/lanewise/lanewise/adapters/remote"
	"github.com/lanewise/lanewise/adapters/weaviate"
	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/httpapi"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// engines are all kinds of shard that a collection can have, and the variable that
// names a server of it; without one it is in this process.
var engines = []struct { //nolint:gochecknoglobals // a constant table
	name, variable string
	open           func(*testing.T) search.Store
}{
	{"qdrant", "", func(t *testing.T) search.Store { t.Helper(); return fresh(t) }},
	{"local", "", func(t *testing.T) search.Store { t.Helper(); return embedded(t) }},
	{"remote", "", overHTTP},
	{"pgvector", "LANEWISE_TEST_POSTGRES", postgres},
	{"milvus", "LANEWISE_TEST_MILVUS", milvusServer},
	{"weaviate", "LANEWISE_TEST_WEAVIATE", weaviateServer},
}

// there lists the engines that this machine has, and shows which are missing.
func there(t *testing.T) (names []string, open []func(*testing.T) search.Store) {
	t.Helper()
	for _, e := range engines {
		if e.variable != "" && os.Getenv(e.variable) == "" {
			t.Run("without "+e.name, func(t *testing.T) { t.Skipf("no %s: set %s", e.name, e.variable) })
			continue
		}
		names, open = append(names, e.name), append(open, e.open)
	}
	return names, open
}

// One collection with a shard on each engine answers as a single store that holds
// all of its points.
func TestStore_inACollectionOfSeveralEngines(t *testing.T) {
	names, open := there(t)
	for _, metric := range []search.Metric{search.Cosine, search.Dot, search.Euclidean} {
		t.Run(string(metric), func(t *testing.T) {
			var shards []router.Shard
			for i, name := range names {
				shards = append(shards, router.Shard{Name: name, Replicas: []router.Replica{{Name: "a", Store: open[i](t)}}})
			}
			asOne(t, metric, router.Config{Shards: shards})
		})
	}
}

// The copies of a shard may be on different engines: whichever is asked, the answer
// is the same. Here every engine is beside every other one that follows it.
func TestStore_inAShardOfSeveralEngines(t *testing.T) {
	names, open := there(t)
	var shards []router.Shard
	for i, name := range names {
		next := (i + 1) % len(names)
		shards = append(shards, router.Shard{Name: name, Replicas: []router.Replica{
			{Name: name, Store: open[i](t)}, {Name: names[next], Store: open[next](t)},
		}})
	}
	var mu sync.Mutex
	won := map[string]int{}
	asOne(t, search.Cosine, router.Config{
		Shards: shards, Picker: &balance.RoundRobin{}, Lane: balance.LaneConfig{HedgeShare: -1},
		Trace: &balance.Trace{Ended: func(a balance.Attempt) {
			mu.Lock()
			defer mu.Unlock()
			won[a.Pool+"/"+a.Member]++
			if a.Err != nil {
				t.Errorf("%s/%s: %v", a.Pool, a.Member, a.Err)
			}
		}},
	})
	mu.Lock()
	defer mu.Unlock()
	if len(won) != 2*len(names) {
		t.Errorf("only these replicas answered: %v", won)
	}
}

// asOne writes points through a router and compares its answers with brute force over
// all of them.
func asOne(t *testing.T, metric search.Metric, c router.Config) {
	t.Helper()
	c.SearchTimeout, c.WriteTimeout = 20*time.Second, time.Minute
	r, err := router.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	reference := embedded(t) // held to brute force, bit for bit, by its own tests
	about := search.Collection{Name: docs, Dims: 16, Metric: metric}
	if _, err := r.CreateCollection(t.Context(), about); err != nil {
		t.Fatal(err)
	}
	write(t, reference, search.Batch{Create: &about})
	points := random(600, 16)
	if _, err := r.Upsert(t.Context(), router.Upsert{Collection: docs, Points: points}); err != nil {
		t.Fatal(err)
	}
	put(t, reference, points...)
	filter, err := search.ParseFilter([]byte(`{"n":{"$gte":100},"name":{"$lt":"point 5"}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []search.Filter{{}, filter} {
		for _, k := range []int{1, 10, 100, 1000} {
			q := search.Query{Collection: docs, Filter: f, Legs: []search.Leg{{Dense: points[k%7].Dense, K: k, Exact: true}}, Fields: search.Fields{Meta: true}}
			same(t, find(t, reference, q), find(t, r, q))
		}
	}
	if n, err := r.Count(t.Context(), docs, "", filter); err != nil || n != len(find(t, reference, search.Query{
		Collection: docs, Filter: filter, Legs: []search.Leg{{Dense: points[0].Dense, K: 1000}},
	}).Hits) {
		t.Errorf("count: %d, %v", n, err)
	}
}

func embedded(t *testing.T) *local.Store {
	t.Helper()
	s, err := local.Open(local.Config{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// overHTTP is another lanewise server.
func overHTTP(t *testing.T) search.Store {
	t.Helper()
	h, err := httpapi.New(httpapi.Config{Store: embedded(t)})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	s, err := remote.New(remote.Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// postgres is a schema of its own.
func postgres(t *testing.T) search.Store {
	t.Helper()
	dsn, schema := os.Getenv("LANEWISE_TEST_POSTGRES"), "mixed_"+rand.Text()
	s, err := pgvector.New(pgvector.Config{DSN: dsn, Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close()
		conn, err := pgx.Connect(context.Background(), dsn)
		if err != nil {
			t.Error(err)
			return
		}
		_, err = conn.Exec(context.Background(), "drop schema if exists "+pgx.Identifier{schema}.Sanitize()+" cascade")
		if err != nil {
			t.Error(err)
		}
		_ = conn.Close(context.Background())
	})
	return s
}

// milvusServer is a database of its own.
func milvusServer(t *testing.T) search.Store {
	t.Helper()
	address, database := os.Getenv("LANEWISE_TEST_MILVUS"), "mixed_"+rand.Text()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := milvusclient.NewClient(ctx, milvusclient.Config{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CreateDatabase(ctx, database); err != nil {
		t.Fatal(err)
	}
	s, err := milvus.New(milvus.Config{Address: address, Database: database, Consistency: milvus.Session})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		_, _ = s.Write(ctx, search.Batch{Collection: docs, Drop: true})
		_ = s.Close()
		if err := c.DropDatabase(ctx, database); err != nil {
			t.Error(err)
		}
		_ = c.Close()
	})
	return s
}

func weaviateServer(t *testing.T) search.Store {
	t.Helper()
	rest, grpc, _ := strings.Cut(os.Getenv("LANEWISE_TEST_WEAVIATE"), ",")
	s, err := weaviate.New(weaviate.Config{Address: rest, GRPC: grpc, Prefix: "Mixed" + strings.ToLower(rand.Text())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = s.Write(context.Background(), search.Batch{Collection: docs, Drop: true})
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func random(n, dims int) []search.Point {
	rng := mathrand.New(mathrand.NewPCG(3, 3))
	points := make([]search.Point, n)
	for i := range points {
		v := make([]float32, dims)
		for j := range v {
			v[j] = float32(rng.NormFloat64())
		}
		points[i] = search.Point{
			Key: search.Key{ID: fmt.Sprint("id", i)}, Version: 1, Dense: v, Meta: json.RawMessage(fmt.Sprintf(`{"n":%d,"name":"point %d"}`, i, i)),
		}
	}
	return points
}

// same allows for the float32 of an engine: scores within 1e-5, and rows that are
// that close to each other in either order.
func same(t *testing.T, want, got search.List) {
	t.Helper()
	if len(got.Hits) != len(want.Hits) {
		t.Fatalf("got %d hits, want %d", len(got.Hits), len(want.Hits))
	}
	scores := map[string]float64{}
	for _, h := range want.Hits {
		scores[h.ID] = h.Score
	}
	for i, h := range got.Hits {
		w := want.Hits[i]
		if math.Abs(h.Score-w.Score) > 1e-5 || h.ID != w.ID && math.Abs(scores[h.ID]-w.Score) > 1e-5 {
			t.Fatalf("hit %d is %s with %v, want %s with %v", i, h.ID, h.Score, w.ID, w.Score)
		}
	}
}
