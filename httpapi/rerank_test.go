package httpapi

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/rerank"
	"github.com/lanewise/lanewise/router"
)

// lengths scores a text by its length.
type lengths struct{}

func (lengths) Rerank(_ context.Context, b rerank.Batch) (rerank.Scores, error) {
	if b.Query == "down" {
		return rerank.Scores{}, fault.New(fault.Unavailable, "no model answers")
	}
	s := rerank.Scores{Values: make([]float64, len(b.Texts)), Tokens: 42}
	for i, text := range b.Texts {
		s.Values[i] = float64(len(text))
	}
	return s, nil
}

func TestRerank(t *testing.T) {
	s := routed(t, router.Config{Reranker: lengths{}})
	w := do(s, newRequest("POST", "/v1/rerank", `{"model": "any", "query": "q", "documents": ["aa", {"text": "aaaa"}, "bb"], "top_n": 3, "return_documents": true}`))
	want := `{"results":[{"index":1,"relevance_score":4,"document":{"text":"aaaa"}},{"index":0,"relevance_score":2,"document":{"text":"aa"}},` +
		`{"index":2,"relevance_score":2,"document":{"text":"bb"}}],"usage":{"total_tokens":42}}`
	if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != want {
		t.Errorf("%d\n got %s\nwant %s", w.Code, got, want)
	}
	w = do(s, newRequest("POST", "/v1/rerank", `{"query": "q", "documents": ["a", "bbb"], "top_n": 1}`))
	if !strings.Contains(w.Body.String(), `{"results":[{"index":1,"relevance_score":3}]`) {
		t.Errorf("the best one: %s", w.Body)
	}
}

func TestRerank_refuses(t *testing.T) {
	s := routed(t, router.Config{Reranker: lengths{}})
	for body, want := range map[string]string{
		`{"documents": ["a"]}`:                                                   `"field":"/query"`,
		`{"query": "q"}`:                                                         `"field":"/documents"`,
		`{"query": "q", "documents": [""]}`:                                      `"field":"/documents/0"`,
		`{"query": "q", "documents": ["a"], "top_n": -1}`:                        `"field":"/top_n"`,
		`{"query": "q", "documents": [7]}`:                                       `"status":400`,
		`{"query": "q", "documents": ["a"], "texts": []}`:                        `"status":400`,
		`{"query": "down", "documents": ["a"]}`:                                  `"status":503`,
		`{"query": "q", "documents": [` + strings.Repeat(`"a",`, 1000) + `"a"]}`: "holds 1001",
	} {
		if w := do(s, newRequest("POST", "/v1/rerank", body)); !strings.Contains(w.Body.String(), want) {
			t.Errorf("%.60s: %s", body, w.Body)
		}
	}
	bare := routed(t, router.Config{})
	if w := do(bare, newRequest("POST", "/v1/rerank", `{"query": "q", "documents": ["a"]}`)); !strings.Contains(w.Body.String(), "no reranker is configured") {
		t.Errorf("%s", w.Body)
	}
}

// routed returns a server of a router over one local store.
func routed(t *testing.T, c router.Config) *server {
	t.Helper()
	c.Shards = []router.Shard{{Name: "s0", Replicas: []router.Replica{{Name: "r0", Store: newStore(t)}}}}
	r, err := router.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return mustServer(t, Config{Router: r})
}
