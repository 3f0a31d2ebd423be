package qdrant_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	sdk "github.com/qdrant/go-client/qdrant"

	"github.com/lanewise/lanewise/adapters/qdrant"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// library makes a collection as somebody else's program would, with the name library
// behind the prefix, and returns its points.
func library(t *testing.T, at qdrant.Config, vectors *sdk.VectorsConfig, named string) []search.Point {
	t.Helper()
	c, name := newClient(t, at), at.Prefix+"library"
	if err := c.CreateCollection(t.Context(), &sdk.CreateCollection{CollectionName: name, VectorsConfig: vectors}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.DeleteCollection(context.Background(), name) })
	var points []*sdk.PointStruct
	var want []search.Point
	for i, meta := range []string{
		`{"year": 2019, "lang": "go", "tags": ["a", "b"], "free": true, "no": 1}`,
		`{"year": 2020.5, "lang": "c", "author": {"name": "Ann", "age": 30}, "no": 2}`,
		`{"year": 2021, "lang": ["go", "c"], "author": [{"name": "Bo"}, {"name": "Cy", "age": 40}], "no": 3}`,
		`{"lang": "", "tags": [], "free": false, "none": null, "deep": {"a": [{"b": [1, 2]}]}, "no": 4}`,
		`{"year": "2021", "lang": "Go", "odd name": "é\"x", "no": 5}`,
	} {
		vector := []float32{float32(i), 1, 2}
		payload := map[string]any{}
		if err := json.Unmarshal([]byte(meta), &payload); err != nil {
			t.Fatal(err)
		}
		payload["no"] = int64(i + 1) // an integer in Qdrant
		payload["body"] = fmt.Sprint("text ", i)
		values, err := sdk.TryValueMap(payload)
		if err != nil {
			t.Fatal(err)
		}
		p := &sdk.PointStruct{Id: sdk.NewIDNum(uint64(i)), Payload: values, Vectors: sdk.NewVectorsDense(slices.Clone(vector))}
		if i == 4 {
			p.Id = sdk.NewIDUUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
		}
		if named != "" {
			p.Vectors = sdk.NewVectorsMap(map[string]*sdk.Vector{named: sdk.NewVectorDense(slices.Clone(vector))})
		}
		points = append(points, p)
		id := fmt.Sprint(i)
		if i == 4 {
			id = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
		}
		want = append(want, search.Point{Key: search.Key{ID: id}, Dense: vector, Text: fmt.Sprint("text ", i), Meta: json.RawMessage(meta)})
	}
	if _, err := c.Upsert(t.Context(), &sdk.UpsertPoints{CollectionName: name, Points: points, Wait: new(true)}); err != nil {
		t.Fatal(err)
	}
	return want
}

func euclid(size uint64) *sdk.VectorParams {
	return &sdk.VectorParams{Size: size, Distance: sdk.Distance_Euclid}
}

// reader opens a store on a library of five points.
func reader(t *testing.T, x qdrant.External) (*qdrant.Store, []search.Point) {
	t.Helper()
	c := somewhere(t)
	points := library(t, c, sdk.NewVectorsConfig(euclid(3)), "")
	x.Name, x.From = "docs", c.Prefix+"library"
	c.External = []qdrant.External{x}
	return open(t, c), points
}

func TestExternal_isReadAsItIs(t *testing.T) {
	s, points := reader(t, qdrant.External{Text: "body", Space: "m-3"})
	stats, err := s.Stats(t.Context(), "")
	want := search.Collection{Name: "docs", Dims: 3, Metric: search.Euclidean, Space: "m-3", Placement: search.Placement{By: search.ByExternal}}
	if err != nil || len(stats) != 1 || stats[0].Collection != want || stats[0].Points != len(points) {
		t.Fatalf("stats: %+v, %v", stats, err)
	}
	list := find(t, s, search.Query{
		Collection: "docs", Legs: []search.Leg{{Dense: []float32{3, 1, 2}, K: 3}}, Fields: search.Fields{Text: true, Meta: true, Vector: true},
	})
	if got := ids(list); !slices.Equal(got, []string{"3", "2", points[4].ID}) {
		t.Fatalf("found %v", got)
	}
	if h := list.Hits[1]; h.Score != -1 || h.Raw != 1 || h.Text != "text 2" || !slices.Equal(h.Dense, points[2].Dense) || !strings.Contains(string(h.Meta), `{"name":"Bo"}`) || strings.Contains(string(h.Meta), "body") {
		t.Errorf("hit %+v", h)
	}
	got, err := s.Get(t.Context(), "docs", []search.Key{{ID: points[4].ID}, {ID: "nobody"}, {ID: "0"}}, search.Fields{Text: true})
	if err != nil || len(got) != 2 || got[0].ID != points[4].ID || got[1].Text != "text 0" {
		t.Errorf("got %+v, %v", got, err)
	}
	page, err := s.Scroll(t.Context(), search.Scan{Collection: "docs", After: search.Key{ID: "1"}, Limit: 2})
	if err != nil || !page.More || len(page.Points) != 2 || page.Points[0].ID != "2" {
		t.Errorf("scrolled %+v, %v", page, err)
	}
}

func TestExternal_refusesWritesAndTenants(t *testing.T) {
	s, _ := reader(t, qdrant.External{})
	for name, b := range map[string]search.Batch{
		"upsert": {Collection: "docs", Upserts: []search.Point{{Key: search.Key{ID: "1"}, Version: 1, Dense: []float32{1, 2, 3}}}},
		"delete": {Collection: "docs", Deletes: []search.Tombstone{{Key: search.Key{ID: "1"}, Version: 1}}},
		"drop":   {Collection: "docs", Drop: true},
	} {
		if _, err := s.Write(t.Context(), b); fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), "external") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := s.Write(t.Context(), search.Batch{Create: &search.Collection{Name: "docs", Dims: 3, Metric: search.Euclidean}}); fault.Of(err) != fault.Conflict {
		t.Errorf("create: got %v", err)
	}
	if n, err := s.Count(t.Context(), "docs", "", search.Filter{}); err != nil || n != 5 {
		t.Errorf("%d points are left, %v", n, err)
	}
	leg := []search.Leg{{Dense: []float32{1, 2, 3}, K: 1}}
	if _, err := s.Search(t.Context(), search.Query{Collection: "docs", Tenant: "t", Legs: leg}); fault.Field(err) != "/tenant" {
		t.Errorf("a tenant: got %v", err)
	}
}

func TestExternal_filtersAgreeOrAreRefused(t *testing.T) {
	s, points := reader(t, qdrant.External{Text: "body"})
	for text, answered := range map[string]bool{
		`{"year": 2019}`: true, `{"year": 2019.0}`: true, `{"year": "2021"}`: true, `{"year": {"$ne": 2019}}`: true,
		`{"year": {"$gte": 2020, "$lt": 2021}}`: true, `{"year": {"$in": [2019, 2020.5, "2021"]}}`: true, `{"year": {"$nin": [2019]}}`: true,
		`{"lang": "go"}`: true, `{"lang": {"$in": []}}`: true, `{"lang": ""}`: true, `{"tags": "b"}`: true, `{"free": true}`: true, `{"free": {"$ne": true}}`: true,
		`{"author.name": "Ann"}`: true, `{"author.name": {"$in": ["Cy", "Ann"]}}`: true, `{"author.age": {"$gt": 30}}`: true, `{"deep.a.b": 2}`: true,
		`{"odd name": "é\"x"}`: true, `{"$or": [{"year": 2019}, {"author.name": "Bo"}]}`: true, `{"$and": [{"lang": "go"}, {"$not": {"free": true}}]}`: true,
		`{"$not": {"$or": [{"lang": "go"}, {"lang": "c"}]}}`: true, `{"nothing": 1}`: true,
		`{"year": {"$exists": true}}`: false, `{"year": null}`: false, `{"lang": {"$gt": "d"}}`: false, `{"no": 9007199254740993}`: false, `{"a.b.c.d.e": 1}`: false,
	} {
		f, err := search.ParseFilter([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, p := range points {
			if f.Match(p.Meta) {
				want = append(want, p.ID)
			}
		}
		res, err := s.Search(t.Context(), search.Query{Collection: "docs", Filter: f, Legs: []search.Leg{{Dense: []float32{0, 0, 0}, K: 9}}})
		switch {
		case !answered:
			if fault.Of(err) != fault.Invalid || fault.Field(err) != "/filter" {
				t.Errorf("%s: got %v, want it refused", text, err)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := ids(res.Lists[0])
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: found %v, want %v", text, got, want)
		}
	}
}

func TestExternal_idsInThePayload(t *testing.T) {
	s, _ := reader(t, qdrant.External{ID: "no", Meta: "author"})
	points, err := s.Get(t.Context(), "docs", []search.Key{{ID: "2"}, {ID: "9"}, {ID: "1"}}, search.Fields{Meta: true})
	if err != nil || len(points) != 2 || points[0].ID != "2" || string(points[0].Meta) != `{"age":30,"name":"Ann"}` || points[1].Meta != nil {
		t.Errorf("got %+v, %v", points, err)
	}
	list := find(t, s, search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{0, 1, 2}, K: 9, Only: []search.Key{{ID: "5"}, {ID: "1"}}}}})
	if got := ids(list); !slices.Equal(got, []string{"1", "5"}) {
		t.Errorf("ranked %v", got)
	}
}

func TestExternal_walk(t *testing.T) {
	s, want := reader(t, qdrant.External{Text: "body"})
	var got []search.Point
	after := ""
	for range len(want) {
		points, next, err := s.Walk(t.Context(), "docs", after, 2)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, points...)
		if after = next; after == "" {
			break
		}
	}
	if len(got) != len(want) {
		t.Fatalf("walked over %d points, want %d", len(got), len(want))
	}
	for i, p := range got {
		if p.ID != want[i].ID || p.Text != want[i].Text || !slices.Equal(p.Dense, want[i].Dense) || canonical(t, p.Meta) != canonical(t, want[i].Meta) {
			t.Errorf("got %+v\nwant %+v", p, want[i])
		}
	}
}

func canonical(t *testing.T, meta json.RawMessage) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(meta, &v); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestExternal_saysWhatDoesNotFit(t *testing.T) {
	c := somewhere(t)
	library(t, c, sdk.NewVectorsConfigMap(map[string]*sdk.VectorParams{"title": euclid(3), "body": {Size: 4, Distance: sdk.Distance_Manhattan}}), "title")
	owned := open(t, c)
	write(t, owned, search.Batch{Create: &search.Collection{Name: "ours", Dims: 2, Metric: search.Dot}})
	for want, x := range map[string]qdrant.External{
		"there are body, title":                    {},
		`no vector "head"; there are: body, title`: {Vector: "head"},
		"Manhattan":        {Vector: "body"},
		"not by dot":       {Vector: "title", Metric: search.Dot},
		"made by lanewise": {From: "ours"},
		c.Prefix + "library, " + c.Prefix + "ours": {From: "gone"},
	} {
		x.Name, x.From = "docs", c.Prefix+cmp.Or(x.From, "library")
		c := c
		c.External = []qdrant.External{x}
		s := open(t, c)
		if _, err := s.Stats(t.Context(), "docs"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q in it", x, err, want)
		}
	}
	c.External = []qdrant.External{{Name: "library", From: c.Prefix + "library", Vector: "title"}}
	s := open(t, c)
	list := find(t, s, search.Query{Collection: "library", Legs: []search.Leg{{Dense: []float32{0, 1, 1}, K: 1}}})
	if len(list.Hits) != 1 || math.Abs(list.Hits[0].Raw-1) > 1e-6 {
		t.Errorf("by the named vector: %+v", list)
	}
	if _, err := qdrant.New(qdrant.Config{Address: c.Address, External: []qdrant.External{{Name: "x", Text: "a[]"}}}); fault.Field(err) != "/external/0/text" {
		t.Errorf("a path with brackets: %v", err)
	}
}
