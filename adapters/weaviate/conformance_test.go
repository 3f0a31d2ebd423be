package weaviate_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/adapters/adaptertest"
	"github.com/lanewise/lanewise/adapters/weaviate"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// server is where a real Weaviate is, as "REST,gRPC"; the test is skipped where there is none.
func server(tb testing.TB) (rest, grpc string) {
	tb.Helper()
	both := os.Getenv("LANEWISE_TEST_WEAVIATE")
	if both == "" {
		tb.Skip("LANEWISE_TEST_WEAVIATE is not set: no Weaviate to test against (scripts/servers/weaviate up starts one)")
	}
	rest, grpc, ok := strings.Cut(both, ",")
	if !ok {
		tb.Fatalf("LANEWISE_TEST_WEAVIATE is %q, it must be two addresses, of REST and of gRPC, with a comma between them", both)
	}
	return rest, grpc
}

// open returns a store on the real server, with classes of its own that go when the test
// ends.
func open(tb testing.TB, c weaviate.Config) *weaviate.Store {
	tb.Helper()
	rest, grpc := server(tb)
	if c.Address == "" {
		c.Address = rest
	}
	if c.GRPC == "" {
		c.GRPC = grpc
	}
	if c.Prefix == "" {
		c.Prefix = prefix()
	}
	s, err := weaviate.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
		clean(tb, weaviate.Config{Address: rest, GRPC: grpc, Prefix: c.Prefix})
	})
	return s
}

// prefix is one that no other test has.
func prefix() string { return "T" + strings.ToLower(rand.Text()) }

// clean drops all collections. The context of t is over in a cleanup.
func clean(tb testing.TB, c weaviate.Config) {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context())
	s, err := weaviate.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // at the end of the test
	all, err := s.Stats(ctx, "")
	if err != nil {
		tb.Error(err)
	}
	for _, one := range all {
		_, err := s.Write(ctx, search.Batch{Collection: one.Collection.Name, Drop: true})
		if err != nil && !errors.Is(err, fault.NotFound) {
			tb.Error(err)
		}
	}
}

func TestStore_conforms(t *testing.T) {
	server(t)
	adaptertest.Suite{
		Open: func(t *testing.T) search.Store {
			t.Helper()
			return open(t, weaviate.Config{})
		},
		Wire:          onWire,
		Unconditional: true,
	}.Run(t)
}

// onWire reaches the server at other addresses, with REST and gRPC behind one.
func onWire(t *testing.T) adaptertest.Wire {
	t.Helper()
	base := weaviate.Config{Prefix: prefix()}
	reach := func(c weaviate.Config) func(*testing.T, string) search.Store {
		return func(t *testing.T, address string) search.Store {
			t.Helper()
			c := c
			c.Address, c.GRPC = address, address
			return open(t, c)
		}
	}
	refused, encrypted := base, base
	refused.Key = "wrong"
	encrypted.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	return adaptertest.Wire{Address: newMux(t), Open: reach(base), Refused: reach(refused), Encrypted: reach(encrypted)}
}
