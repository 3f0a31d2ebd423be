package milvus_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/lanewise/lanewise/adapters/milvus"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

func write(t *testing.T, s *milvus.Store, b search.Batch) search.Written {
	t.Helper()
	out, err := s.Write(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func point(id string, v search.Version, meta string) search.Point {
	return search.Point{Key: search.Key{ID: id}, Version: v, Dense: []float32{float32(v), 1}, Text: id, Meta: json.RawMessage(meta)}
}

func create(t *testing.T, s *milvus.Store, name string) {
	t.Helper()
	write(t, s, search.Batch{Create: &search.Collection{Name: name, Dims: 2, Metric: search.Dot}})
}

func count(t *testing.T, s search.Store) int {
	t.Helper()
	n, err := s.Count(t.Context(), "docs", "", search.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWrite_keepsTheNewestVersion(t *testing.T) {
	s := open(t, milvus.Config{Consistency: milvus.Session})
	create(t, s, "docs")
	write(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{point("a", 10, ""), point("b", 10, "")}})
	out := write(t, s, search.Batch{
		Collection: "docs", Upserts: []search.Point{point("a", 9, ""), point("c", 9, ""), point("c", 8, "")},
		Deletes: []search.Tombstone{{Key: search.Key{ID: "b"}, Version: 8}},
	})
	if out.Applied != 1 || out.Newer != 10 {
		t.Errorf("got %+v, want one applied and 10 as the newer version", out)
	}
	write(t, s, search.Batch{Collection: "docs", Deletes: []search.Tombstone{{Key: search.Key{ID: "a"}, Version: 20}}})
	if out := write(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{point("a", 15, "")}}); out.Applied != 0 || out.Newer != 20 {
		t.Errorf("a late retry after a deletion: got %+v", out)
	}
	got, err := s.Get(t.Context(), "docs", []search.Key{{ID: "a"}, {ID: "b"}, {ID: "c"}}, search.Fields{})
	if err != nil || len(got) != 2 || got[0].Version != 10 || got[1].Version != 9 {
		t.Errorf("got %+v, %v, want b at 10 and c at 9", got, err)
	}
	// Another Store, as after a restart, knows the versions from the server alone.
	again, err := milvus.New(milvus.Config{Address: server(t), Database: database(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close() //nolint:errcheck // at the end of the test
	if out := write(t, again, search.Batch{Collection: "docs", Upserts: []search.Point{point("b", 9, "")}}); out.Newer != 10 {
		t.Errorf("after a restart: got %+v, want 10 as the newer version", out)
	}
}

func TestWrite_refusesALowerEpoch(t *testing.T) {
	c := milvus.Config{Consistency: milvus.Session, Database: database(t)}
	s := open(t, c)
	create(t, s, "docs")
	write(t, s, search.Batch{Collection: "docs", Epoch: 7, Upserts: []search.Point{point("a", 10, "")}})
	c.Address = server(t)
	again, err := milvus.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close() //nolint:errcheck // at the end of the test
	for name, s := range map[string]*milvus.Store{"the same store": s, "another store": again} {
		_, err := s.Write(t.Context(), search.Batch{Collection: "docs", Epoch: 6, Upserts: []search.Point{point("b", 10, "")}})
		if !errors.Is(err, fault.Conflict) {
			t.Errorf("%s: got %v, want a conflict", name, err)
		}
	}
	write(t, s, search.Batch{Collection: "docs", Epoch: 7, Upserts: []search.Point{point("c", 10, "")}})
	write(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{point("d", 10, "")}})
	page, err := s.Scroll(t.Context(), search.Scan{Collection: "docs", AllTenants: true, Limit: 9})
	if err != nil || len(page.Points) != 3 || count(t, s) != 3 {
		t.Errorf("scroll: got %+v, %v, want a, c and d, and not the fence", page, err)
	}
	all, err := s.Stats(t.Context(), "docs")
	if err != nil || all[0].Points != 3 || all[0].Newest != 10 {
		t.Errorf("stats: got %+v, %v", all, err)
	}
	res, err := s.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{0, 0}, K: 9}}})
	if err != nil || len(res.Lists[0].Hits) != 3 {
		t.Errorf("search: got %+v, %v", res, err)
	}
}

func TestWrite_isFoundAfterItsLag(t *testing.T) {
	s := open(t, milvus.Config{})
	create(t, s, "docs")
	out := write(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{point("a", 1, "")}})
	if out.Lag != 5*time.Second {
		t.Fatalf("the lag is %v, want the server's 5 s", out.Lag)
	}
	<-time.After(out.Lag)
	if n := count(t, s); n != 1 {
		t.Errorf("count is %d after the lag, want 1", n)
	}
}

// Sealed segments are searched by other code of the server than growing ones.
func TestStore_answersAlikeFromSealedSegments(t *testing.T) {
	s := open(t, milvus.Config{Consistency: milvus.Session})
	create(t, s, "docs")
	metas := []string{
		`{"a":[{"b":1},{"b":"é"}]}`, `{"a":{"b":9007199254740993}}`, `{"a":{"b":9007199254740992}}`, `{}`, ``, `{"a":{"b":null}}`,
		`{"a":{"b":18446744073709551615}}`, `{"a":{"b":-2.5}}`, `{"a":{"b":true}}`, `{"a":{"b":"\u0000\"\\"}}`, `{"a":{"b":"` + fmt.Sprintf("%0300d", 1) + `"}}`,
	}
	for i, meta := range metas {
		write(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{point(fmt.Sprintf("\x00\x01\x02 %02d", i), 1, meta)}})
	}
	if err := sdk(t).Flush(t.Context(), "docs", false); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		`{"a.b":1}`, `{"a.b":{"$gt":9007199254740992}}`, `{"a.b":{"$lte":9007199254740992}}`, `{"a.b":{"$exists":false}}`, `{"a.b":"\u0000\"\\"}`,
		`{"a.b":{"$gte":""}}`, `{"a.b":{"$nin":[1,true,null]}}`, `{"a.b":{"$lt":0}}`, `{"a.b":"` + fmt.Sprintf("%0300d", 1) + `"}`,
	} {
		f, err := search.ParseFilter([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, meta := range metas {
			if f.Match(json.RawMessage(meta)) {
				want++
			}
		}
		if n, err := s.Count(t.Context(), "docs", "", f); n != want || err != nil {
			t.Errorf("%.60s: count is %d (%v), want %d", text, n, err, want)
		}
	}
	page, err := s.Scroll(t.Context(), search.Scan{Collection: "docs", Limit: 4, Fields: search.Fields{Meta: true}})
	if err != nil || len(page.Points) != 4 || !page.More || string(page.Points[0].Meta) != metas[0] {
		t.Errorf("scroll: got %+v, %v", page, err)
	}
}

func TestSearch_saysThatACollectionIsNotLoaded(t *testing.T) {
	s := open(t, milvus.Config{Consistency: milvus.Session})
	create(t, s, "docs")
	if err := sdk(t).ReleaseCollection(t.Context(), "docs"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 1}, K: 1}}})
	if !errors.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
	create(t, s, "docs") // the same create again loads it
	if n := count(t, s); n != 0 {
		t.Errorf("count is %d, want 0", n)
	}
}

// Another client drops the collection and makes it anew with other dims.
func TestSearch_noticesARecreatedCollection(t *testing.T) {
	s, other := open(t, milvus.Config{Consistency: milvus.Session}), open(t, milvus.Config{Consistency: milvus.Session})
	create(t, s, "docs")
	write(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{point("a", 1, "")}})
	write(t, other, search.Batch{Collection: "docs", Drop: true})
	write(t, other, search.Batch{Create: &search.Collection{Name: "docs", Dims: 3, Metric: search.Euclidean}})
	p := search.Point{Key: search.Key{ID: "z"}, Version: 1, Dense: []float32{1, 2, 3}}
	write(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{p}})
	got, err := s.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 2, 7}, K: 5}}})
	if err != nil || len(got.Lists[0].Hits) != 1 || got.Lists[0].Hits[0].Score != -4 || got.Lists[0].Hits[0].Raw != 4 {
		t.Errorf("got %+v, %v, want z at a distance of 4", got, err)
	}
}

func TestStore_approximateIndex(t *testing.T) {
	s := open(t, milvus.Config{Consistency: milvus.Session, Index: milvus.HNSW})
	create(t, s, "docs")
	var points []search.Point
	for i := range 300 {
		a := float64(i) / 50
		points = append(points, search.Point{
			Key: search.Key{ID: fmt.Sprintf("%03d", i)}, Version: 1, Dense: []float32{float32(math.Cos(a)), float32(math.Sin(a))},
		})
	}
	write(t, s, search.Batch{Collection: "docs", Upserts: points})
	leg := search.Leg{Dense: []float32{1, 0}, K: 3, EF: 100}
	got, err := s.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{leg}})
	if err != nil || got.Lists[0].Hits[0].ID != "000" || got.Lists[0].Prefix || got.Lists[0].Exhausted {
		t.Errorf("got %+v, %v", got, err)
	}
	leg.Exact = true
	if _, err := s.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{leg}}); !errors.Is(err, fault.Invalid) {
		t.Errorf("exact: got %v, want invalid", err)
	}
	leg.Only = []search.Key{{ID: "007"}, {ID: "100"}}
	if got, err := s.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{leg}}); err != nil || len(got.Lists[0].Hits) != 2 {
		t.Errorf("only: got %+v, %v", got, err)
	}
}

func TestStore_sparseVectors(t *testing.T) {
	s := open(t, milvus.Config{Consistency: milvus.Session})
	create(t, s, "docs")
	p := point("a", 1, "")
	p.Sparse = search.Sparse{Index: []uint32{3, 9}, Value: []float32{0.5, 2}}
	write(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{p, point("b", 1, "")}})
	leg := search.Leg{Sparse: search.Sparse{Index: []uint32{1, 9}, Value: []float32{7, 3}}, K: 5}
	if _, err := s.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{leg}}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a lexical leg: got %v, want invalid", err)
	}
	leg.Only = []search.Key{{ID: "a"}, {ID: "b"}}
	got, err := s.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{leg}})
	if err != nil || len(got.Lists[0].Hits) != 1 || got.Lists[0].Hits[0].Score != 6 {
		t.Errorf("completing a lexical leg: got %+v, %v, want a with 6", got, err)
	}
}
