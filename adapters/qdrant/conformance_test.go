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
func open(tb testing.TB, c adapter.Config) *adapter.Store {
	tb.Helper()
	s, err := adapter.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// start returns a store on a server of its own, in this process.
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

// TestConformance_realServer runs the suite on a Qdrant. All tests that start from somewhere
// or fresh run there, too.
func TestConformance_realServer(t *testing.T) {
	if os.Getenv(realServer) == "" {
		t.Skipf("no Qdrant: set %s to host:port of one, and %s_KEY if it wants a key", realServer, realServer)
	}
	adaptertest.Suite{
		Open: func(t *testing.T) search.Store { t.Helper(); return fresh(t) },
		Wire: func(t *testing.T) adaptertest.Wire {
			t.Helper()
			c := somewhere(t)
			return wire(c.Address, c)
		},
		Tolerance: 1e-5, Unconditional: true,
	}.Run(t)
}

// fresh returns an empty store on the real Qdrant where there is one, else on a server
// in this process.
func fresh(tb testing.TB) *adapter.Store { tb.Helper(); return open(tb, somewhere(tb)) }

// somewhere is where fresh stores are: on a real server the collections have a prefix
// of the test's own, and are dropped at its end.
func somewhere(tb testing.TB) adapter.Config {
	tb.Helper()
	address := os.Getenv(realServer)
	if address == "" {
		return adapter.Config{Address: newServer().serve(tb, "127.0.0.1:0", nil).address}
	}
	c := adapter.Config{Address: address, Key: os.Getenv(realServer + "_KEY"), Prefix: "test-" + rand.Text() + "-"}
	cleanUp(tb, c)
	return c
}

// cleanUp drops what a test made, by a store that the test has not closed.
func cleanUp(tb testing.TB, c adapter.Config) {
	tb.Helper()
	s := open(tb, c)
	tb.Cleanup(func() {
		ctx := context.Background() // the test's own has ended
		all, err := s.Stats(ctx, "")
		if err != nil {
			tb.Errorf("list what the test made: %v", err)
		}
		for _, one := range all {
			if _, err := s.Write(ctx, search.Batch{Collection: one.Collection.Name, Drop: true}); err != nil {
				tb.Errorf("drop what the test made: %v", err)
			}
		}
	})
}
