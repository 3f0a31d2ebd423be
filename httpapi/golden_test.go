package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// moving matches what differs from run to run. Rows depend on whether the shards have been counted yet.
var moving = regexp.MustCompile(`"(version|age_ms|took_ms|queued_ms|first_ms|epoch|rows_asked|rows_saved)":("?)[0-9.]+("?)`)

// golden compares an answer with testdata/NAME, without what differs from run to run.
func golden(t *testing.T, name string, w *httptest.ResponseRecorder) {
	t.Helper()
	body := moving.ReplaceAllString(w.Body.String(), `"$1":${2}0$3`)
	var pretty bytes.Buffer
	if strings.Contains(w.Header().Get("Content-Type"), "json") {
		if err := json.Indent(&pretty, []byte(body), "", "  "); err != nil {
			t.Fatalf("%s: %v in %s", name, err, body)
		}
		body = pretty.String()
	}
	got := fmt.Sprintf("%d %s\n%s\n", w.Code, w.Header().Get("Content-Type"), body)
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

var update = flag.Bool("update", false, "write the golden files")

// TestGolden_roadTrip uses every ordinary endpoint in an order that makes sense.
func TestGolden_roadTrip(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, &script{lines: []string{"It is ", "one [1]."}})})
	for i, step := range []struct{ name, method, path, body string }{
		{"create", "PUT", "/v1/collections/notes", `{"dims": 2, "metric": "euclidean"}`},
		{"create-again", "PUT", "/v1/collections/notes", `{"dims": 2, "metric": "euclidean", "name": null}`},
		{"create-other", "PUT", "/v1/collections/notes", `{"dims": 3}`},
		{"create-misnamed", "PUT", "/v1/collections/notes", `{"dims": 2, "name": "docs"}`},
		{"alias", "PUT", "/v1/aliases/live", `{"collection": "notes"}`},
		{"list", "GET", "/v1/collections", ""},
		{"upsert", "PUT", "/v1/collections/live/points", `{"points": [{"id": "x", "vector": [1, 2], "text": "t", "metadata": {"n": 12345678901234567890}}]}`},
		{"upsert-space", "PUT", "/v1/collections/docs/points", `{"space": "other", "points": [{"id": "x", "vector": [1, 2]}]}`},
		{"get", "GET", "/v1/collections/notes/points/x", ""},
		{"get-slashes", "GET", "/v1/collections/docs/points/path/to/three", ""},
		{"get-escaped", "GET", "/v1/collections/docs/points/path%2Fto%2Fthree", ""},
		{"get-missing", "GET", "/v1/collections/docs/points/nine", ""},
		{"get-odd-query", "GET", "/v1/collections/docs/points/one?tennant=x", ""},
		{"describe", "GET", "/v1/collections/docs", ""},
		{"describe-missing", "GET", "/v1/collections/none", ""},
		{"count", "POST", "/v1/collections/docs/points/count", `{"filter": {"year": {"$gte": 2021}}}`},
		{"scroll", "POST", "/v1/collections/docs/points/scroll", `{"limit": 2, "include": ["metadata"]}`},
		{"scroll-next", "POST", "/v1/collections/docs/points/scroll", `{"limit": 2, "include": ["text"], "cursor": "cGF0aC90by90aHJlZQ"}`},
		{"scroll-bad-cursor", "POST", "/v1/collections/docs/points/scroll", `{"cursor": "%%%"}`},
		{"search-text", "POST", "/v1/search", `{"collection": "docs", "text": "aab", "k": 2}`},
		{"search-vector", "POST", "/v1/search", `{"collection": "live", "vector": "AACAPwAAgD8=", "include": []}`},
		{"search-filter", "POST", "/v1/search", `{"collection": "docs", "text": "a", "filter": {"year": 2022}, "include": ["vector"]}`},
		{"search-rerank", "POST", "/v1/search", `{"collection": "docs", "text": "a", "rerank": 5}`},
		{"batch", "POST", "/v1/search/batch", `{"queries": [{"collection": "docs", "text": "b", "k": 1}, {"collection": "none", "text": "b"}]}`},
		{"answer", "POST", "/v1/answer", `{"collection": "docs", "question": "a?", "k": 2}`},
		{"answer-stream", "POST", "/v1/answer", `{"collection": "docs", "question": "a?", "k": 1, "stream": true}`},
		{"delete", "DELETE", "/v1/collections/docs/points", `{"ids": ["one", "gone"]}`},
		{"delete-filter", "DELETE", "/v1/collections/docs/points", `{"filter": {"year": {"$lt": 2022}}}`},
		{"delete-nothing", "DELETE", "/v1/collections/docs/points", `{"filter": {}}`},
		{"drop", "DELETE", "/v1/collections/docs", ""},
		{"drop-again", "DELETE", "/v1/collections/docs", ""},
	} {
		golden(t, fmt.Sprintf("%02d-%s", i, step.name), do(s, newRequest(step.method, step.path, step.body)))
	}
}

// TestGolden_fullAnswer shows every field that a search can fill.
func TestGolden_fullAnswer(t *testing.T) {
	s := faked(t, func(_ context.Context, q router.Request) (router.Response, error) {
		return router.Response{
			Hits: []search.Hit{{
				Point: search.Point{
					Key: search.Key{Tenant: "t", ID: "a"}, Dense: []float32{0.5, -1}, Text: "<b>", Meta: []byte(`{"deep":{"n":1.50}}`),
				},
				Collection: "docs-2", Score: 0.25, Raw: 1.5, Shard: "s1", Legs: []search.LegScore{{Leg: 0, Rank: 3, Score: 0.5}},
			}},
			Report: search.Report{
				Coverage: 0.75, ShardsAsked: 4, ShardsAnswered: 3, RowsAsked: 40, RowsSaved: 12, Refills: 1, Dropped: 2, Vanished: 1,
				Missing: []search.Missing{{Shard: "s2", Reason: search.TimedOut, Detail: "no answer"}},
				Mode:    "dense", Hedges: 1, Failovers: 2, Took: 3100 * time.Microsecond, Epoch: 7,
			},
			Explain: &router.Explain{
				Stages:   []router.Stage{{Name: "embed", Took: 2 * time.Millisecond}},
				Attempts: []balance.Attempt{{Lane: "shards", Pool: "s2", Member: "r0", Reason: balance.First, Err: errors.New("cut")}},
			},
		}, nil
	})
	golden(t, "full-answer", do(s, newRequest("POST", "/v1/search", `{"collection": "docs", "text": "a", "explain": true, "on_partial": "return"}`)))
}

// TestSearch_passesEveryFieldOn: what the body says is what the router is asked.
func TestSearch_passesEveryFieldOn(t *testing.T) {
	var got router.Request
	s := faked(t, func(_ context.Context, q router.Request) (router.Response, error) {
		got = q
		return router.Response{}, nil
	})
	body := `{"collection": "c", "vector": [1, 0.5], "k": 7, "tenant": "t", "min_score": 0.2, "mode": "dense",
		"filter": {"year": {"$gte": 2020}}, "include": ["vector"], "timeout_ms": 800, "on_partial": "return", "min_coverage": 0.9,
		"explain": true, "ef": 128, "exact": true, "space": "letters-2", "cursor": "", "fusion": "rrf", "mmr": {"lambda": 0.5},
		"group": {"by": "path", "size": 2}}`
	if w := do(s, newRequest("POST", "/v1/search", body)); w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	if !got.Filter.Match([]byte(`{"year": 2021}`)) || got.Filter.Match([]byte(`{"year": 2019}`)) {
		t.Errorf("the filter did not arrive: %+v", got.Filter)
	}
	low, lambda := 0.2, 0.5
	want := router.Request{
		Collection: "c", Tenant: "t", Vector: []float32{1, 0.5}, Space: "letters-2", K: 7, MinScore: &low, Mode: router.Dense,
		Fields: search.Fields{Vector: true}, EF: 128, Exact: true, Timeout: 800 * time.Millisecond,
		OnPartial: router.ReturnPartial, MinCoverage: 0.9, Explain: true, Cursor: new(string),
		Fusion: merge.RRF, MMR: &lambda, Group: &router.Group{By: "path", Size: 2},
	}
	got.Filter = search.Filter{}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b search.Filter) bool { return a.IsZero() && b.IsZero() })); d != "" {
		t.Errorf("request (-want +got):\n%s", d)
	}
}

func TestSearch_passesLegsOn(t *testing.T) {
	var got router.Request
	s := faked(t, func(_ context.Context, q router.Request) (router.Response, error) {
		got = q
		return router.Response{NextCursor: "more"}, nil
	})
	w := do(s, newRequest("POST", "/v1/search", `{"collection": "c", "legs": [{"text": "a"}, {"collection": "d", "vector": [1], "weight": 2},
		{"sparse": {"indices": [7], "values": [2]}, "using": "lexical"}], "rerank": 40}`))
	want := router.Request{
		Collection: "c", K: 10, Rerank: 40, Fields: search.Fields{Text: true, Meta: true},
		Legs: []router.Leg{{Text: "a", Weight: 0.5}, {Collection: "d", Vector: []float32{1}, Weight: 2},
			{Sparse: search.Sparse{Index: []uint32{7}, Value: []float32{2}}, Using: "lexical", Weight: 0.5}},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(search.Filter{})); d != "" || !strings.Contains(w.Body.String(), `"next_cursor":"more"`) {
		t.Errorf("%s\n%s", d, w.Body)
	}
}

func TestSearchBatch_keepsOrderAndFailuresApart(t *testing.T) {
	s := faked(t, func(_ context.Context, q router.Request) (router.Response, error) {
		switch q.Text {
		case "7":
			return router.Response{}, fault.Busy(time.Second, "full")
		case "8":
			panic("defect")
		}
		return router.Response{Hits: []search.Hit{{Point: search.Point{Key: search.Key{ID: q.Text}}, Collection: "c"}}}, nil
	})
	var queries []string
	for i := range 30 {
		queries = append(queries, fmt.Sprintf(`{"collection": "c", "text": "%d"}`, i))
	}
	w := do(s, newRequest("POST", "/v1/search/batch", `{"queries": [`+strings.Join(queries, ",")+`]}`))
	var res struct {
		Results []struct {
			Hits  []struct{ ID string }
			Error *struct{ Status int }
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &res); err != nil || len(res.Results) != 30 {
		t.Fatalf("%v: %s", err, w.Body)
	}
	for i, r := range res.Results {
		switch {
		case i == 7 || i == 8:
			if want := map[int]int{7: 429, 8: 500}[i]; r.Error == nil || r.Error.Status != want {
				t.Errorf("result %d: %+v, want status %d", i, r, want)
			}
		case r.Error != nil || len(r.Hits) != 1 || r.Hits[0].ID != fmt.Sprint(i):
			t.Errorf("result %d: %+v", i, r)
		}
	}
}
