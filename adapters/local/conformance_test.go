package local_test

import (
	"testing"

	"github.com/lanewise/lanewise/adapters/adaptertest"
	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/search"
)

func TestConformance(t *testing.T) {
	adaptertest.Run(t, func(t *testing.T) search.Store {
		t.Helper()
		return open(t, t.TempDir())
	})
}

// TestConformance_withIndex runs the filters again, answered by the index.
func TestConformance_withIndex(t *testing.T) {
	adaptertest.Run(t, func(t *testing.T) search.Store {
		t.Helper()
		s, err := local.Open(local.Config{Path: t.TempDir(), Index: []string{"a", "n", "odd", "a.b", "b.c"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}
