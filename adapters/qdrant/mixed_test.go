package qdrant_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/adapters/qdrant"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// One collection over a Qdrant shard, a local one, and one with a copy on each,
// answers as a single store that holds all of its points.
func TestStore_inACollectionOfSeveralEngines(t *testing.T) {
	r, err := router.New(router.Config{Shards: []router.Shard{
		{Name: "s0", Replicas: []router.Replica{{Name: "a", Store: engine(t)}}},
		{Name: "s1", Replicas: []router.Replica{{Name: "a", Store: embedded(t)}}},
		{Name: "s2", Replicas: []router.Replica{{Name: "a", Store: embedded(t)}, {Name: "b", Store: engine(t)}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	reference := embedded(t)
	c := search.Collection{Name: docs, Dims: 16, Metric: search.Cosine}
	if _, err := r.CreateCollection(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	write(t, reference, search.Batch{Create: &c})
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
}

func engine(t *testing.T) *qdrant.Store {
	t.Helper()
	s, _ := start(t)
	return s
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

func random(n, dims int) []search.Point {
	rng := rand.New(rand.NewPCG(3, 3))
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
