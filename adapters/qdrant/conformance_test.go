package qdrant_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
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
		Wire: func(t *testing.T) adaptertest.Wire {
			t.Helper()
			engine := newServer()
			engine.key = "right"
			return wire(engine.serve(t, "127.0.0.1:0", nil).address, adapter.Config{Key: engine.key})
		},
		Tolerance: 1e-5, Unconditional: true,
	}.Run(t)
}

// wire reaches a server at other addresses. Without a key in c it asks for none.
func wire(address string, c adapter.Config) adaptertest.Wire {
	reach := func(edit func(*adapter.Config)) func(*testing.T, string) search.Store {
		return func(t *testing.T, address string) search.Store {
			t.Helper()
			c := c
			c.Address = address
			edit(&c)
			return open(t, c)
		}
	}
	w := adaptertest.Wire{
		Address:   address,
		Open:      reach(func(*adapter.Config) {}),
		Encrypted: reach(func(c *adapter.Config) { c.TLS = &tls.Config{MinVersion: tls.VersionTLS12} }),
	}
	if c.Key != "" {
		w.Refused = reach(func(c *adapter.Config) { c.Key = "wrong" })
	}
	return w
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
		Open: func(t *testing.T) search.Store { t.Helper(); return open(t) },
		Wire: func(t *testing.T) adaptertest.Wire {
			t.Helper()
			c := place(address)
			cleanUp(t, c)
			return wire(address, c)
		},
		Tolerance: 1e-5, Unconditional: true,
	}.Run(t)
	t.Run("versions", func(t *testing.T) { versions(t, open) })
	t.Run("filters", func(t *testing.T) { filtersAgree(t, open(t)) })
	t.Run("ties", func(t *testing.T) { tiesAreCut(t, open(t)) })
}

func openReal(t *testing.T, address string) *adapter.Store {
	t.Helper()
	c := place(address)
	cleanUp(t, c)
	return open(t, c)
}

// place is a place of its own on a real server.
func place(address string) adapter.Config {
	return adapter.Config{Address: address, Key: os.Getenv(realServer + "_KEY"), Prefix: "test-" + rand.Text() + "-"}
}

// cleanUp drops what a test made, by a store that the test has not closed.
func cleanUp(t *testing.T, c adapter.Config) {
	t.Helper()
	s := open(t, c)
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
}
