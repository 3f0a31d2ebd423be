package search

import (
	"context"
	"slices"

	"github.com/lanewise/lanewise/fault"
)

// TermQuery asks a store how common some terms are among the points of exactly
// one tenant. A term is a dimension of a sparse vector.
type TermQuery struct {
	Collection string
	Tenant     string
	Vector     string   // name of the sparse vector, where a point has several; empty: the only one
	Terms      []uint32 // any number, in any order
}

// TermStats is what one store, or a sum of stores, answers to a [TermQuery].
type TermStats struct {
	Docs   uint64   // points that carry the sparse vector
	Counts []uint64 // Counts[i] of them have a value at TermQuery.Terms[i]
}

// Add adds the statistics of another store for the same terms. One that answers
// for another number of terms is fault.Unavailable: it is broken.
func (s *TermStats) Add(other TermStats) error {
	if s.Counts == nil {
		s.Docs, s.Counts = other.Docs, slices.Clone(other.Counts)
		return nil
	}
	if len(other.Counts) != len(s.Counts) {
		return fault.New(fault.Unavailable, "statistics of %d terms where %d were asked for", len(other.Counts), len(s.Counts))
	}
	s.Docs += other.Docs
	for i, n := range other.Counts {
		s.Counts[i] += n
	}
	return nil
}

// TermCounter is a [Store] that knows how common its terms are. The counts are
// exact and of one snapshot. A collection that is not there is fault.NotFound; a
// store that cannot count words says so with fault.Invalid. Safe for concurrent
// use.
type TermCounter interface {
	TermStats(ctx context.Context, q TermQuery) (TermStats, error)
}
