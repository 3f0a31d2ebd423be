package weaviate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/adapters/weaviate"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

func point(id string, v search.Version, meta string) search.Point {
	return search.Point{Key: search.Key{ID: id}, Version: v, Dense: []float32{float32(v), 1}, Text: id, Meta: json.RawMessage(meta)}
}

func grave(id string, v search.Version) search.Tombstone {
	return search.Tombstone{Key: search.Key{ID: id}, Version: v}
}

func create(t *testing.T, s *weaviate.Store, name string) {
	t.Helper()
	put(t, s, search.Batch{Create: &search.Collection{Name: name, Dims: 2, Metric: search.Dot}})
}

// again opens a second store on the same classes, as after a restart.
func again(t *testing.T, c weaviate.Config) *weaviate.Store {
	t.Helper()
	c.Address, c.GRPC = server(t)
	s, err := weaviate.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func count(t *testing.T, s *weaviate.Store, filter string) int {
	t.Helper()
	f, err := search.ParseFilter([]byte(filter))
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.Count(t.Context(), "docs", "", f)
	if err != nil {
		t.Fatalf("%s: %v", filter, err)
	}
	return n
}

func TestWrite_keepsTheNewestVersion(t *testing.T) {
	c := weaviate.Config{Prefix: prefix()}
	s := open(t, c)
	create(t, s, "docs")
	put(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{point("a", 10, ""), point("b", 10, "")}})
	out := put(t, s, search.Batch{
		Collection: "docs", Upserts: []search.Point{point("a", 9, ""), point("c", 9, ""), point("c", 8, "")},
		Deletes: []search.Tombstone{grave("b", 8)},
	})
	if out.Applied != 1 || out.Newer != 10 {
		t.Errorf("got %+v, want one applied and 10 as the newer version", out)
	}
	put(t, s, search.Batch{Collection: "docs", Deletes: []search.Tombstone{grave("a", 20), grave("never", 20)}})
	other := again(t, c) // it knows the versions from the server alone
	late := search.Batch{Collection: "docs", Upserts: []search.Point{point("a", 15, ""), point("never", 15, ""), point("b", 9, "")}}
	if out := put(t, other, late); out.Applied != 0 || out.Newer != 20 {
		t.Errorf("late retries after a restart: got %+v, want none applied and 20 as the newer version", out)
	}
	if n := count(t, s, `{}`); n != 2 {
		t.Errorf("count is %d, want b and c", n)
	}
	if out := put(t, other, search.Batch{Collection: "docs", Upserts: []search.Point{point("a", 21, "")}}); out.Applied != 1 {
		t.Errorf("a newer write after the deletion: got %+v", out)
	}
}

func TestWrite_refusesALowerEpoch(t *testing.T) {
	c := weaviate.Config{Prefix: prefix()}
	s := open(t, c)
	create(t, s, "docs")
	put(t, s, search.Batch{Collection: "docs", Epoch: 7, Upserts: []search.Point{point("a", 1, "")}})
	for name, s := range map[string]*weaviate.Store{"the same store": s, "another store": again(t, c)} {
		_, err := s.Write(t.Context(), search.Batch{Collection: "docs", Epoch: 6, Upserts: []search.Point{point("b", 1, "")}})
		if !errors.Is(err, fault.Conflict) {
			t.Errorf("%s: got %v, want a conflict", name, err)
		}
	}
	put(t, s, search.Batch{Collection: "docs", Epoch: 7, Upserts: []search.Point{point("c", 1, "")}})
	put(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{point("d", 1, "")}})
	if n := count(t, s, `{}`); n != 3 {
		t.Errorf("count is %d, want a, c and d", n)
	}
	_, err := s.Write(t.Context(), search.Batch{Collection: "docs", Upserts: []search.Point{{Key: search.Key{ID: "x"}, Dense: []float32{1}}, point("e", 1, "")}})
	if !errors.Is(err, fault.Invalid) || fault.Field(err) != "/upserts/0/dense" || count(t, s, `{}`) != 3 {
		t.Errorf("a batch with a bad point: got %v, and %d points", err, count(t, s, `{}`))
	}
}

func TestStats_isTheServersSum(t *testing.T) {
	for _, without := range []bool{false, true} {
		s := open(t, weaviate.Config{NoDigest: without})
		create(t, s, "docs")
		put(t, s, search.Batch{Collection: "docs", Epoch: 3, Upserts: []search.Point{point("a", 1<<40+5, ""), point("b", 1<<40+9, ""), point("c", math.MaxUint64>>1, "")}})
		put(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{point("a", 1<<40+6, "")}, Deletes: []search.Tombstone{grave("c", math.MaxUint64), grave("d", 4)}})
		all, err := s.Stats(t.Context(), "docs")
		if err != nil || len(all) != 1 {
			t.Fatalf("got %+v, %v", all, err)
		}
		digest := search.Digest(search.Key{ID: "a"}, 1<<40+6) + search.Digest(search.Key{ID: "b"}, 1<<40+9)
		if without {
			digest = 0
		}
		if got := all[0]; got.Points != 2 || got.Newest != math.MaxUint64 || got.Digest != digest&got.DigestMask() {
			t.Errorf("got %+v, want two points, the newest version of all and the digest %x", got, digest)
		}
	}
}

func TestFilter_ofFieldsBeyondTheLimit(t *testing.T) {
	c := weaviate.Config{Prefix: prefix(), MaxOrdered: 1} // two properties
	s := open(t, c)
	create(t, s, "docs")
	put(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{point("a", 1, `{"n":1}`)}})
	put(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{point("b", 1, `{"n":2,"s":"x"}`)}})
	put(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{point("c", 1, `{"n":3,"s":"y","late":4,"later":"z"}`)}})
	c.MaxOrdered = 0 // a raised limit must not order what was not ordered so far
	for name, s := range map[string]*weaviate.Store{"first": s, "with another limit": again(t, c)} {
		put(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{point("d", 1, `{"n":4,"late":5}`)}})
		for filter, want := range map[string]int{
			`{"n":{"$gte":2}}`: 3, `{"s":{"$lt":"y"}}`: 1, `{"late":4}`: 1, `{"late":{"$in":[4,5,"z"]}}`: 2, `{"later":"z"}`: 1,
			`{"late":{"$exists":true}}`: 2, `{"late":null}`: 2, `{"never":{"$exists":true}}`: 0, `{"n":{"$ne":1}}`: 3,
		} {
			if n := count(t, s, filter); n != want {
				t.Errorf("%s: %s: count is %d, want %d", name, filter, n, want)
			}
		}
		f, err := search.ParseFilter([]byte(`{"late":{"$gt":3}}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Count(t.Context(), "docs", "", f); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: order on a field beyond the limit: got %v, want invalid", name, err)
		}
	}
}

// A field whose first value another Store writes is found by a Store that did not know it.
func TestFilter_noticesFieldsOfAnotherStore(t *testing.T) {
	c := weaviate.Config{Prefix: prefix()}
	s := open(t, c)
	create(t, s, "docs")
	if n := count(t, s, `{"n":{"$gt":0}}`); n != 0 {
		t.Fatalf("count is %d", n)
	}
	put(t, again(t, c), search.Batch{Collection: "docs", Upserts: []search.Point{point("a", 1, `{"n":1}`)}})
	for _, filter := range []string{`{"n":{"$gt":0}}`, `{"n":1}`, `{"n":{"$exists":true}}`} {
		if n := count(t, s, filter); n != 1 {
			t.Errorf("%s: count is %d, want 1", filter, n)
		}
	}
}

func TestFilter_ofLongTexts(t *testing.T) {
	s := open(t, weaviate.Config{})
	create(t, s, "docs")
	long := strings.Repeat("x", 255)
	var batch search.Batch
	metas := []string{long, long[1:], long + "y", long + "z", long[:251], long[:252], " x", "x ", "", "X", "x"}
	for i, text := range metas {
		packed, err := json.Marshal(map[string]string{"t": text})
		if err != nil {
			t.Fatal(err)
		}
		batch.Upserts = append(batch.Upserts, point(fmt.Sprint(i), 1, string(packed)))
	}
	batch.Collection = "docs"
	put(t, s, batch)
	for _, text := range metas {
		packed, err := json.Marshal(map[string]string{"t": text})
		if err != nil {
			t.Fatal(err)
		}
		if n := count(t, s, string(packed)); n != 1 {
			t.Errorf("%.5q of %d bytes: count is %d, want 1", text, len(text), n)
		}
	}
	if n := count(t, s, `{"t":{"$gte":"`+long[:251]+`"}}`); n != 6 {
		t.Errorf("texts of at least 251 x: %d, want 6", n)
	}
}

// Another client drops the collection and makes it anew, once with other dims and once
// with another metric, which no answer of the server tells.
func TestSearch_noticesARecreatedCollection(t *testing.T) {
	c := weaviate.Config{Prefix: prefix()}
	s, other := open(t, c), again(t, c)
	for _, made := range []search.Collection{{Name: "docs", Dims: 3, Metric: search.Euclidean}, {Name: "docs", Dims: 3, Metric: search.Cosine}} {
		create(t, s, "docs")
		put(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{point("a", 1, "")}})
		put(t, other, search.Batch{Collection: "docs", Drop: true})
		put(t, other, search.Batch{Create: &made})
		p := search.Point{Key: search.Key{ID: "z"}, Version: 1, Dense: []float32{1, 2, 3}}
		put(t, other, search.Batch{Collection: "docs", Upserts: []search.Point{p}})
		q := search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{2, 4, 6}, K: 5}}}
		want := map[search.Metric]float64{search.Euclidean: -math.Sqrt(14), search.Cosine: 1}[made.Metric]
		got, err := s.Search(t.Context(), q)
		if err != nil || len(got.Lists[0].Hits) != 1 || math.Abs(got.Lists[0].Hits[0].Score-want) > 1e-12 {
			t.Errorf("%s: got %+v, %v, want z with %v", made.Metric, got, err, want)
		}
		put(t, other, search.Batch{Collection: "docs", Drop: true})
	}
}

func TestStore_approximateIndex(t *testing.T) {
	s := open(t, weaviate.Config{Index: weaviate.HNSW})
	create(t, s, "docs")
	var batch search.Batch
	for i := range 300 {
		a := float64(i) / 50
		batch.Upserts = append(batch.Upserts, search.Point{
			Key: search.Key{ID: fmt.Sprintf("%03d", i)}, Version: 1, Dense: []float32{float32(math.Cos(a)), float32(math.Sin(a))},
		})
	}
	batch.Collection = "docs"
	put(t, s, batch)
	leg := search.Leg{Dense: []float32{1, 0}, K: 3, EF: 100}
	got, err := s.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{leg}})
	if err != nil || len(got.Lists[0].Hits) != 3 || got.Lists[0].Hits[0].ID != "000" || got.Lists[0].Prefix || got.Lists[0].Exhausted {
		t.Errorf("got %+v, %v", got, err)
	}
	leg.Exact = true
	if _, err := s.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{leg}}); !errors.Is(err, fault.Invalid) {
		t.Errorf("exact: got %v, want invalid", err)
	}
	leg.Only = []search.Key{{ID: "007"}, {ID: "100"}, {Tenant: "t", ID: "007"}}
	if got, err := s.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{leg}}); err != nil || len(got.Lists[0].Hits) != 2 {
		t.Errorf("only: got %+v, %v", got, err)
	}
}

func TestStore_sparseVectors(t *testing.T) {
	s := open(t, weaviate.Config{})
	create(t, s, "docs")
	p := point("a", 1, "")
	p.Sparse = search.Sparse{Index: []uint32{3, 9}, Value: []float32{0.5, 2}}
	put(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{p, point("b", 1, "")}})
	leg := search.Leg{Sparse: search.Sparse{Index: []uint32{1, 9}, Value: []float32{7, 3}}, K: 5}
	if _, err := s.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{leg}}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a lexical leg: got %v, want invalid", err)
	}
	leg.Only = []search.Key{{ID: "a"}, {ID: "b"}}
	got, err := s.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{leg}})
	if err != nil || len(got.Lists[0].Hits) != 1 || got.Lists[0].Hits[0].Score != 6 || got.Lists[0].Hits[0].Raw != 6 {
		t.Errorf("completing a lexical leg: got %+v, %v, want a with 6", got, err)
	}
}

func TestCreate_addsLexicalSettings(t *testing.T) {
	c := weaviate.Config{Prefix: prefix()}
	s := open(t, c)
	create(t, s, "docs")
	put(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{point("a", 1, `{"n":1}`)}})
	want := search.Collection{Name: "docs", Dims: 2, Metric: search.Dot, Lexical: true, AvgLen: 50, Language: "en"}
	put(t, s, search.Batch{Create: &want})
	all, err := again(t, c).Stats(t.Context(), "")
	if err != nil || len(all) != 1 || all[0].Collection != want || all[0].Points != 1 || count(t, s, `{"n":1}`) != 1 {
		t.Errorf("got %+v, %v, want %+v", all, err, want)
	}
}

func TestStore_key(t *testing.T) {
	s := open(t, weaviate.Config{Key: "lanewise-test"}) // that of scripts/servers/weaviate
	create(t, s, "docs")
	put(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{point("a", 1, "")}})
	if n := count(t, s, `{}`); n != 1 {
		t.Errorf("count is %d, want 1", n)
	}
}

// Names that differ in case, or in what a class cannot be called, are different collections.
func TestCreate_namesOfAllKinds(t *testing.T) {
	s := open(t, weaviate.Config{})
	names := []string{"docs", "Docs", "DOCS", "docs-1", "docs_1", "_", "é 日本"}
	for _, name := range names {
		create(t, s, name)
	}
	all, err := s.Stats(t.Context(), "")
	if err != nil || len(all) != len(names) {
		t.Errorf("got %+v, %v, want %d collections", all, err, len(names))
	}
}
