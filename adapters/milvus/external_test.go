package milvus_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/milvus-io/milvus-sdk-go/v2/entity"

	"github.com/lanewise/lanewise/adapters/milvus"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// books makes a collection as somebody else's program would. Every tenth row of it is
// {"year": 2000+i, "lang": "l0".., "price": i/2, "free": i is even} with a dynamic note.
func books(t *testing.T, name string, index entity.Index) {
	t.Helper()
	c := sdk(t)
	schema := entity.NewSchema().WithName(name).WithDynamicFieldEnabled(true).
		WithField(entity.NewField().WithName("book").WithDataType(entity.FieldTypeInt64).WithIsPrimaryKey(true)).
		WithField(entity.NewField().WithName("body").WithDataType(entity.FieldTypeVarChar).WithMaxLength(100)).
		WithField(entity.NewField().WithName("year").WithDataType(entity.FieldTypeInt32)).
		WithField(entity.NewField().WithName("lang").WithDataType(entity.FieldTypeVarChar).WithMaxLength(100)).
		WithField(entity.NewField().WithName("price").WithDataType(entity.FieldTypeDouble)).
		WithField(entity.NewField().WithName("free").WithDataType(entity.FieldTypeBool)).
		WithField(entity.NewField().WithName("attrs").WithDataType(entity.FieldTypeJSON)).
		WithField(entity.NewField().WithName("embedding").WithDataType(entity.FieldTypeFloatVector).WithDim(3))
	ctx := t.Context()
	if err := c.CreateCollection(ctx, schema, 1); err != nil {
		t.Fatal(err)
	}
	const n = 20
	var ids []int64
	var years []int32
	var body, lang []string
	var price []float64
	var free []bool
	var attrs, dynamic [][]byte
	var vectors [][]float32
	for i := range n {
		ids, years, body = append(ids, int64(i)), append(years, int32(2000+i)), append(body, fmt.Sprint("text ", i))
		lang, price, free = append(lang, fmt.Sprint("l", i%3)), append(price, float64(i)/2), append(free, i%2 == 0)
		attrs = append(attrs, []byte(fmt.Sprintf(`{"n": %d}`, i)))
		dynamic = append(dynamic, []byte(fmt.Sprintf(`{"note": "x%d"}`, i)))
		vectors = append(vectors, []float32{float32(i), 1, 2})
	}
	_, err := c.Insert(ctx, name, "", entity.NewColumnInt64("book", ids), entity.NewColumnVarChar("body", body), entity.NewColumnInt32("year", years),
		entity.NewColumnVarChar("lang", lang), entity.NewColumnDouble("price", price), entity.NewColumnBool("free", free),
		entity.NewColumnJSONBytes("attrs", attrs), entity.NewColumnFloatVector("embedding", 3, vectors), entity.NewColumnJSONBytes("", dynamic).WithIsDynamic(true))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CreateIndex(ctx, name, "embedding", index, false); err != nil {
		t.Fatal(err)
	}
	if err := c.LoadCollection(ctx, name, false); err != nil {
		t.Fatal(err)
	}
}

func flat(t *testing.T, m entity.MetricType) entity.Index {
	t.Helper()
	index, err := entity.NewIndexFlat(m)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func TestExternal(t *testing.T) {
	t.Run("read", externalRead)
	t.Run("filters", externalFilters)
	t.Run("walk", externalWalk)
	t.Run("misfits", externalMisfits)
}

func library(t *testing.T, x milvus.External) *milvus.Store {
	t.Helper()
	x.Name, x.From = "docs", "books"
	return open(t, milvus.Config{Consistency: milvus.Strong, External: []milvus.External{x}})
}

func externalRead(t *testing.T) {
	s := library(t, milvus.External{Text: "body", Space: "m-3"})
	books(t, "books", flat(t, entity.L2))
	stats, err := s.Stats(t.Context(), "")
	want := search.Collection{Name: "docs", Dims: 3, Metric: search.Euclidean, Space: "m-3", Placement: search.Placement{By: search.ByExternal}}
	if err != nil || len(stats) != 1 || stats[0].Collection != want || stats[0].Points != 20 {
		t.Fatalf("stats: %+v, %v", stats, err)
	}
	query := search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{3, 1, 2}, K: 3, Exact: true}}, Fields: search.Fields{Text: true, Meta: true, Vector: true}}
	res, err := s.Search(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	h := res.Lists[0].Hits
	meta := `{"year":2003,"lang":"l0","price":1.5,"free":false,"attrs":{"n": 3},"note":"x3"}`
	if len(h) != 3 || h[0].ID != "3" || h[1].ID != "2" || h[1].Score != -1 || h[0].Text != "text 3" || string(h[0].Meta) != meta || !slices.Equal(h[0].Dense, []float32{3, 1, 2}) {
		t.Fatalf("found %+v", h)
	}
	query.Legs[0].Only = []search.Key{{ID: "19"}, {ID: "7"}, {ID: "x"}}
	if res, err = s.Search(t.Context(), query); err != nil || len(res.Lists[0].Hits) != 2 || res.Lists[0].Hits[0].ID != "7" {
		t.Errorf("only: %+v, %v", res, err)
	}
	got, err := s.Get(t.Context(), "docs", []search.Key{{ID: "7"}, {ID: "x"}, {ID: "2"}}, search.Fields{Text: true})
	if err != nil || len(got) != 2 || got[0].Text != "text 7" || got[1].ID != "2" {
		t.Errorf("got %+v, %v", got, err)
	}
	page, err := s.Scroll(t.Context(), search.Scan{Collection: "docs", After: search.Key{ID: "18"}, Limit: 3})
	if err != nil || !page.More || page.Points[0].ID != "19" || page.Points[1].ID != "2" || page.Points[2].ID != "3" {
		t.Errorf("scrolled %+v, %v", page, err)
	}
	if _, err := s.Write(t.Context(), search.Batch{Collection: "docs", Drop: true}); fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), "external") {
		t.Errorf("a write: %v", err)
	}
	if v, err := s.Version(t.Context()); err != nil || !strings.Contains(v, "2.") {
		t.Errorf("version %q, %v", v, err)
	}
}

func externalFilters(t *testing.T) {
	s := library(t, milvus.External{Text: "body"})
	books(t, "books", flat(t, entity.COSINE))
	page, _, err := s.Walk(t.Context(), "docs", "", 100)
	if err != nil || len(page) != 20 {
		t.Fatal(page, err)
	}
	for text, answered := range map[string]bool{
		`{"year": 2003}`: true, `{"year": 2003.0}`: true, `{"year": 2003.5}`: true, `{"year": "2003"}`: true, `{"year": {"$ne": 2003}}`: true, `{"year": {"$gt": 2003.5}}`: true,
		`{"year": {"$lte": 2003.5}}`: true, `{"year": {"$lt": 18446744073709551615}}`: true, `{"year": {"$gt": 1e300}}`: true, `{"year": {"$in": [2001, 2002, "x", null]}}`: true,
		`{"year": {"$nin": [2001]}}`: true, `{"price": 1.5}`: true, `{"price": {"$gte": 9}}`: true, `{"price": 2}`: true, `{"lang": "l1"}`: true, `{"lang": {"$gt": "l1"}}`: true, `{"lang": {"$in": []}}`: true,
		`{"lang": "\" or 1 == 1 or lang == \""}`: true, `{"free": true}`: true, `{"free": {"$ne": true}}`: true, `{"free": 1}`: true, `{"year": {"$exists": true}}`: true, `{"year": {"$exists": false}}`: true,
		`{"$or": [{"lang": "l1"}, {"$not": {"free": true}}]}`: true, `{"$and": [{"lang": "l1"}, {"year": {"$lt": 2010}}]}`: true,
		`{"note": "x1"}`: false, `{"attrs.n": 1}`: false, `{"nothing": 1}`: false,
	} {
		f, err := search.ParseFilter([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, p := range page {
			if f.Match(p.Meta) {
				want++
			}
		}
		n, err := s.Count(t.Context(), "docs", "", f)
		switch {
		case !answered && (fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), "year, lang, price, free")):
			t.Errorf("%s: got %v, want it refused with the fields that there are", text, err)
		case answered && (err != nil || n != want):
			t.Errorf("%s: %d points, want %d (%v)", text, n, want, err)
		}
	}
}

func externalWalk(t *testing.T) {
	s := library(t, milvus.External{Text: "body", Meta: "attrs"})
	books(t, "books", flat(t, entity.IP))
	var ids []string
	after := ""
	for {
		points, next, err := s.Walk(t.Context(), "docs", after, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range points {
			ids = append(ids, p.ID)
			if p.Text != "text "+p.ID || !json.Valid(p.Meta) || string(p.Meta) != `{"n": `+p.ID+`}` || len(p.Dense) != 3 {
				t.Errorf("%+v", p)
			}
		}
		if after = next; after == "" {
			break
		}
	}
	if len(ids) != 20 || ids[2] != "2" || ids[19] != "19" {
		t.Errorf("walked over %v", ids)
	}
}

func externalMisfits(t *testing.T) {
	setup := library(t, milvus.External{})
	books(t, "books", flat(t, entity.L2))
	create(t, setup, "ours")
	for want, x := range map[string]milvus.External{
		"must be the primary key, book":  {ID: "year"},
		`no such field of float vectors`: {Vector: "v"},
		`no JSON field "lang"`:           {Meta: "lang"},
		"by euclidean, not by dot":       {Metric: search.Dot},
		`there are: books, ours`:         {From: "boks"},
		"made by lanewise":               {From: "ours"},
	} {
		x.Name = "docs"
		if x.From == "" {
			x.From = "books"
		}
		s, err := milvus.New(milvus.Config{Address: server(t), Database: database(t), External: []milvus.External{x}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Stats(t.Context(), "docs"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q in it", x, err, want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
