package tei_test

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
	"github.com/lanewise/lanewise/rerank/tei"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func provider(t *testing.T, url string) *tei.Provider {
	t.Helper()
	p, err := tei.New(tei.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestRerank_sendsTheWholeBatch(t *testing.T) {
	var got map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/rerank" {
			t.Errorf("called %s", r.URL.Path)
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, `[{"index":1,"score":0.9},{"index":0,"score":0.1}]`)
	}))
	defer server.Close()
	s, err := provider(t, server.URL).Rerank(t.Context(), rerank.Batch{Query: "q", Texts: []string{"a", "b"}})
	if err != nil || !slices.Equal(s.Values, []float64{0.1, 0.9}) {
		t.Errorf("got %v, %v", s, err)
	}
	if fmt.Sprintf("%v %v %v", got["texts"], got["query"], got["truncate"]) != "[a b] q true" {
		t.Errorf("sent %v", got)
	}
}

func TestRerank_judgesAnswers(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		class  fault.Class
	}{
		{200, `[{"index":0,"score":1}]`, fault.Unavailable},
		{200, `[{"index":0,"score":1},{"index":0,"score":1}]`, fault.Unavailable},
		{200, `[{"index":0,"score":1},{"index":1}]`, fault.Unavailable},
		{200, `[{"index":0`, fault.Unavailable},
		{413, `{"error":"batch size 64 > maximum allowed batch size 32","error_type":"Validation"}`, fault.Invalid},
		{424, `{"error":"inference failed","error_type":"Backend"}`, fault.Unavailable},
		{429, `{"error":"Model is overloaded","error_type":"Overloaded"}`, fault.Overloaded},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		if s, err := provider(t, server.URL).Rerank(t.Context(), rerank.Batch{Query: "q", Texts: []string{"a", "b"}}); fault.Of(err) != c.class {
			t.Errorf("%d %s: got %v, %v", c.status, c.body, s, err)
		}
		server.Close()
	}
	if _, err := tei.New(tei.Config{URL: "ftp://x"}); fault.Field(err) != "/url" {
		t.Errorf("got %v", err)
	}
}

func Example() {
	// Stands for a text-embeddings-inference server.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `[{"index": 1, "score": 0.98}, {"index": 0, "score": 0.02}]`)
	}))
	defer server.Close()

	p, err := tei.New(tei.Config{URL: server.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close() //nolint:errcheck // never fails
	s, err := p.Rerank(context.Background(), rerank.Batch{Query: "fastest lane", Texts: []string{"a recipe", "lanes that move"}})
	fmt.Println(s.Values, err)
	// Output: [0.02 0.98] <nil>
}
