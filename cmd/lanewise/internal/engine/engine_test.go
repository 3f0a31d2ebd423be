package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/engine"
	"github.com/lanewise/lanewise/search"
)

func Example() {
	_, err := engine.Open(context.Background(), engine.Options{URL: "qdrant://10.0.0.5:6334"})
	fmt.Println(err)
	// Output: qdrant://10.0.0.5:6334 names no collection: write it at the end, as in qdrant://10.0.0.5:6334/docs
}

func TestOpen_advises(t *testing.T) {
	for url, want := range map[string]string{
		"mongo://h/docs":                       "is no engine",
		"qdrant://127.0.0.1:1/docs":            "6333 is that of HTTP",
		"postgres://me@127.0.0.1:1/db/docs":    "are host and port right",
		"postgres://me:hunter2@127.0.0.1:1/db": "names no collection",
		"weaviate://127.0.0.1:1/docs":          "are host and port right",
	} {
		if _, err := engine.Open(t.Context(), engine.Options{URL: url}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q in it", url, err, want)
		}
	}
}

// A text is embedded only into the space that the caller names, and only where its dims fit.
func TestEmbedder_neverGuesses(t *testing.T) {
	s := &engine.Source{Stats: search.Stats{Points: 3, Collection: search.Collection{Dims: 256, Metric: search.Cosine}}}
	if _, _, err := s.Embedder(t.Context(), engine.Model{}); err == nil || !strings.Contains(err.Error(), "3 points of 256 dims") || !strings.Contains(err.Error(), "--embed static is") {
		t.Errorf("no model: %v", err)
	}
	if u, space, err := s.Embedder(t.Context(), engine.Model{Spec: "static"}); err != nil || u.Kind != "static" || space != "static-256" {
		t.Errorf("static: %+v %q %v", u, space, err)
	}
	s.Collection.Dims = 384
	if _, _, err := s.Embedder(t.Context(), engine.Model{Spec: "static"}); err == nil || !strings.Contains(err.Error(), "made with another model") {
		t.Errorf("static of other dims: %v", err)
	}
	if _, _, err := s.Embedder(t.Context(), engine.Model{}); err == nil || strings.Contains(err.Error(), "static") {
		t.Errorf("static is offered where its dims do not fit: %v", err)
	}
}
