package milvus_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/milvus-io/milvus-sdk-go/v2/client"

	"github.com/lanewise/lanewise/adapters/adaptertest"
	"github.com/lanewise/lanewise/adapters/milvus"
	"github.com/lanewise/lanewise/search"
)

// server is the address of a real Milvus; the test is skipped where there is none.
func server(t *testing.T) string {
	t.Helper()
	address := os.Getenv("LANEWISE_TEST_MILVUS")
	if address == "" {
		t.Skip("LANEWISE_TEST_MILVUS is not set: no Milvus to test against (scripts/servers/milvus up starts one)")
	}
	return address
}

// database is a database of the test's own, so that others on the same server are not
// disturbed. It goes when the test ends.
func database(t *testing.T) string {
	t.Helper()
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(t.Name()))
	name := fmt.Sprintf("lanewise_test_%d_%x", os.Getpid(), hash.Sum64())
	c := connect(t)
	if err := c.CreateDatabase(t.Context(), name); err != nil && !strings.Contains(err.Error(), "already exist") {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := remove(context.WithoutCancel(t.Context()), c, name); err != nil {
			t.Errorf("remove the test's database: %v", err)
		}
	})
	return name
}

// remove drops a database with all that is in it. A test that asked for it twice drops
// it twice.
func remove(ctx context.Context, c client.Client, database string) error {
	if err := c.UsingDatabase(ctx, database); err != nil {
		return nil //nolint:nilerr // it is gone
	}
	all, err := c.ListCollections(ctx)
	for _, one := range all {
		err = errors.Join(err, c.DropCollection(ctx, one.Name))
	}
	return errors.Join(err, c.DropDatabase(ctx, database))
}

// connect returns a plain client of the server.
func connect(t *testing.T) client.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := client.NewClient(ctx, client.Config{Address: server(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// sdk is a plain client of the test's database, for what an operator would do.
func sdk(t *testing.T) client.Client {
	t.Helper()
	name, c := database(t), connect(t)
	if err := c.UsingDatabase(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return c
}

// open returns a store on the real server, without collections.
func open(t *testing.T, c milvus.Config) *milvus.Store {
	t.Helper()
	if c.Address == "" {
		c.Address = server(t)
	}
	if c.Database == "" {
		c.Database = database(t)
	}
	s, err := milvus.New(c)
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

// Making a collection takes the server two seconds, in which it waits for the most
// part: so many tests run beside each other.
func TestStore_conforms(t *testing.T) {
	server(t)
	adaptertest.Suite{
		Open: func(t *testing.T) search.Store {
			t.Helper()
			return open(t, milvus.Config{Consistency: milvus.Session})
		},
		Wire:          onWire,
		Tolerance:     1e-5,
		Unconditional: true,
		Parallel:      12,
	}.Run(t)
}

// onWire reaches the server at other addresses, in one database.
func onWire(t *testing.T) adaptertest.Wire {
	t.Helper()
	base := milvus.Config{Consistency: milvus.Session, Database: database(t)}
	reach := func(c milvus.Config) func(*testing.T, string) search.Store {
		return func(t *testing.T, address string) search.Store {
			t.Helper()
			c := c
			c.Address = address
			return open(t, c)
		}
	}
	encrypted := base
	encrypted.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	refused := func(t *testing.T, _ string) search.Store {
		t.Helper()
		return locked(t, milvus.Config{User: "root", Password: "wrong"})
	}
	return adaptertest.Wire{Address: server(t), Open: reach(base), Refused: refused, Encrypted: reach(encrypted)}
}
