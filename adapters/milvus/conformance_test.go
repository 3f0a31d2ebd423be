package milvus_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/milvus-io/milvus-sdk-go/v2/client"

	"github.com/lanewise/lanewise/adapters/adaptertest"
	"github.com/lanewise/lanewise/adapters/milvus"
	"github.com/lanewise/lanewise/fault"
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

// database names a database of this process, so that other tests on the same server
// are not disturbed.
func database() string { return fmt.Sprintf("lanewise_test_%d", os.Getpid()) }

// open returns a store on the real server, without collections.
func open(t *testing.T, c milvus.Config) *milvus.Store {
	t.Helper()
	sdk(t)
	c.Address, c.Database = server(t), database()
	s, err := milvus.New(c)
	if err != nil {
		t.Fatal(err)
	}
	clean(t, s)
	t.Cleanup(func() {
		clean(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// clean drops all collections. The context of t is over in a cleanup.
func clean(t *testing.T, s *milvus.Store) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	all, err := s.Stats(ctx, "")
	if errors.Is(err, fault.NotFound) { // the database is gone already
		return
	}
	if errors.Is(err, fault.Unavailable) { // a collection that a test left unloaded
		_, err = s.Write(ctx, search.Batch{Collection: "docs", Drop: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		drop := search.Batch{Collection: c.Collection.Name, Drop: true}
		if _, err := s.Write(ctx, drop); err != nil {
			t.Fatal(err)
		}
	}
}

// sdk is a plain client of the server, for what an operator would do.
func sdk(t *testing.T) client.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := client.NewClient(ctx, client.Config{Address: server(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CreateDatabase(ctx, database()); err != nil && !strings.Contains(err.Error(), "already exist") {
		t.Fatal(err)
	}
	if err := c.UsingDatabase(ctx, database()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.DropDatabase(context.WithoutCancel(ctx), database()) // another test may still be in it
		_ = c.Close()
	})
	return c
}

func TestStore_conforms(t *testing.T) {
	adaptertest.Suite{
		Open: func(t *testing.T) search.Store {
			t.Helper()
			return open(t, milvus.Config{Consistency: milvus.Session})
		},
		Tolerance:     1e-5,
		Unconditional: true,
		MaxMeta:       65535,
	}.Run(t)
}
