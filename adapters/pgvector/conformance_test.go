package pgvector_test

import (
	"net/url"
	"testing"

	"github.com/lanewise/lanewise/adapters/adaptertest"
	"github.com/lanewise/lanewise/adapters/pgvector"
	"github.com/lanewise/lanewise/search"
)

// Exact scans are held to brute force bit for bit, ids and ties included: the scores
// are computed again in float64.
func TestStore_conforms(t *testing.T) {
	dsn(t)
	adaptertest.Suite{
		Open: func(t *testing.T) search.Store {
			t.Helper()
			return open(t, pgvector.Config{})
		},
		Wire: onWire,
	}.Run(t)
}

// onWire reaches the server at other addresses, in a schema of the test's own.
func onWire(t *testing.T) adaptertest.Wire {
	t.Helper()
	schema := freshSchema(t)
	reach := func(edit func(*url.URL)) func(*testing.T, string) search.Store {
		return func(t *testing.T, address string) search.Store {
			t.Helper()
			return open(t, pgvector.Config{Schema: schema, DSN: change(t, func(u *url.URL) {
				u.Host = address
				edit(u)
			})})
		}
	}
	return adaptertest.Wire{
		Address:   host(t),
		Open:      reach(func(*url.URL) {}),
		Refused:   reach(func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), "wrong") }),
		Encrypted: reach(func(u *url.URL) { u.RawQuery = "sslmode=require" }),
	}
}

func host(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(dsn(t))
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
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
