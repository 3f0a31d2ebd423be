package weaviate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-openapi/strfmt"
	sdk "github.com/weaviate/weaviate-go-client/v5/weaviate"
	"github.com/weaviate/weaviate/entities/models"

	"github.com/lanewise/lanewise/adapters/weaviate"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// kept keeps the client that uses it from being collected: see rooted.
type kept struct {
	http.RoundTripper
	client *sdk.Client
}

// client is the official one.
func client(t *testing.T) *sdk.Client {
	t.Helper()
	rest, _ := server(t)
	transport := &http.Transport{}
	k := &kept{RoundTripper: transport}
	c, err := sdk.NewClient(sdk.Config{Host: rest, Scheme: "http", ConnectionClient: &http.Client{Transport: k}})
	if err != nil {
		t.Fatal(err)
	}
	k.client = c
	t.Cleanup(transport.CloseIdleConnections)
	return c
}

// bookID is the id of book i, which is in the order of i. The first is the lowest there is.
func bookID(i int) string {
	if i == 0 {
		return "00000000-0000-0000-0000-000000000000"
	}
	return fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)
}

const shelf = 60

// bookVector is never the same, and of any length.
func bookVector(i int) []float32 {
	rng := rand.New(rand.NewPCG(7, uint64(i))) //nolint:gosec // reproducible on purpose
	return []float32{float32(rng.NormFloat64()), float32(rng.NormFloat64()), float32(rng.NormFloat64()), float32(i)}
}

// books makes a class as somebody else's program would, and returns its name. Every tenth
// book has no year, and the language of every seventh has white space around it.
func books(t *testing.T, class *models.Class, vector string) string {
	t.Helper()
	c := client(t)
	class.Class = "Books" + prefix()
	class.Properties = []*models.Property{
		{Name: "body", DataType: []string{"text"}}, {Name: "year", DataType: []string{"int"}}, {Name: "price", DataType: []string{"number"}},
		{Name: "free", DataType: []string{"boolean"}}, {Name: "code", DataType: []string{"text"}, Tokenization: "field"}, {Name: "shelves", DataType: []string{"int[]"}},
		{Name: "lang", DataType: []string{"text"}, Tokenization: "field"}, {Name: "hidden", DataType: []string{"int"}, IndexFilterable: new(false)},
		{Name: "attrs", DataType: []string{"object"}, NestedProperties: []*models.NestedProperty{{Name: "n", DataType: []string{"int"}}}},
	}
	if err := c.Schema().ClassCreator().WithClass(class).Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Schema().ClassDeleter().WithClassName(class.Class).Do(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	var objects []*models.Object
	for i := range shelf {
		o := &models.Object{Class: class.Class, ID: strfmt.UUID(bookID(i)), Properties: book(i)}
		if vector == "" {
			o.Vector = bookVector(i)
		} else {
			o.Vectors = models.Vectors{vector: bookVector(i)}
		}
		objects = append(objects, o)
	}
	out, err := c.Batch().ObjectsBatcher().WithObjects(objects...).Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out {
		if o.Result != nil && o.Result.Errors != nil {
			t.Fatal(o.Result.Errors.Error[0].Message)
		}
	}
	return class.Class
}

func book(i int) map[string]any {
	price := float64(i%4)/2 - 0.5
	if i%8 == 1 {
		price = math.Copysign(0, -1)
	}
	values := map[string]any{
		"body": fmt.Sprint("text ", i), "price": price, "free": i%2 == 0, "lang": fmt.Sprint("l", i%3), "hidden": i, "code": fmt.Sprintf("c-%02d", shelf-i),
		"shelves": []int{i, i + 1}, "attrs": map[string]any{"n": i},
	}
	if i%10 != 9 {
		values["year"] = 2000 + i
	}
	if i%7 == 6 {
		values["lang"] = fmt.Sprintf(" l%d", i%3)
	}
	return values
}

func library(t *testing.T, x weaviate.External) *weaviate.Store {
	t.Helper()
	x.Name = "docs"
	return open(t, weaviate.Config{External: []weaviate.External{x}})
}

func flatClass(distance string) *models.Class {
	return &models.Class{Vectorizer: "none", VectorIndexType: "flat", VectorIndexConfig: map[string]any{"distance": distance}}
}

// bruteForce ranks the books that match a filter, by definition.
func bruteForce(m search.Metric, q []float32, f search.Filter) []search.Hit {
	var hits []search.Hit
	for i := range shelf {
		values := book(i)
		delete(values, "body")
		meta, err := json.Marshal(values)
		if err != nil || !f.Match(meta) {
			continue
		}
		var dot, qq, vv, off float64
		for j, x := range bookVector(i) {
			a, b := float64(q[j]), float64(x)
			dot, qq, vv, off = dot+a*b, qq+a*a, vv+b*b, off+(a-b)*(a-b)
		}
		score := map[search.Metric]float64{search.Dot: dot, search.Cosine: dot / math.Sqrt(qq*vv), search.Euclidean: -math.Sqrt(off)}[m]
		hits = append(hits, search.Hit{Point: search.Point{Key: search.Key{ID: bookID(i)}, Text: fmt.Sprint("text ", i)}, Score: score})
	}
	slices.SortFunc(hits, func(a, b search.Hit) int {
		if a.Score != b.Score {
			return map[bool]int{true: -1, false: 1}[a.Score > b.Score]
		}
		return a.Compare(b.Key)
	})
	return hits
}

func parse(t *testing.T, text string) search.Filter {
	t.Helper()
	f, err := search.ParseFilter([]byte(text))
	if err != nil {
		t.Fatal(text, err)
	}
	return f
}

func TestExternal_equalsBruteForce(t *testing.T) {
	named := &models.Class{VectorConfig: map[string]models.VectorConfig{"body_vector": {
		Vectorizer: map[string]any{"none": map[string]any{}}, VectorIndexType: "flat", VectorIndexConfig: map[string]any{"distance": "dot"},
	}}}
	near := &models.Class{Vectorizer: "none", VectorIndexType: "hnsw", VectorIndexConfig: map[string]any{"distance": "cosine"}}
	for _, c := range []struct {
		metric search.Metric
		class  *models.Class
		vector string
	}{
		{search.Euclidean, flatClass("l2-squared"), ""}, {search.Cosine, flatClass("cosine"), ""}, {search.Dot, named, "body_vector"}, {search.Cosine, near, ""},
	} {
		name := books(t, c.class, c.vector)
		s := library(t, weaviate.External{From: name, Text: "body", Space: "m-4"})
		all, err := s.Stats(t.Context(), "docs")
		want := search.Collection{Name: "docs", Dims: 4, Metric: c.metric, Space: "m-4", Placement: search.Placement{By: search.ByExternal}}
		if err != nil || len(all) != 1 || all[0].Collection != want || all[0].Points != shelf {
			t.Fatalf("stats: %+v, %v", all, err)
		}
		for _, filter := range []string{`{}`, `{"lang": "l1"}`, `{"year": {"$gte": 2030}}`, `{"$or": [{"lang": "l0"}, {"free": true}]}`} {
			q := search.Query{
				Collection: "docs", Fields: search.Fields{Text: true}, Filter: parse(t, filter),
				Legs: []search.Leg{{Dense: []float32{0.5, -1, 2, 25}, K: 7, EF: shelf, Exact: c.class != near}},
			}
			res, err := s.Search(t.Context(), q)
			if err != nil {
				t.Fatalf("%s, %s: %v", c.metric, filter, err)
			}
			right, got := bruteForce(c.metric, q.Legs[0].Dense, q.Filter)[:7], res.Lists[0]
			if len(got.Hits) != 7 || got.Prefix != (c.class != near) {
				t.Fatalf("%s, %s: %d hits, prefix %t", c.metric, filter, len(got.Hits), got.Prefix)
			}
			for i, h := range got.Hits {
				if h.ID != right[i].ID || h.Text != right[i].Text || math.Abs(h.Score-right[i].Score) > 1e-9*(1+math.Abs(h.Score)) || h.Meta != nil || h.Dense != nil {
					t.Errorf("%s, %s, hit %d: got %+v, want %+v", c.metric, filter, i, h, right[i])
				}
			}
		}
	}
}

func TestExternal_filters(t *testing.T) {
	s := library(t, weaviate.External{From: books(t, flatClass("cosine"), ""), Text: "body"})
	for text, answered := range map[string]bool{
		`{"year": 2003}`: true, `{"year": 2003.0}`: true, `{"year": 2003.5}`: true, `{"year": "2003"}`: true, `{"year": {"$ne": 2003}}`: true,
		`{"year": {"$gt": 2003.5}}`: true, `{"year": {"$gte": 2003.5}}`: true, `{"year": {"$lte": 2003.5}}`: true, `{"year": {"$lt": 2003}}`: true,
		`{"year": {"$in": [2001, 2002, "x"]}}`: true, `{"year": {"$nin": [2001]}}`: true, `{"year": {"$in": []}}`: true,
		`{"price": 0}`: true, `{"price": {"$gt": 0}}`: true, `{"price": {"$gte": 0}}`: true, `{"price": {"$lt": 0}}`: true, `{"price": {"$lte": 0.5}}`: true, `{"price": {"$ne": 0}}`: true, `{"price": {"$gt": -0.25}}`: true, `{"price": {"$lt": -0.25}}`: true, `{"price": {"$in": [0, 1]}}`: true,
		`{"free": true}`: true, `{"free": {"$ne": true}}`: true, `{"free": 1}`: true, `{"shelves": 3}`: true, `{"shelves": {"$gt": 30}}`: true,
		`{"lang": "l1"}`: true, `{"lang": " l1"}`: true, `{"lang": {"$in": ["l1", "l2"]}}`: true, `{"$not": {"lang": {"$ne": "l1"}}}`: true, `{"lang": 1}`: true,
		`{"$and": [{"lang": "l1"}, {"$not": {"year": {"$lt": 2010}}}]}`: true,
		`{"lang": {"$ne": "l1"}}`: false, `{"$not": {"lang": "l1"}}`: false, `{"lang": {"$gt": "l1"}}`: false, `{"lang": ""}`: false, `{"lang": null}`: false,
		`{"year": {"$exists": true}}`: false, `{"year": 9007199254740993}`: false, `{"body": "text 1"}`: false, `{"attrs.n": 1}`: false, `{"hidden": 1}`: false, `{"nothing": 1}`: false,
	} {
		f := parse(t, text)
		n, err := s.Count(t.Context(), "docs", "", f)
		switch want := len(bruteForce(search.Dot, make([]float32, 4), f)); {
		case !answered && (fault.Of(err) != fault.Invalid || fault.Field(err) != "/filter"):
			t.Errorf("%s: got %d, %v, want it refused", text, n, err)
		case answered && (err != nil || n != want):
			t.Errorf("%s: %d points, want %d (%v)", text, n, want, err)
		}
	}
	_, err := s.Count(t.Context(), "docs", "", parse(t, `{"hidden": 1}`))
	if err == nil || !strings.Contains(err.Error(), "exactly on: code, free, lang, price, shelves, year") {
		t.Errorf("got %v, want the properties that there are", err)
	}
}

func TestExternal_reads(t *testing.T) {
	class := flatClass("l2-squared")
	class.ShardingConfig = map[string]any{"desiredCount": 3}
	s := library(t, weaviate.External{From: books(t, class, ""), Text: "body"})
	ctx, whole := t.Context(), search.Fields{Text: true, Meta: true, Vector: true}
	got, err := s.Get(ctx, "docs", []search.Key{{ID: bookID(7)}, {ID: "x"}, {ID: bookID(2)}, {Tenant: "t", ID: bookID(3)}}, whole)
	meta := `{"attrs":{"n":7},"code":"c-53","free":false,"hidden":7,"lang":"l1","price":1,"shelves":[7,8],"year":2007}`
	if err != nil || len(got) != 2 || got[0].Text != "text 7" || string(got[0].Meta) != meta || !slices.Equal(got[0].Dense, bookVector(7)) || got[1].ID != bookID(2) {
		t.Errorf("got %+v, %v", got, err)
	}
	leg := search.Leg{Dense: bookVector(7), K: 3, Only: []search.Key{{ID: bookID(50)}, {ID: bookID(7)}, {ID: "x"}}}
	res, err := s.Search(ctx, search.Query{Collection: "docs", Legs: []search.Leg{leg}})
	if err != nil || len(res.Lists[0].Hits) != 2 || res.Lists[0].Hits[0].ID != bookID(7) {
		t.Errorf("only: %+v, %v", res, err)
	}
	for _, after := range []string{"", "!", "000000", bookID(41)} { // keys of other engines, too
		var want, ids []string
		for i := range shelf {
			if bookID(i) > after && i%2 == 0 {
				want = append(want, bookID(i))
			}
		}
		scan := search.Scan{Collection: "docs", After: search.Key{ID: after}, Limit: 7, Filter: parse(t, `{"free": true}`)}
		for more := true; more; {
			page, err := s.Scroll(ctx, scan)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range page.Points {
				ids = append(ids, p.ID)
				scan.After = p.Key
			}
			more = page.More
		}
		if !slices.Equal(ids, want) {
			t.Errorf("after %q: scrolled %v, want %v", after, ids, want)
		}
	}
	_, err = s.Write(ctx, search.Batch{Collection: "docs", Drop: true})
	if fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), "external") {
		t.Errorf("a write: %v", err)
	}
	if _, err := s.Count(ctx, "docs", "t", search.Filter{}); fault.Field(err) != "/tenant" {
		t.Errorf("a tenant: %v", err)
	}
	if v, err := s.Version(ctx); err != nil || !strings.HasPrefix(v, "1.") {
		t.Errorf("version %q, %v", v, err)
	}
}

func TestExternal_walkAndIDs(t *testing.T) {
	name := books(t, flatClass("dot"), "")
	s := library(t, weaviate.External{From: name, Text: "body", ID: "code"})
	var ids []string
	for after, more := "", true; more; {
		points, next, err := s.Walk(t.Context(), "docs", after, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range points {
			ids = append(ids, p.ID)
		}
		after, more = next, next != ""
	}
	if len(ids) != shelf || ids[0] != "c-60" || ids[shelf-1] != "c-01" {
		t.Errorf("walked over %v", ids)
	}
	page, err := s.Scroll(t.Context(), search.Scan{Collection: "docs", After: search.Key{ID: "c-08"}, Limit: 2})
	if err != nil || !page.More || len(page.Points) != 2 || page.Points[0].ID != "c-09" || page.Points[1].ID != "c-10" {
		t.Errorf("scrolled %+v, %v", page, err)
	}
	got, err := s.Get(t.Context(), "docs", []search.Key{{ID: "c-03"}, {ID: "c-99"}, {ID: "c-01"}}, search.Fields{Text: true})
	if err != nil || len(got) != 2 || got[0].Text != "text 57" || got[1].ID != "c-01" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestExternal_misfits(t *testing.T) {
	name := books(t, flatClass("l2-squared"), "")
	empty := "Empty" + prefix()
	c := client(t)
	if err := c.Schema().ClassCreator().WithClass(&models.Class{Class: empty, Vectorizer: "none"}).Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.Schema().ClassDeleter().WithClassName(empty).Do(t.Context()) //nolint:errcheck // at the end of the test
	for want, x := range map[string]weaviate.External{
		`no property "price" of type`: {From: name, ID: "price"},
		`there is no vector "v"`:      {From: name, Vector: "v"},
		`no text property "lung"`:     {From: name, Text: "lung"},
		"by l2-squared, not by dot":   {From: name, Metric: search.Dot},
		"there are: ":                 {From: "Boks"},
		"its dims cannot be told":     {From: empty},
	} {
		s := library(t, x)
		if _, err := s.Stats(t.Context(), "docs"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q in it", x, err, want)
		}
	}
	if _, err := weaviate.New(weaviate.Config{Address: "h:1", External: []weaviate.External{{Name: "docs", Meta: "attrs"}}}); fault.Field(err) != "/external/0/meta" {
		t.Errorf("got %v, want the field named", err)
	}
}
