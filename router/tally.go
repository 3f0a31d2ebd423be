package router

import (
	"errors"
	"fmt"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// tally collects what the replicas say to the parts of one write.
type tally struct {
	newer search.Version
	lag   time.Duration
	have  map[string][]string // id → replicas that have it
	short map[string]bool     // ids that some replica does not have
	errs  []error
}

func newTally() *tally {
	return &tally{have: map[string][]string{}, short: map[string]bool{}}
}

func (y *tally) add(j job, w search.Written, err error) {
	if err != nil {
		y.errs = append(y.errs, fmt.Errorf("replica %s: %w", j.name, err))
	}
	y.newer, y.lag = max(y.newer, w.Newer), max(y.lag, w.Lag)
	for id := range ids(j.part) {
		if err != nil {
			y.short[id] = true
		} else {
			y.have[id] = append(y.have[id], j.name)
		}
	}
}

// ids yields the id of every write of a batch.
func ids(b search.Batch) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, p := range b.Upserts {
			if !yield(p.ID) {
				return
			}
		}
		for _, d := range b.Deletes {
			if !yield(d.ID) {
				return
			}
		}
	}
}

// result is the sum of a write that every replica has, else an error. A refusal
// that would meet every repetition, such as a bad epoch, is returned as it is.
func (y *tally) result() (search.Written, error) {
	if len(y.errs) == 0 {
		return search.Written{Newer: y.newer, Lag: y.lag}, nil
	}
	for _, err := range y.errs {
		if c := fault.Of(err); c == fault.Invalid || c == fault.Conflict || c == fault.NotFound {
			return search.Written{}, errors.Join(y.errs...)
		}
	}
	e := &WriteError{Points: map[string][]string{}, Errs: y.errs}
	for id := range y.short {
		e.Points[id] = y.have[id]
	}
	return search.Written{}, e
}
