package qdrant_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdk "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lanewise/lanewise/adapters/qdrant"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// find runs a query of one leg.
func find(t *testing.T, s search.Searcher, q search.Query) search.List {
	t.Helper()
	res, err := s.Search(t.Context(), q)
	if err != nil {
		t.Fatalf("search: %v", err)
	}
	return res.Lists[0]
}

func ids(l search.List) []string {
	out := make([]string, len(l.Hits))
	for i, h := range l.Hits {
		out[i] = h.ID
	}
	return out
}

// Qdrant cuts ties as it likes, each copy in its own way; here the ids decide, however
// many rows tie.
func TestSearch_cutsTiesByID(t *testing.T) {
	for _, copies := range []string{"", "majority", "all"} {
		t.Run(copies, func(t *testing.T) {
			c := somewhere(t)
			c.Consistency = copies
			tiesAreCut(t, open(t, c))
		})
	}
}

func tiesAreCut(t *testing.T, s search.Store) {
	t.Helper()
	create(t, s)
	var points []search.Point
	var want []string
	for i := range 100 {
		points = append(points, search.Point{Key: search.Key{ID: fmt.Sprintf("t%02d", (i*37)%100)}, Version: 1, Dense: []float32{1, 0}})
		want = append(want, fmt.Sprintf("t%02d", i))
	}
	put(t, s, append(points, search.Point{Key: search.Key{ID: "best"}, Version: 1, Dense: []float32{2, 0}})...)
	for _, k := range []int{1, 2, 8, 100} {
		l := find(t, s, nearest(k))
		if diff := cmp.Diff(append([]string{"best"}, want[:k-1]...), ids(l)); diff != "" {
			t.Errorf("k = %d: %s", k, diff)
		}
		if !l.Prefix || l.Exhausted {
			t.Errorf("k = %d: prefix %v, exhausted %v", k, l.Prefix, l.Exhausted)
		}
	}
	if l := find(t, s, nearest(101)); !l.Exhausted || len(l.Hits) != 101 {
		t.Errorf("all of them: %d hits, exhausted %v", len(l.Hits), l.Exhausted)
	}
}

// A tie that is larger than what is read is cut anyhow, and the list says that it
// is no prefix.
func TestSearch_saysWhereATieIsTooLarge(t *testing.T) {
	s := fresh(t)
	create(t, s)
	for from := 0; from < 5000; from += 1000 {
		var points []search.Point
		for i := range 1000 {
			points = append(points, at(fmt.Sprint(from+i), 1))
		}
		put(t, s, points...)
	}
	if l := find(t, s, nearest(3)); len(l.Hits) != 3 || l.Prefix || l.Exhausted {
		t.Errorf("%d hits, prefix %v, exhausted %v", len(l.Hits), l.Prefix, l.Exhausted)
	}
}

func TestSearch_approximateListIsExhaustedOnlyWhereTheCountSaysSo(t *testing.T) {
	s, engine := start(t)
	create(t, s)
	put(t, s, at("a", 1), at("b", 2), at("c", 3), search.Point{Key: search.Key{ID: "bare"}, Version: 1})
	write(t, s, search.Batch{Collection: docs, Deletes: []search.Tombstone{grave("gone", 9)}})
	q := nearest(10)
	q.Legs[0].Exact = false
	if l := find(t, s, q); !l.Exhausted || l.Prefix || len(l.Hits) != 3 {
		t.Errorf("all rows: %d hits, exhausted %v, prefix %v", len(l.Hits), l.Exhausted, l.Prefix)
	}
	engine.missed = 1
	if l := find(t, s, q); l.Exhausted || len(l.Hits) != 2 {
		t.Errorf("a row missed: %d hits, exhausted %v", len(l.Hits), l.Exhausted)
	}
	q.Legs[0].Exact = true
	if l := find(t, s, q); !l.Exhausted || len(l.Hits) != 3 {
		t.Errorf("exact: %d hits, exhausted %v", len(l.Hits), l.Exhausted)
	}
}

func TestSearch_sparse(t *testing.T) {
	s := fresh(t)
	create(t, s)
	sparse := func(id string, index []uint32, value ...float32) search.Point {
		return search.Point{Key: search.Key{ID: id}, Version: 1, Sparse: search.Sparse{Index: index, Value: value}}
	}
	put(t, s, sparse("a", []uint32{1, 5}, 0.5, 2), sparse("b", []uint32{5}, 3), sparse("c", []uint32{7}, 9), at("dense", 1))
	leg := search.Leg{Sparse: search.Sparse{Index: []uint32{1, 5}, Value: []float32{4, 1}}, K: 5}
	q := search.Query{Collection: docs, Legs: []search.Leg{leg, {Dense: []float32{1, 1}, K: 5, Exact: true}}, Fields: everything}
	res, err := s.Search(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, ids(res.Lists[0])); diff != "" {
		t.Error(diff)
	}
	if h := res.Lists[0].Hits[0]; h.Score != 4 || h.Raw != 4 || !slices.Equal(h.Sparse.Index, []uint32{1, 5}) || !slices.Equal(h.Sparse.Value, []float32{0.5, 2}) {
		t.Errorf("got %+v", h)
	}
	if diff := cmp.Diff([]string{"dense"}, ids(res.Lists[1])); diff != "" {
		t.Error(diff)
	}
	q.Legs[0].Dense = []float32{1, 1}
	if _, err := s.Search(t.Context(), q); !errors.Is(err, fault.Invalid) {
		t.Errorf("both kinds in one leg: got %v", err)
	}
}

func TestSearch_whatQdrantIsAsked(t *testing.T) {
	engine := newServer()
	s := open(t, qdrant.Config{
		Address: engine.serve(t, "127.0.0.1:0", nil).address, Key: "k", Consistency: "quorum", ShardKey: "eu", Prefix: "x-", Vector: "passage",
	})
	create(t, s)
	q := search.Query{Collection: docs, Legs: []search.Leg{
		{Dense: []float32{1, 0}, K: 7}, {Dense: []float32{1, 0}, K: 7, EF: 300}, {Dense: []float32{1, 0}, K: 7, EF: 10}, {Dense: []float32{1, 0}, K: 7, Exact: true},
	}}
	if _, err := s.Search(qdrant.WithAffinity(t.Context(), "session-9"), q); err != nil {
		t.Fatal(err)
	}
	got := engine.last(t, "QueryBatch")
	if h := got.headers; !slices.Equal(h.Get("api-key"), []string{"k"}) || !slices.Equal(h.Get("x-qdrant-route-affinity"), []string{"session-9"}) {
		t.Errorf("headers: %v", h)
	}
	batch := got.request.(*sdk.QueryBatchPoints)
	if batch.GetCollectionName() != "x-docs" || batch.GetReadConsistency() != nil || len(batch.GetQueryPoints()) != 4 {
		t.Errorf("got %v", batch)
	}
	text(t, s, "a")
	if got := engine.last(t, "Get").request.(*sdk.GetPoints).GetReadConsistency().GetType(); got != sdk.ReadConsistencyType_Quorum {
		t.Errorf("a point is read with %v", got)
	}
	for i, want := range []*sdk.SearchParams{
		nil, {HnswEf: new(uint64(300))}, {HnswEf: new(uint64(100))}, {Exact: new(true)}, // 100: less would be below Qdrant's own
	} {
		one := batch.GetQueryPoints()[i]
		if one.GetLimit() != 8 || one.GetUsing() != "passage" || one.GetShardKeySelector().GetShardKeys()[0].GetKeyword() != "eu" || one.GetParams().String() != want.String() {
			t.Errorf("leg %d: %v", i, one)
		}
	}
}

// Numbers and UUIDs are their own ids, where no tenant has to be told apart.
func TestWrite_idsInQdrant(t *testing.T) {
	s, engine := start(t)
	write(t, s, search.Batch{Create: &search.Collection{Name: docs, Dims: 2, Metric: search.Dot}})
	write(t, s, search.Batch{Create: &search.Collection{
		Name: "tenants", Dims: 2, Metric: search.Dot, Placement: search.Placement{By: search.ByTenant},
	}})
	const v4, v5 = "0a1b2c3d-0000-4000-8000-00000000000a", "0a1b2c3d-0000-5000-8000-00000000000a"
	for id, kept := range map[string]bool{
		"0": true, "18446744073709551615": true, v4: true, v5: false, "18446744073709551616": false, "007": false, "+1": false, "x": false,
		"0A1B2C3D-0000-4000-8000-00000000000A": false, "0a1b2c3d000040008000000000000000": false,
	} {
		for collection, keeps := range map[string]bool{docs: kept, "tenants": false} {
			p := at(id, 1)
			write(t, s, search.Batch{Collection: collection, Upserts: []search.Point{p}})
			sent := engine.last(t, "Upsert").request.(*sdk.UpsertPoints).GetPoints()[0].GetId()
			if got := sent.GetUuid() == id || sent.GetUuid() == "" && fmt.Sprint(sent.GetNum()) == id; got != keeps {
				t.Errorf("%s in %s: sent as %v", id, collection, sent)
			}
			points, err := s.Get(t.Context(), collection, []search.Key{p.Key}, everything)
			if err != nil || len(points) != 1 || points[0].ID != id {
				t.Errorf("%s in %s: got %+v, %v", id, collection, points, err)
			}
		}
	}
}

// A collection whose shard key was not made in time gets it when it is created again.
func TestCreate_finishesTheShardKey(t *testing.T) {
	engine := newServer()
	s := open(t, qdrant.Config{Address: engine.serve(t, "127.0.0.1:0", nil).address, ShardKey: "eu"})
	engine.hook(func(context.Context) error {
		if engine.recent("CreateShardKey").request == nil {
			return nil
		}
		engine.hook(nil)
		return status.Error(codes.DeadlineExceeded, "Timeout error")
	})
	made := search.Batch{Create: &search.Collection{Name: docs, Dims: 2, Metric: search.Dot}}
	if _, err := s.Write(t.Context(), made); !errors.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
	for range 2 {
		write(t, s, made)
		if got := engine.shelf[docs].keys; !slices.Equal(got, []string{"eu"}) {
			t.Errorf("it has the keys %v", got)
		}
	}
}

func TestCreate_refusesWhatIsNotItsOwn(t *testing.T) {
	s, engine := start(t)
	engine.shelf["foreign"] = &shelf{config: &sdk.CollectionConfig{}}
	c := search.Collection{Name: "foreign", Dims: 2, Metric: search.Dot}
	if _, err := s.Write(t.Context(), search.Batch{Create: &c}); !errors.Is(err, fault.Conflict) {
		t.Errorf("a foreign collection: got %v, want a conflict", err)
	}
	engine.old = true
	c.Name = docs
	if _, err := s.Write(t.Context(), search.Batch{Create: &c}); !errors.Is(err, fault.Conflict) {
		t.Errorf("an old server: got %v, want a conflict", err)
	}
	if all, err := s.Stats(t.Context(), ""); err != nil || len(all) != 0 || len(engine.shelf) != 1 {
		t.Errorf("got %+v, %v, and %d collections", all, err, len(engine.shelf))
	}
}

// Stores with prefixes of their own share a server and do not see each other's
// collections, even where one prefix starts with the other.
func TestStats_ofStoresThatShareAServer(t *testing.T) {
	c := somewhere(t)
	plain, shared := open(t, c), c.Prefix
	for _, prefix := range []string{"s", "s0", "s0-"} {
		c.Prefix = shared + prefix
		s := open(t, c)
		cleanUp(t, c)
		create(t, s)
		put(t, s, at(prefix, 1))
	}
	for prefix, want := range map[string]int{"": 0, "s": 1, "s0": 1, "s0-": 1, "s1": 0} {
		s := plain
		if prefix != "" {
			c.Prefix = shared + prefix
			s = open(t, c)
		}
		all, err := s.Stats(t.Context(), "")
		if err != nil || len(all) != want {
			t.Errorf("prefix %q: got %+v, %v, want %d collections", prefix, all, err, want)
		}
		if want == 1 && (text(t, s, prefix) != "1" || all[0].Collection.Name != docs) {
			t.Errorf("prefix %q: got %+v", prefix, all)
		}
	}
}

// Another program drops a collection and makes it again with other dims.
func TestSearch_seesThatACollectionWasMadeAgain(t *testing.T) {
	c := somewhere(t)
	s, other := open(t, c), open(t, c)
	create(t, s)
	for _, dims := range []int{3, 4} {
		write(t, other, search.Batch{Collection: docs, Drop: true})
		if dims == 4 {
			refused(t, s, fault.NotFound)
		}
		write(t, other, search.Batch{Create: &search.Collection{Name: docs, Dims: dims, Metric: search.Dot}})
		q := search.Query{Collection: docs, Legs: []search.Leg{{Dense: make([]float32, dims), K: 1}}}
		if _, err := s.Search(t.Context(), q); err != nil {
			t.Errorf("%d dims: %v", dims, err)
		}
		put(t, s, search.Point{Key: search.Key{ID: "a"}, Version: 1, Dense: make([]float32, dims)})
		q.Legs[0].Dense = []float32{1, 2}
		if _, err := s.Search(t.Context(), q); !errors.Is(err, fault.Invalid) || fault.Field(err) != "/legs/0/dense" {
			t.Errorf("two dims in a collection of %d: got %v", dims, err)
		}
	}
}

// The length of a vector comes back although Qdrant stores it at length 1.
func TestGet_vectorsOfACosineCollection(t *testing.T) {
	s := fresh(t)
	write(t, s, search.Batch{Create: &search.Collection{Name: docs, Dims: 2, Metric: search.Cosine}})
	for id, v := range map[string][]float32{"long": {300, 400}, "short": {3e-6, 4e-6}, "zero": {0, 0}} {
		put(t, s, search.Point{Key: search.Key{ID: id}, Version: 1, Dense: slices.Clone(v)})
		points, err := s.Get(t.Context(), docs, []search.Key{{ID: id}}, everything)
		if err != nil || len(points) != 1 {
			t.Fatalf("%s: got %+v, %v", id, points, err)
		}
		for i, x := range points[0].Dense {
			if math.Abs(float64(x-v[i])) > 1e-6*math.Abs(float64(v[i])) {
				t.Errorf("%s: got %v, want %v", id, points[0].Dense, v)
			}
		}
	}
}

// However long a vector or a query is, the score is its cosine.
func TestSearch_lengthsOfACosineCollection(t *testing.T) {
	s := fresh(t)
	write(t, s, search.Batch{Create: &search.Collection{Name: docs, Dims: 2, Metric: search.Cosine}})
	for _, scale := range []float32{1e-38, 1e-5, 1, 1e5, 1e37} {
		put(t, s, search.Point{Key: search.Key{ID: fmt.Sprint(scale)}, Version: 1, Dense: []float32{3 * scale, 4 * scale}})
	}
	for _, scale := range []float32{1e-38, 1e-5, 1, 1e5, 1e37} {
		q := search.Query{Collection: docs, Legs: []search.Leg{{Dense: []float32{scale, 0}, K: 9, Exact: true}}}
		l := find(t, s, q)
		for _, h := range l.Hits {
			if math.Abs(h.Score-0.6) > 1e-6 {
				t.Errorf("%s, asked with %v: %v, want 0.6", h.ID, scale, h.Score)
			}
		}
		if len(l.Hits) != 5 {
			t.Errorf("asked with %v: %v", scale, ids(l))
		}
	}
}

func TestScroll_seesWhatWasWrittenMeanwhile(t *testing.T) {
	s := fresh(t)
	create(t, s)
	put(t, s, at("a", 1), at("b", 1), at("c", 1), at("d", 1))
	page := func(after string) search.Page {
		t.Helper()
		p, err := s.Scroll(t.Context(), search.Scan{Collection: docs, Limit: 2, After: search.Key{ID: after}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := page(""); len(p.Points) != 2 || !p.More {
		t.Fatalf("got %+v", p)
	}
	put(t, s, at("bb", 1))
	write(t, s, search.Batch{Collection: docs, Deletes: []search.Tombstone{grave("c", 2)}})
	p := page("b")
	if len(p.Points) != 2 || p.Points[0].ID != "bb" || p.Points[1].ID != "d" || p.More {
		t.Errorf("got %+v, want bb and d and no more", p)
	}
}
