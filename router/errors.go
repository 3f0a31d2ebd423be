package router

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// ShardError is one shard's failure, with the reason that the report gives.
type ShardError struct {
	Shard  string
	Reason search.Reason
	Err    error
}

// Error names the shard and the cause.
func (e *ShardError) Error() string { return "shard " + e.Shard + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *ShardError) Unwrap() error { return e.Err }

// PartialError is returned beside an answer in which shards are missing and
// that the query did not allow to be partial. It matches fault.Partial.
type PartialError struct {
	Report search.Report
	Shards []*ShardError
}

// Error names every missing shard and why it is missing.
func (e *PartialError) Error() string {
	texts := make([]string, len(e.Shards))
	for i, s := range e.Shards {
		texts[i] = s.Error()
	}
	return fmt.Sprintf("%d of %d shards are missing: %s",
		len(e.Shards), e.Report.ShardsAsked, strings.Join(texts, "; "))
}

// Is reports whether target is fault.Partial.
func (e *PartialError) Is(target error) bool { return target == fault.Partial }

// Unwrap returns the errors of the missing shards.
func (e *PartialError) Unwrap() []error {
	errs := make([]error, len(e.Shards))
	for i, s := range e.Shards {
		errs[i] = s
	}
	return errs
}

// WriteError is a write that not every replica acknowledged. Repeating the
// write is safe. It matches fault.Unavailable.
type WriteError struct {
	// Points names, for each point that is not acknowledged, the replicas that
	// have it durably, as "shard/replica".
	Points map[string][]string
	Errs   []error // what the other replicas said
}

// Error tells how many points are affected and gives the replicas' errors.
func (e *WriteError) Error() string {
	return fmt.Sprintf("%d points are not on every replica; repeat the write: %v", len(e.Points), errors.Join(e.Errs...))
}

// Is reports whether target is fault.Unavailable.
func (e *WriteError) Is(target error) bool { return target == fault.Unavailable }

// IDs returns the ids of the points that are not acknowledged, sorted.
func (e *WriteError) IDs() []string { return slices.Sorted(maps.Keys(e.Points)) }

// reason sorts a shard's error into the report's words.
func reason(err error) search.Reason {
	var mismatch *mismatchError
	switch {
	case errors.As(err, &mismatch):
		return search.Mismatch
	case errors.Is(err, context.DeadlineExceeded):
		return search.TimedOut
	case errors.Is(err, fault.Invalid), errors.Is(err, fault.Conflict):
		return search.Mismatch
	case errors.Is(err, fault.Overloaded):
		return search.Shed
	default:
		return search.Failed
	}
}
