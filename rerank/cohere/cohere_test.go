package cohere_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/rerank"
	"github.com/lanewise/lanewise/rerank/cohere"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answering is a server that gives one answer to everything.
func answering(t *testing.T, status int, body string) *cohere.Provider {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return provider(t, cohere.Config{URL: server.URL, Model: "m"})
}

func provider(t *testing.T, c cohere.Config) *cohere.Provider {
	t.Helper()
	p, err := cohere.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestRerank_sendsTheWholeBatch(t *testing.T) {
	var got map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/rerank" || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("called %s with %q", r.URL.Path, r.Header.Get("Authorization"))
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, `{"results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":-2}],"meta":{"tokens":{"input_tokens":7}}}`)
	}))
	defer server.Close()
	p := provider(t, cohere.Config{URL: server.URL + "/v2", Key: "secret", Model: "rerank-3"})
	s, err := p.Rerank(t.Context(), rerank.Batch{Query: "q", Texts: []string{"a", "b"}})
	if err != nil || !slices.Equal(s.Values, []float64{-2, 0.9}) || s.Tokens != 7 {
		t.Errorf("got %v, %v", s, err)
	}
	if fmt.Sprintf("%v %v %v %v", got["documents"], got["query"], got["model"], got["top_n"]) != "[a b] q rerank-3 2" {
		t.Errorf("sent %v", got)
	}
}

func TestRerank_judgesAnswers(t *testing.T) {
	for body, class := range map[string]fault.Class{
		`{"results":[{"index":0,"relevance_score":1}]}`:                                 fault.Unavailable,
		`{"results":[{"index":0,"relevance_score":1},{"index":0,"relevance_score":1}]}`: fault.Unavailable,
		`{"results":[{"index":0,"relevance_score":1},{"index":2,"relevance_score":1}]}`: fault.Unavailable,
		`{"results":[{"index":0,"relevance_score":1},{"index":1}]}`:                     fault.Unavailable,
		`{"results":[{"index":0`: fault.Unavailable,
		`{"error":{"message":"no such model","code":"model_not_found"}}`: fault.Unavailable,
		`{"error":{"message":"too fast","type":"rate_limit_error"}}`:     fault.Overloaded,
	} {
		p := answering(t, http.StatusOK, body)
		if s, err := p.Rerank(t.Context(), rerank.Batch{Query: "q", Texts: []string{"a", "b"}}); fault.Of(err) != class {
			t.Errorf("%s: got %v, %v", body, s, err)
		}
	}
	for status, class := range map[int]fault.Class{429: fault.Overloaded, 401: fault.Refused, 422: fault.Invalid, 503: fault.Unavailable} {
		p := answering(t, status, `{"message":"no"}`)
		if _, err := p.Rerank(t.Context(), rerank.Batch{Query: "q", Texts: []string{"a"}}); fault.Of(err) != class {
			t.Errorf("status %d: got %v", status, err)
		}
	}
}

func TestNew_namesTheField(t *testing.T) {
	for field, c := range map[string]cohere.Config{
		"/model": {URL: "http://x"},
		"/url":   {URL: "x", Model: "m"},
		"/key":   {URL: "http://x", Model: "m", Key: "a\nb"},
	} {
		if _, err := cohere.New(c); fault.Field(err) != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func Example() {
	// Stands for Cohere, Jina or vLLM.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"results": [{"index": 1, "relevance_score": 0.98}, {"index": 0, "relevance_score": 0.02}]}`)
	}))
	defer server.Close()

	p, err := cohere.New(cohere.Config{URL: server.URL, Model: "bge-reranker-v2-m3"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close() //nolint:errcheck // never fails
	s, err := p.Rerank(context.Background(), rerank.Batch{Query: "fastest lane", Texts: []string{"a recipe", "lanes that move"}})
	fmt.Println(s.Values, err)
	// Output: [0.02 0.98] <nil>
}
