package search

import (
	"context"
	"math"
	"time"
)

// Placement says which shards hold which points of a collection.
type Placement struct {
	By     PlaceBy
	Spread int    // with ByTenant: over how many shards a tenant's points are spread; 0 and 1: one
	Key    string // with ByKey: dotted path of the metadata field that places a point
}

// PlaceBy is the part of a point that decides on its shard.
type PlaceBy string

// The placements. The zero value means ByID.
const (
	ByID       PlaceBy = "id"       // spread evenly: a query goes to every shard
	ByTenant   PlaceBy = "tenant"   // a tenant's points together: a query goes to its shards only
	ByKey      PlaceBy = "key"      // by a metadata field
	ByExternal PlaceBy = "external" // an existing engine collection, read-only, asked on every shard
)

// Collection describes a collection: what every store that holds a part of it
// must agree on.
type Collection struct {
	Name        string
	Dims        int // of the dense vector, at least 1
	Metric      Metric
	Space       string // id of the embedding space, or empty where only raw vectors are used
	StrictSpace bool   // raw query vectors must name the space
	Placement   Placement
	Language    string // ISO 639-1 code for stemming; empty: none
	Lexical     bool   // points carry a sparse vector of their words, so that they can be searched by them
	AvgLen      int    // with Lexical: words of a typical text, which BM25 measures texts against; 0: 100
}

// Accepts reports whether a Create of want may be answered with success where c is:
// want is the same, or adds the lexical settings to a collection without them. In
// the second case c becomes want.
func (c Collection) Accepts(want Collection) bool {
	if !c.Lexical && want.Lexical {
		c.Lexical, c.AvgLen, c.Language = true, want.AvgLen, want.Language
	}
	return c == want
}

// Tombstone asks for the deletion of a point. A point that is newer than the
// tombstone stays.
type Tombstone struct {
	Key
	Version Version
}

// Batch is a set of writes to one collection of a store. It is applied as a
// whole or not at all. Create and Drop stand alone; the same Create twice is
// fine, a different one is a fault.Conflict. One difference is a change instead: a
// Create with Lexical of a collection without sets Lexical, AvgLen and Language.
type Batch struct {
	Collection string
	Epoch      uint64 // of the writer's shard map; 0: none
	Create     *Collection
	Drop       bool
	Upserts    []Point
	Deletes    []Tombstone
}

// Written acknowledges a batch: what it holds is durable and searchable, after
// Lag where the engine is only eventually consistent.
type Written struct {
	Applied int           // upserts and deletes that took effect
	Newer   Version       // the newest stored version that stopped one of the writes; 0: none was stopped
	Lag     time.Duration // until the batch is sure to be found by a search
}

// Writer stores points. Safe for concurrent use.
type Writer interface {
	Write(ctx context.Context, b Batch) (Written, error)
}

// Getter fetches points by key. Points that are not there are left out; the
// others come in the order of the keys.
type Getter interface {
	Get(ctx context.Context, collection string, keys []Key, f Fields) ([]Point, error)
}

// Scan asks for one page of a collection in key order.
type Scan struct {
	Collection string
	Tenant     string
	AllTenants bool // ignore Tenant and walk through all of them
	Filter     Filter
	After      Key // the last key of the page before; the zero Key starts
	Limit      int // rows a page, at least 1
	Fields     Fields
}

// Page is a part of a collection in key order.
type Page struct {
	Points []Point
	More   bool // there may be points behind the last one
}

// Stats is what a store knows of its part of a collection without a scan.
type Stats struct {
	Collection Collection
	Points     int     // of all tenants, without deleted ones
	Bytes      int64   // stored, about
	Newest     Version // of any write, deletions included
	Digest     uint64  // sum of [Digest] over the points, wrapping; 0 where the store cannot tell
	DigestBits int     // how many of the lowest bits of Digest the store keeps; 0: all
}

// DigestMask has the bits of Digest that the store keeps. Those of two stores are compared
// where both have them.
func (s Stats) DigestMask() uint64 {
	if s.DigestBits == 0 {
		return math.MaxUint64
	}
	return 1<<s.DigestBits - 1
}

// Store is everything that a replica of a shard can do.
type Store interface {
	Searcher
	Writer
	Getter
	// Scroll walks through a collection in key order.
	Scroll(ctx context.Context, s Scan) (Page, error)
	// Count counts the points of a tenant that match a filter, exactly.
	Count(ctx context.Context, collection, tenant string, f Filter) (int, error)
	// Stats reports what the store holds: all collections, or the named one.
	Stats(ctx context.Context, collection string) ([]Stats, error)
}
