package pgvector_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/adapters/pgvector"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// articles makes a table as somebody else's program would, and returns the configuration
// that reads it.
func articles(t *testing.T, x pgvector.External, statements ...string) pgvector.Config {
	t.Helper()
	dsn(t)
	schema := fmt.Sprintf("theirs_%d", schemas.Add(1))
	t.Cleanup(func() { execute(t, "drop schema if exists "+schema+" cascade") })
	execute(t, "create extension if not exists vector")
	execute(t, "create schema "+schema)
	for _, s := range statements {
		execute(t, strings.ReplaceAll(s, "SCHEMA", schema))
	}
	x.Name, x.From = "docs", schema+"."+cmp.Or(x.From, "articles")
	return pgvector.Config{Schema: schema + "_none", External: []pgvector.External{x}}
}

const table = `create table SCHEMA.articles (id bigint primary key, body text, "odd ""name" int, attrs jsonb, embedding vector(3));
	insert into SCHEMA.articles select i, 'text ' || i, i % 3, jsonb_build_object('year', 2000 + i, 'tags', array['a', 'b' || i]), array[i, 1, 2]::vector
	from generate_series(1, 20) i; insert into SCHEMA.articles (id) values (99)`

func TestExternal_isReadAsItIs(t *testing.T) {
	s := open(t, articles(t, pgvector.External{Text: "body", Meta: "attrs", Metric: search.Euclidean, Space: "m-3"}, table))
	stats, err := s.Stats(t.Context(), "")
	want := search.Collection{Name: "docs", Dims: 3, Metric: search.Euclidean, Space: "m-3", Placement: search.Placement{By: search.ByExternal}}
	if err != nil || len(stats) != 1 || stats[0].Collection != want || stats[0].Points != 21 || stats[0].Bytes == 0 {
		t.Fatalf("stats: %+v, %v", stats, err)
	}
	res, err := s.Search(t.Context(), search.Query{
		Collection: "docs", Filter: parse(t, `{"tags": "a", "year": {"$gt": 2004}}`),
		Legs: []search.Leg{{Dense: []float32{3, 1, 2}, K: 3}}, Fields: search.Fields{Text: true, Meta: true, Vector: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := res.Lists[0].Hits
	if len(h) != 3 || h[0].ID != "5" || h[0].Score != -2 || h[0].Text != "text 5" || string(h[0].Meta) != `{"tags": ["a", "b5"], "year": 2005}` || !slices.Equal(h[0].Dense, []float32{5, 1, 2}) {
		t.Fatalf("found %+v", h)
	}
	got, err := s.Get(t.Context(), "docs", []search.Key{{ID: "7"}, {ID: "x"}, {ID: "2"}}, search.Fields{Text: true})
	if err != nil || len(got) != 2 || got[0].Text != "text 7" || got[1].ID != "2" {
		t.Errorf("got %+v, %v", got, err)
	}
	page, err := s.Scroll(t.Context(), search.Scan{Collection: "docs", After: search.Key{ID: "19"}, Limit: 2})
	if err != nil || !page.More || page.Points[0].ID != "2" || page.Points[1].ID != "20" {
		t.Errorf("scrolled %+v, %v", page, err)
	}
	if n, err := s.Count(t.Context(), "docs", "", parse(t, `{"year": {"$lt": 2004}}`)); err != nil || n != 3 {
		t.Errorf("counted %d, %v", n, err)
	}
	var made bool
	if err := connect(t).QueryRow(t.Context(), "select exists (select from pg_namespace where nspname like 'theirs\\_%\\_none')").Scan(&made); err != nil || made {
		t.Errorf("a schema was made: %v, %v", made, err)
	}
}

func TestExternal_refusesWritesAndTenants(t *testing.T) {
	s := open(t, articles(t, pgvector.External{Metric: search.Dot}, table))
	for name, b := range map[string]search.Batch{
		"upsert": {Collection: "docs", Upserts: []search.Point{{Key: search.Key{ID: "1"}, Version: 1, Dense: []float32{1, 2, 3}}}},
		"delete": {Collection: "docs", Deletes: []search.Tombstone{{Key: search.Key{ID: "1"}, Version: 1}}},
		"drop":   {Collection: "docs", Drop: true},
		"create": {Create: &search.Collection{Name: "docs", Dims: 3, Metric: search.Dot}},
	} {
		if _, err := s.Write(t.Context(), b); fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), "external") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := s.Count(t.Context(), "docs", "t", search.Filter{}); fault.Field(err) != "/tenant" {
		t.Errorf("a tenant: got %v", err)
	}
}

// The index of the table answers where it can, and its metric is the collection's.
func TestExternal_usesTheIndex(t *testing.T) {
	s := open(t, articles(t, pgvector.External{}, `create table SCHEMA.articles (id text primary key, embedding vector(8), lang text)`,
		`insert into SCHEMA.articles select 'p' || i, array(select random() - 0.5 + i * 0 from generate_series(1, 8))::vector, 'l' || i % 2 from generate_series(1, 3000) i`,
		`create index on SCHEMA.articles using hnsw (embedding vector_cosine_ops)`, `analyze SCHEMA.articles`))
	stats, err := s.Stats(t.Context(), "docs")
	if err != nil || stats[0].Collection.Metric != search.Cosine || stats[0].Collection.Dims != 8 {
		t.Fatalf("stats: %+v, %v", stats, err)
	}
	query := random(rand.New(rand.NewPCG(1, 2)), 8)
	list := func(exact bool) []string {
		res, err := s.Search(t.Context(), search.Query{Collection: "docs", Filter: parse(t, `{"lang": "l1"}`), Legs: []search.Leg{{Dense: query, K: 10, EF: 200, Exact: exact}}})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, h := range res.Lists[0].Hits {
			ids = append(ids, h.ID)
		}
		return ids
	}
	want, got := list(true), list(false)
	common := 0
	for _, id := range got {
		if slices.Contains(want, id) {
			common++
		}
	}
	if len(got) != 10 || common < 8 {
		t.Errorf("the index finds %v, a scan %v", got, want)
	}
}

func TestExternal_filtersAreTheTruthTable(t *testing.T) {
	docs := []string{
		`{"year": 2019, "lang": "go", "tags": ["a", "b"], "free": true}`, `{"year": 2020.5, "author": {"name": "Ann", "age": 30}}`,
		`{"author": [{"name": "Bo"}, {"name": "Cy", "age": 40}], "lang": ["go", "c"]}`, `{"lang": "", "tags": [], "none": null}`,
		`{"year": "2021", "odd\" name": "x", "tags": [["a"]]}`, `{}`, `{"year": [null], "tags": [[null]]}`, `{"big": 9007199254740993, "lang": "\uFFFD"}`, `{"lang": "\uD83D\uDE00"}`,
	}
	statements := []string{`create table SCHEMA.articles (id bigint primary key, attrs json, embedding vector(3))`}
	for i, d := range docs {
		statements = append(statements, fmt.Sprintf(`insert into SCHEMA.articles values (%d, $json$%s$json$, '[1,2,3]')`, i, d))
	}
	s := open(t, articles(t, pgvector.External{Meta: "attrs", Metric: search.Dot}, statements...))
	for _, text := range []string{
		`{"year": 2019}`, `{"year": 2019.0}`, `{"year": {"$ne": 2019}}`, `{"year": {"$gte": 2019, "$lt": 2021}}`, `{"year": {"$in": [2019, "2021"]}}`,
		`{"year": {"$nin": [2019, null]}}`, `{"year": null}`, `{"year": {"$exists": true}}`, `{"tags": {"$exists": true}}`, `{"tags": {"$exists": false}}`, `{"tags": "a"}`,
		`{"lang": {"$gt": "c"}}`, `{"lang": {"$gt": "\uFFFC"}}`, `{"lang": {"$lte": "\uFFFD"}}`, `{"lang": {"$in": []}}`, `{"lang": ""}`, `{"free": true}`, `{"author.name": "Cy"}`, `{"author.age": {"$gt": 30}}`,
		`{"author": {"$exists": true}}`, `{"odd\" name": "x"}`, `{"big": 9007199254740993}`, `{"big": {"$gt": 9007199254740992}}`, `{"big": 9007199254740992.0}`,
		`{"$or": [{"year": 2019}, {"$not": {"lang": "go"}}]}`, `{"none": null}`, `{"none": {"$in": [null, 1]}}`,
	} {
		f := parse(t, text)
		want := 0
		for _, d := range docs {
			if f.Match(json.RawMessage(d)) {
				want++
			}
		}
		if n, err := s.Count(t.Context(), "docs", "", f); err != nil || n != want {
			t.Errorf("%s: %d points, want %d (%v)", text, n, want, err)
		}
	}
}

func TestExternal_walk(t *testing.T) {
	s := open(t, articles(t, pgvector.External{Text: "body", Metric: search.Euclidean}, table))
	var ids []string
	after := ""
	for {
		points, next, err := s.Walk(t.Context(), "docs", after, 8)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range points {
			ids = append(ids, p.ID)
		}
		if p := points[0]; after == "" && (p.Text != "text 1" || string(p.Meta) != `{"attrs": {"tags": ["a", "b1"], "year": 2001}, "odd \"name": 1}`) {
			t.Errorf("first: %+v", p)
		}
		if after = next; after == "" {
			break
		}
	}
	if len(ids) != 21 || ids[0] != "1" || ids[1] != "2" || ids[20] != "99" {
		t.Errorf("walked over %v", ids)
	}
}

func TestExternal_saysWhatDoesNotFit(t *testing.T) {
	two := `create table SCHEMA.articles (a int, b int, v vector, w vector(2), j int, primary key (a, b))`
	for want, c := range map[string]struct {
		x     pgvector.External
		table string
	}{
		"name the metric":                       {pgvector.External{}, table},
		"the primary key has several columns":   {pgvector.External{Vector: "v"}, two},
		"/vector: is needed: there are v, w":    {pgvector.External{ID: "a"}, two},
		"/vector: names no column of type":      {pgvector.External{ID: "a", Vector: "j"}, two},
		"/id: names no column: there are a, b,": {pgvector.External{ID: "x", Vector: "v"}, two},
		"/text: names no column":                {pgvector.External{Text: "x", Metric: search.Dot}, table},
		"/meta: names no column of type json":   {pgvector.External{Meta: "body", Metric: search.Dot}, table},
		"has no vectors":                        {pgvector.External{ID: "a", Vector: "v", Metric: search.Dot}, two},
		".articles":                             {pgvector.External{From: "articels", Metric: search.Dot}, table},
	} {
		s := open(t, articles(t, c.x, c.table))
		if _, err := s.Stats(t.Context(), "docs"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q in it", c.x, err, want)
		}
	}
}

func TestVersion(t *testing.T) {
	s := open(t, pgvector.Config{})
	if v, err := s.Version(t.Context()); err != nil || !strings.Contains(v, ", pgvector 0.") {
		t.Errorf("%q, %v", v, err)
	}
}
