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
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lanewise/lanewise/search"
)

// Suite holds a store to the contract of package search. The zero values of its
// fields ask for everything that adapters/local and adapters/remote promise.
type Suite struct {
	// Open returns a store without collections. It is called once for each test; Open
	// registers its own cleanup on t. A store that is an io.Closer may be closed by the
	// test, and again by that cleanup.
	Open func(t *testing.T) search.Store
	// Tolerance is how far a score may be from the float64 brute force. 0 asks for
	// equality bit for bit. Above 0, rows whose scores are that close to the last
	// place may replace each other, and the vectors of points may come back with
	// that much of a difference, relative to their length.
	Tolerance float64
	// Unconditional is set for engines without transactions: epochs and the
	// all-or-nothing of a batch are not asked for, and older versions only where the
	// store's Capabilities say that they never overwrite.
	Unconditional bool
	// Wire is called once for each test of the network between the store and its
	// engine, and begins without collections. nil: there is none, and these tests are
	// skipped as not applicable.
	Wire func(t *testing.T) Wire
	// Parallel is how many tests run at the same time, for engines that make a caller
	// wait while they do little; 0: one. The stores of Open must not share collections.
	Parallel int
}

// Run is Suite.Run for a store that is exact and keeps versions and epochs.
func Run(t *testing.T, open func(t *testing.T) search.Store) {
	t.Helper()
	Suite{Open: open}.Run(t)
}

// Run runs every test of the suite as a subtest of t.
func (s Suite) Run(t *testing.T) {
	t.Helper()
	all := slices.Concat(
		lifeChecks, wireChecks, rankChecks, filterChecks, writeChecks, readChecks, refusalChecks, limitChecks, wordChecks, loadChecks)
	var crowd []check
	for _, c := range all {
		if c.alone {
			s.one(t, c)
		} else {
			crowd = append(crowd, c)
		}
	}
	next := make(chan check)
	var running sync.WaitGroup
	for range max(s.Parallel, 1) { // t.Parallel would run as many at a time as there are processors
		running.Go(func() {
			for c := range next {
				s.one(t, c)
			}
		})
	}
	for _, c := range crowd {
		next <- c
	}
	close(next)
	running.Wait()
}

// one runs one test.
func (s Suite) one(t *testing.T, c check) {
	t.Helper()
	t.Run(c.name, func(t *testing.T) {
		if c.conditional && s.Unconditional {
			t.Skip("not applicable: the engine has no transactions (Suite.Unconditional)")
		}
		b := &bench{T: t, Suite: s}
		if !c.bare {
			b.store = s.Open(t)
		}
		if c.versions && s.Unconditional && !b.can().Versions {
			t.Skip("not applicable: an older write may overwrite a newer one (Capabilities.Versions)")
		}
		c.run(b)
	})
}

// check is one test of the suite.
type check struct {
	name        string
	conditional bool // not asked of an Unconditional store
	versions    bool // asked of an Unconditional store that declares versions
	alone       bool // not beside others: it counts goroutines
	bare        bool // opens its stores itself
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
