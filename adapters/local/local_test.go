package local_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

func open(t *testing.T, dir string) *local.Store {
	t.Helper()
	s, err := local.Open(local.Config{Path: dir})
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

func write(t *testing.T, s search.Writer, b search.Batch) search.Written {
	t.Helper()
	out, err := s.Write(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOpen_findsWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	write(t, s, search.Batch{Create: &search.Collection{Name: "docs", Dims: 2, Metric: search.Cosine}})
	write(t, s, search.Batch{Collection: "docs", Epoch: 3, Upserts: []search.Point{
		{Key: search.Key{ID: "a"}, Version: 5, Dense: []float32{1, 0}, Text: "x", Meta: []byte(`{"n":1}`)},
		{Key: search.Key{ID: "b"}, Version: 5, Dense: []float32{1, 1}},
	}})
	write(t, s, search.Batch{Collection: "docs", Deletes: []search.Tombstone{{Key: search.Key{ID: "b"}, Version: 6}}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	res, err := s.Search(t.Context(), search.Query{
		Collection: "docs", Fields: search.Fields{Text: true, Meta: true, Vector: true},
		Legs: []search.Leg{{Dense: []float32{1, 0}, K: 5}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []search.List{{Exhausted: true, Prefix: true, Hits: []search.Hit{{
		Point: search.Point{
			Key: search.Key{ID: "a"}, Version: 5, Dense: []float32{1, 0}, Text: "x", Meta: []byte(`{"n":1}`),
		},
		Collection: "docs", Score: 1, Raw: 1,
	}}}}
	if diff := cmp.Diff(want, res.Lists); diff != "" {
		t.Error(diff)
	}
	late := search.Point{Key: search.Key{ID: "b"}, Version: 5, Dense: []float32{1, 1}}
	out := write(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{late}})
	if out.Newer != 6 || out.Applied != 0 {
		t.Errorf("a write that is older than the deletion: got %+v", out)
	}
}

func TestWrite_refusesWhatJSONCannotCarry(t *testing.T) {
	s := open(t, t.TempDir())
	write(t, s, search.Batch{Create: &search.Collection{Name: "docs", Dims: 2, Metric: search.Cosine}})
	for field, p := range map[string]search.Point{
		"/upserts/0/id":     {Key: search.Key{ID: "\xff"}},
		"/upserts/0/tenant": {Key: search.Key{ID: "a", Tenant: "\xff"}},
		"/upserts/0/text":   {Key: search.Key{ID: "a"}, Text: "caf\xe9"},
		"/upserts/0/meta":   {Key: search.Key{ID: "a"}, Meta: []byte("{\"name\":\"caf\xe9\"}")},
	} {
		_, err := s.Write(t.Context(), search.Batch{Collection: "docs", Upserts: []search.Point{p}})
		if !errors.Is(err, fault.Invalid) || fault.Field(err) != field {
			t.Errorf("%s is not UTF-8: %v", field, err)
		}
	}
}
