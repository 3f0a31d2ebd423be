package pgvector_test

import (
	"testing"

	"github.com/lanewise/lanewise/adapters/adaptertest"
	"github.com/lanewise/lanewise/adapters/pgvector"
	"github.com/lanewise/lanewise/search"
)

// Exact scans are held to brute force bit for bit, ids and ties included: the scores
// are computed again in float64.
func TestStore_conforms(t *testing.T) {
	dsn(t)
	adaptertest.Run(t, func(t *testing.T) search.Store {
		t.Helper()
		return open(t, pgvector.Config{})
	})
}

// With an approximate index there, exact legs are as exact as without it.
func TestStore_conformsWithIndexes(t *testing.T) {
	dsn(t)
	adaptertest.Suite{
		Open: func(t *testing.T) search.Store {
			t.Helper()
			return open(t, pgvector.Config{HNSW: &pgvector.HNSW{}, FieldIndex: true})
		},
		Tolerance: 1e-5,
	}.Run(t)
}
