package qdrant_test

import (
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

// TestConformance_realServer runs the suite on a Qdrant, in collections with a
// prefix of their own, which are dropped at the end.
func TestConformance_realServer(t *testing.T) {
	address := os.Getenv(realServer)
	if address == "" {
		t.Skipf("no Qdrant: set %s to host:port of one", realServer)
	}
	adaptertest.Suite{
		Open:      func(t *testing.T) search.Store { t.Helper(); return openReal(t, address) },
		Tolerance: 1e-5, Unconditional: true,
	}.Run(t)

}

func openReal(t *testing.T, address string) *adapter.Store {
	t.Helper()
	s := open(t, adapter.Config{Address: address, Key: os.Getenv(realServer + "_KEY"), Prefix: "test-" + rand.Text() + "-"})
	t.Cleanup(func() {
		all, err := s.Stats(t.Context(), "")
		if err != nil {
			all = nil // the test's context has ended
		}
		for _, one := range all {
			_, _ = s.Write(t.Context(), search.Batch{Collection: one.Collection.Name, Drop: true})
		}
	})
	return s
}
