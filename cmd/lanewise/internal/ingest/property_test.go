package ingest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/internal/corpus"
)

// slowStore applies a batch document by document and lets others run between,
// so that writes under way at the same time interleave.
type slowStore struct {
	mu    sync.Mutex
	texts map[key]string
}

func (s *slowStore) write(_ context.Context, tenant string, docs []corpus.Document) error {
	seen := map[string]bool{}
	for _, d := range docs {
		if seen[d.ID] {
			return fmt.Errorf("%q is twice in a batch", d.ID)
		}
		seen[d.ID] = true
		for range rand.IntN(3) {
			runtime.Gosched()
		}
		s.mu.Lock()
		s.texts[key{tenant, d.ID}] = d.Text
		s.mu.Unlock()
	}
	return nil
}

// However documents repeat and batches overlap, the store ends up as if they had
// been written one after the other.
func TestRun_equalsWritingOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 60).Draw(t, "documents")
		var docs []corpus.Document
		want := map[key]string{}
		for i := range n {
			d := corpus.Document{
				ID:     rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "id"),
				Tenant: rapid.SampledFrom([]string{"", "x"}).Draw(t, "tenant"),
				Text:   fmt.Sprint(i),
			}
			docs, want[key{d.Tenant, d.ID}] = append(docs, d), d.Text
		}
		in := func(yield func(corpus.Document, error) bool) {
			for _, d := range docs {
				if !yield(d, nil) {
					return
				}
			}
		}
		s := &slowStore{texts: map[key]string{}}
		_, err := Run(context.Background(), in, s.write, Config{
			Batch: rapid.IntRange(1, 5).Draw(t, "batch"), Parallel: rapid.IntRange(1, 4).Draw(t, "parallel"),
		})
		if err != nil {
			t.Fatal(err)
		}
		for k, text := range want {
			if s.texts[k] != text {
				t.Fatalf("%v is %q, want %q", k, s.texts[k], text)
			}
		}
	})
}
