package milvus_test

import (
	"context"
	"os"
	"testing"

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

// open returns a store on the real server, without collections.
func open(t *testing.T, c milvus.Config) *milvus.Store {
	t.Helper()
	c.Address = server(t)
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
	all, err := s.Stats(context.WithoutCancel(t.Context()), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		drop := search.Batch{Collection: c.Collection.Name, Drop: true}
		if _, err := s.Write(context.WithoutCancel(t.Context()), drop); err != nil {
			t.Fatal(err)
		}
	}
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
