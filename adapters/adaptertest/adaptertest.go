// Package adaptertest is the specification of an adapter as a test suite: what a
// search.Store must answer, whichever engine is behind it. An adapter's own test
// is three lines:
//
//	func TestConformance(t *testing.T) {
//		adaptertest.Run(t, func(t *testing.T) search.Store { return openEmpty(t) })
//	}
//
// The expected answers come from a brute force in float64 and from
// search.Filter.Match, so an adapter that pushes filters or rankings down to its
// engine is held to the same results as one that computes them itself.
package adaptertest

import (
	"testing"
	"time"

	"github.com/lanewise/lanewise/search"
)

// Suite holds a store to the contract of package search. The zero values of its
// fields ask for everything that adapters/local and adapters/remote promise.
type Suite struct {
	// Open returns a store without collections. It is called once for each test;
	// the store is left open, so Open registers its own cleanup on t.
	Open func(t *testing.T) search.Store
	// Tolerance is how far a score may be from the float64 brute force. 0 asks for
	// equality bit for bit. Above 0, rows whose scores are that close to the last
	// place may replace each other, and the vectors of points may come back with
	// that much of a difference, relative to their length.
	Tolerance float64
	// Unconditional is set for engines without conditional writes: older versions,
	// epochs and the all-or-nothing of a batch are not asked for.
	Unconditional bool
	// MaxMeta is how many bytes of metadata the engine takes; 0: more than the suite
	// writes.
	MaxMeta int
}

// Run is Suite.Run for a store that is exact and keeps versions and epochs.
func Run(t *testing.T, open func(t *testing.T) search.Store) {
	t.Helper()
	Suite{Open: open}.Run(t)
}

// Run runs every test of the suite as a subtest of t.
func (s Suite) Run(t *testing.T) {
	t.Helper()
	for _, part := range [][]check{rankChecks, filterChecks, writeChecks, readChecks, refusalChecks, loadChecks} {
		for _, c := range part {
			t.Run(c.name, func(t *testing.T) {
				if c.conditional && s.Unconditional {
					t.Skip("the engine has no conditional writes (Suite.Unconditional)")
				}
				c.run(&bench{T: t, Suite: s, store: s.Open(t)})
			})
		}
	}
}

// check is one test of the suite.
type check struct {
	name        string
	conditional bool // not asked of an Unconditional store
	run         func(*bench)
}

// bench is one test with its store.
type bench struct {
	*testing.T
	Suite
	store search.Store
}

// docs is the collection that most tests use.
const docs = "docs"

// everything asks for all fields of a point.
var everything = search.Fields{Text: true, Meta: true, Vector: true} //nolint:gochecknoglobals // a constant

// create makes a collection.
func (b *bench) create(name string, dims int, m search.Metric) {
	b.Helper()
	b.write(search.Batch{Create: &search.Collection{Name: name, Dims: dims, Metric: m}})
}

// write applies a batch and waits until it is sure to be found.
func (b *bench) write(batch search.Batch) search.Written {
	b.Helper()
	out, err := b.store.Write(b.Context(), batch)
	if err != nil {
		b.Fatalf("write: %v", err)
	}
	if out.Lag > 0 {
		<-time.After(out.Lag)
	}
	return out
}

// put upserts points into a collection.
func (b *bench) put(collection string, points ...search.Point) search.Written {
	b.Helper()
	return b.write(search.Batch{Collection: collection, Upserts: points})
}

// search runs a query.
func (b *bench) search(q search.Query) []search.List {
	b.Helper()
	res, err := b.store.Search(b.Context(), q)
	if err != nil {
		b.Fatalf("search: %v", err)
	}
	if len(res.Lists) != len(q.Legs) {
		b.Fatalf("search: got %d lists for %d legs", len(res.Lists), len(q.Legs))
	}
	return res.Lists
}

// ids returns the ids of the best k points of a tenant of docs.
func (b *bench) ids(tenant string, vector []float32, k int) []string {
	b.Helper()
	lists := b.search(search.Query{
		Collection: docs, Tenant: tenant, Legs: []search.Leg{{Dense: vector, K: k}},
	})
	ids := make([]string, 0, k)
	for _, h := range lists[0].Hits {
		ids = append(ids, h.ID)
	}
	return ids
}

// get fetches points of docs by key.
func (b *bench) get(f search.Fields, keys ...search.Key) []search.Point {
	b.Helper()
	points, err := b.store.Get(b.Context(), docs, keys, f)
	if err != nil {
		b.Fatalf("get: %v", err)
	}
	return points
}
