package milvus_test

import (
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/adapters/milvus"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// locked is a store on a real server that asks for a password.
func locked(t *testing.T, c milvus.Config) *milvus.Store {
	t.Helper()
	if c.Address = os.Getenv("LANEWISE_TEST_MILVUSAUTH"); c.Address == "" {
		t.Skip("LANEWISE_TEST_MILVUSAUTH is not set: set it to what scripts/servers/milvus-auth up prints")
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

func TestStore_onAServerThatAsksForAPassword(t *testing.T) {
	for name, c := range map[string]milvus.Config{
		"none": {}, "a wrong password": {User: "root", Password: "wrong"}, "nobody": {User: "nobody", Password: "Milvus"}, "a wrong key": {Key: "wrong"},
	} {
		s := locked(t, c)
		_, stats := s.Stats(t.Context(), "")
		_, found := s.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1}, K: 1}}})
		_, write := s.Write(t.Context(), search.Batch{Collection: "docs", Upserts: []search.Point{point("a", 1, "")}})
		_, version := s.Version(t.Context())
		for _, err := range []error{stats, found, write, version} {
			if !errors.Is(err, fault.Refused) || strings.Contains(err.Error(), "wrong") {
				t.Errorf("%s: got %v, want refused", name, err)
			}
		}
	}
	s, docs := locked(t, milvus.Config{User: "root", Password: "Milvus", Consistency: milvus.Session}), "docs"+rand.Text()
	create(t, s, docs)
	write(t, s, search.Batch{Collection: docs, Upserts: []search.Point{point("a", 1, "")}})
	if found, err := s.Get(t.Context(), docs, []search.Key{{ID: "a"}}, search.Fields{}); err != nil || len(found) != 1 {
		t.Errorf("with the right one: %+v, %v", found, err)
	}
	write(t, s, search.Batch{Collection: docs, Drop: true})
}
