package openai_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/embed/openai"
)

// TestLane_overSockets holds that a lane over two servers answers whatever one
// of them does, and never mixes up rows.
func TestLane_overSockets(t *testing.T) {
	var last call
	for name, broken := range map[string]http.HandlerFunc{
		"429":            func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"revoked key":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"no such model":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"error with 200": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"error": {"message": "x"}}`) },
		"fewer vectors":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"data": []}`) },
		"truncated":      func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"data": [{"index"`) },
		"hangs up":       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			bad := httptest.NewServer(broken)
			defer bad.Close()
			good := server(t, &last)
			limits := embed.Limits{Inputs: 2}
			e, err := embed.New(embed.Config{Upstreams: []embed.Upstream{
				{Name: "bad", Provider: provider(t, openai.Config{URL: bad.URL, Dims: 3, Limits: limits})},
				{Name: "good", Provider: provider(t, openai.Config{URL: good.URL, Dims: 3, Limits: limits}), Tier: 1},
			}, Parallel: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close() //nolint:errcheck // the test has its answer
			texts := []string{"a", "bb", "ccc", "dddd", "eeeee"}
			v, err := e.Embed(t.Context(), embed.Batch{Texts: texts, Task: embed.QueryTask})
			if err != nil {
				t.Fatal(err)
			}
			for i, text := range texts {
				if got, want := v.Row(i), vectorOf(text); !slices.Equal(got, want) {
					t.Errorf("row %d is %v, want %v", i, got, want)
				}
			}
		})
	}
}
