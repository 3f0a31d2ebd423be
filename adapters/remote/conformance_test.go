package remote_test

import (
	"testing"

	"github.com/lanewise/lanewise/adapters/adaptertest"
	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/adapters/remote"
	"github.com/lanewise/lanewise/search"
)

// A remote store answers as the store behind the server does: bit for bit,
// errors included.
func TestStore_conforms(t *testing.T) {
	adaptertest.Run(t, func(t *testing.T) search.Store {
		t.Helper()
		behind, err := local.Open(local.Config{Path: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := behind.Close(); err != nil {
				t.Error(err)
			}
		})
		s, _ := start(t, serve(behind), remote.Config{})
		return s
	})
}
