package local_test

import (
	"testing"

	"github.com/lanewise/lanewise/adapters/adaptertest"
	"github.com/lanewise/lanewise/search"
)

func TestConformance(t *testing.T) {
	adaptertest.Run(t, func(t *testing.T) search.Store {
		t.Helper()
		return open(t, t.TempDir())
	})
}
