// Package search holds the words of a vector search: what is stored (a [Point]),
// what is asked (a [Query] of legs, under a [Filter]), what comes back (a
// [Result] of ranked lists and a [Report] of what was missing), and the small
// interfaces that a replica, a shard, the router and a remote router all share.
//
// Scores are canonical: larger is better on every metric. The figure that the
// engine gave is kept beside them as Raw. All values are plain data; they carry
// no locks and are safe to read from many goroutines while nobody writes them.
package search

import (
	"cmp"
	"context"
	"encoding/json"
)

// Key is the identity of a point within its collection. Tenant is empty in
// collections that have no tenants.
type Key struct {
	Tenant string
	ID     string
}

// Compare orders keys by tenant, then by id, both bytewise.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Tenant, other.Tenant), cmp.Compare(k.ID, other.ID))
}

// Version orders the writes of a point: the newest wins, wherever and in
// whatever order the writes arrive. The router stamps it from a hybrid clock
// (milliseconds since 1970 in the upper 44 bits, a counter in the lower 20).
// The zero Version means "not stamped yet".
type Version uint64

// Sparse is a sparse vector: Value[i] stands at dimension Index[i]. Indices are
// strictly increasing and no value is NaN or infinite.
type Sparse struct {
	Index []uint32
	Value []float32
}

// Point is one stored document or passage.
type Point struct {
	Key
	Version Version
	Dense   []float32       // as long as the collection's dims, or empty for a point without a dense vector
	Sparse  Sparse          // empty where the collection has no lexical leg
	Text    string          // the passage itself, as it was embedded
	Meta    json.RawMessage // a JSON object, or nil
}

// Metric is how two vectors of a collection are compared.
type Metric string

// The metrics, with the canonical score that each yields.
const (
	Cosine    Metric = "cosine"    // the cosine; 0 where either vector is zero
	Dot       Metric = "dot"       // the inner product
	Euclidean Metric = "euclidean" // minus the true distance; Raw is the distance
)

// Leg is one ranking that a query asks for.
type Leg struct {
	Collection string    // of this leg, if it differs from the query's
	Vector     string    // name of the vector, where a point has several; empty: the only one
	Dense      []float32 // the query vector of a dense leg
	Sparse     Sparse    // the query vector of a lexical leg
	K          int       // length of the list wanted, at least 1
	EF         int       // least search breadth of an approximate index; 0: the engine's own
	Exact      bool      // scan instead of using an approximate index
	Only       []Key     // if set: rank exactly these points and no others
}

// Fields says what a hit carries beside its key, version and scores.
type Fields struct {
	Text, Meta, Vector bool
}

// Query is a search as the shards see it: vectors in, ranked lists out.
type Query struct {
	Collection string
	Tenant     string // only points of exactly this tenant are ranked
	Legs       []Leg  // at least one
	Filter     Filter // the zero Filter matches every point
	Fields     Fields
	Epoch      uint64 // of the shard map that routed the query; 0: none
	// Complete asks for the scores of every hit in all legs of its collection, as [Hit] Legs. A store that cannot
	// tell leaves Legs empty: its points are then to be asked for by [Leg] Only.
	Complete bool
}

// LegScore is the place of a hit in one leg of its query.
type LegScore struct {
	Leg   int // index into the query's legs
	Rank  int // from 1; 0: the leg ranked it lower than it was asked for
	Score float64
}

// Hit is a ranked point. The fields of Point that the query did not ask for are
// empty.
type Hit struct {
	Point
	Collection string
	Score      float64 // canonical: larger is better
	Raw        float64 // the engine's own figure
	Shard      string  // that answered
	// Legs are the hit's scores in all legs that give it one, by rising leg. Empty: nobody looked. Those of a store,
	// which sees no more than its part, have no ranks.
	Legs []LegScore
}

// List is the answer to one leg: hits by descending score, ties by key.
type List struct {
	Hits []Hit
	// Exhausted states that the shard has no further rows for this leg. It is
	// stated by the adapter, never inferred from a short list.
	Exhausted bool
	// Prefix states that asking for more rows would extend this list and not
	// change it.
	Prefix  bool
	Dropped int // rows removed because their score was NaN or infinite, or because they were not the shard's
}

// Result is a list for each leg of the query, in the same order.
type Result struct {
	Lists  []List
	Report Report
}

// Searcher answers queries. A replica, a shard, the router and a remote router
// are Searchers; so is anything that decorates one. The result belongs to the
// caller. Safe for concurrent use.
type Searcher interface {
	Search(ctx context.Context, q Query) (Result, error)
}
