package qdrant_test

import (
	"context"
	"crypto/rand"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/adapters/adaptertest"
	adapter "github.com/lanewise/lanewise/adapters/qdrant"
	"github.com/lanewise/lanewise/search"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a store on a server.
func open(t *testing.T, c adapter.Config) *adapter.Store {
	t.Helper()
	s, err := adapter.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// start returns a store on a server of its own.
func start(t *testing.T) (*adapter.Store, *server) {
	t.Helper()
	s := newServer()
	return open(t, adapter.Config{Address: s.serve(t, "127.0.0.1:0", nil).address}), s
}

func TestConformance(t *testing.T) {
	adaptertest.Suite{
		Open: func(t *testing.T) search.Store {
			t.Helper()
			s, _ := start(t)
			return s
		},
		Tolerance: 1e-5, Unconditional: true,
	}.Run(t)
}

const realServer = "LANEWISE_TEST_QDRANT" // host:port of a Qdrant, 1.16 or newer

// TestConformance_realServer runs the suite on a Qdrant, and what the suite leaves
// to this package, in collections with a prefix of their own, which are dropped at
// the end.
func TestConformance_realServer(t *testing.T) {
	address := os.Getenv(realServer)
	if address == "" {
		t.Skipf("no Qdrant: set %s to host:port of one, and %s_KEY if it wants a key", realServer, realServer)
	}
	open := func(t *testing.T) *adapter.Store { t.Helper(); return openReal(t, address) }
	adaptertest.Suite{
		Open:      func(t *testing.T) search.Store { t.Helper(); return open(t) },
		Tolerance: 1e-5, Unconditional: true,
	}.Run(t)
	t.Run("versions", func(t *testing.T) { versions(t, open) })
	t.Run("filters", func(t *testing.T) { filtersAgree(t, open(t)) })
	t.Run("ties", func(t *testing.T) { tiesAreCut(t, open(t)) })
}

func openReal(t *testing.T, address string) *adapter.Store {
	t.Helper()
	s := open(t, adapter.Config{Address: address, Key: os.Getenv(realServer + "_KEY"), Prefix: "test-" + rand.Text() + "-"})
	t.Cleanup(func() {
		ctx := context.Background() // the test's own has ended
		all, err := s.Stats(ctx, "")
		if err != nil {
			t.Errorf("list what the test made: %v", err)
		}
		for _, one := range all {
			if _, err := s.Write(ctx, search.Batch{Collection: one.Collection.Name, Drop: true}); err != nil {
				t.Errorf("drop what the test made: %v", err)
			}
		}
	})
	return s
}
