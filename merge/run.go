package merge

import (
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/lanewise/lanewise/search"
)

// Run is a list that has been checked and is ready to be merged: its scores are
// finite and its hits are in the order of [Better]. The zero Run is an empty list that
// says nothing about what its shard holds. A Run may be checked again to reuse its
// memory; it is not safe for concurrent use, but each shard's Run can be
// checked in that shard's own goroutine.
type Run struct {
	hits      []search.Hit // shared with the checked list unless that had to be repaired
	hash      []uint64     // of each hit's id
	bound     float64      // no row that the shard kept back scores above it; +Inf: not known
	rows      int          // as they came, before any was dropped
	dropped   int
	unsorted  bool
	exhausted bool
	prefix    bool
}

// Check takes over a list. Rows whose score is NaN or infinite, and those that keep
// (which may be nil) refuses, are dropped and counted. An unsorted list is sorted. The
// list itself is not changed, and the Run shares its hits.
func (r *Run) Check(l search.List, keep func(*search.Hit) bool) {
	*r = Run{
		hits: l.Hits, hash: r.hash[:0],
		bound: math.Inf(1), rows: len(l.Hits) + l.Dropped, dropped: l.Dropped,
		exhausted: l.Exhausted, prefix: l.Prefix,
	}
	if !r.inspect(keep) {
		r.repair(keep)
	}
	r.hash = slices.Grow(r.hash, len(r.hits))
	for i := range r.hits {
		r.hash = append(r.hash, xxhash.Sum64String(r.hits[i].ID))
	}
}

// inspect computes the bound, and reports whether every row may stay where it is.
func (r *Run) inspect(keep func(*search.Hit) bool) bool {
	fine := true
	for i := range r.hits {
		h := &r.hits[i]
		if !finite(h.Score) {
			fine = false
			continue
		}
		if h.Score > r.bound {
			r.unsorted = true
		}
		inOrder := h.Score < r.bound || i > 0 && better(&r.hits[i-1], h) <= 0
		r.bound = min(r.bound, h.Score)
		fine = fine && inOrder && (keep == nil || keep(h))
	}
	if r.unsorted { // who cannot sort cannot be trusted to have sent the best
		r.bound = math.Inf(1)
	}
	return fine
}

// repair copies the rows that stay and puts them in order.
func (r *Run) repair(keep func(*search.Hit) bool) {
	hits := make([]search.Hit, 0, len(r.hits))
	for i := range r.hits {
		if h := &r.hits[i]; finite(h.Score) && (keep == nil || keep(h)) {
			hits = append(hits, *h)
		}
	}
	r.dropped += len(r.hits) - len(hits)
	r.hits = hits
	slices.SortFunc(hits, Better)
}

// Hits returns the rows that stayed, in order. Do not modify them.
func (r *Run) Hits() []search.Hit { return r.hits }

// Dropped returns how many rows were dropped, by the shard or by [Run.Check].
func (r *Run) Dropped() int { return r.dropped }

// Unsorted reports whether the scores were out of order. Equal scores may come in any order: engines
// rarely break ties by id.
func (r *Run) Unsorted() bool { return r.unsorted }
