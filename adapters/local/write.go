package local

import (
	"context"
	"slices"

	"github.com/lanewise/lanewise/search"
)

// largestGroup bounds the points of one transaction, so that a small write does
// not wait for the sum of everybody's large ones.
const largestGroup = 16384

// request is a batch that waits for its transaction.
type request struct {
	batch search.Batch
	out   search.Written
	err   error
	done  chan struct{} // closed when out and err stand
}

// Write applies the batch as a whole, or not at all, and returns when it is on
// disk and searchable. Writes that come while another one is being synced share
// the next transaction, so many concurrent writers cost few syncs.
//
// A point or tombstone that is older than what is stored is left out and
// reported in Written.Newer; one of the same version replaces it. Errors:
// fault.Invalid for a point that does not fit, fault.NotFound for a collection
// that is not there, fault.Conflict for a different Create or an epoch below one
// seen before, fault.Unavailable for the file. When ctx ends first the write may
// still happen.
func (s *Store) Write(ctx context.Context, b search.Batch) (search.Written, error) {
	if ctx.Err() != nil {
		return search.Written{}, context.Cause(ctx)
	}
	r := &request{batch: b, done: make(chan struct{})}
	s.enqueue(r)
	select {
	case s.turn <- struct{}{}:
		s.commitQueue(r)
		<-s.turn
	case <-r.done:
	case <-ctx.Done():
		s.withdraw(r)
		return search.Written{}, context.Cause(ctx)
	}
	return r.out, r.err
}

func (s *Store) enqueue(r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, r)
}

// withdraw takes a request back that nobody has begun with.
func (s *Store) withdraw(r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.queue, r); i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
	}
}

// commitQueue commits groups of requests until r is among them.
func (s *Store) commitQueue(r *request) {
	for {
		select {
		case <-r.done:
			return
		default:
			s.commit(s.nextGroup())
		}
	}
}

// nextGroup takes requests off the queue, oldest first, for one transaction.
func (s *Store) nextGroup() []*request {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, points := 0, 0
	for n < len(s.queue) && (n == 0 || points < largestGroup) {
		points += len(s.queue[n].batch.Upserts) + len(s.queue[n].batch.Deletes)
		n++
	}
	group := slices.Clone(s.queue[:n])
	s.queue = slices.Delete(s.queue, 0, n)
	return group
}

// commit applies a group in one transaction and publishes the new snapshot. The
// caller holds the turn.
func (s *Store) commit(group []*request) {
	next, err := s.transact(group)
	if err == nil && next != nil {
		s.keeper.retire(s.state.Swap(next))
	}
	for _, r := range group {
		if r.err == nil {
			r.err = err
		}
		if r.err != nil {
			r.out = search.Written{}
		}
		close(r.done)
	}
}

// transact returns the snapshot after the group, or nil if nothing changed.
func (s *Store) transact(group []*request) (next *state, err error) {
	if s.broken != nil {
		return nil, s.broken
	}
	var e *edit
	err = s.guard("write", func() error {
		tx, err := s.db.Begin(true)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // has no effect after a commit
		e = newEdit(s.state.Load(), &s.keeper, tx)
		e.fields, e.limit = s.cfg.Index, s.cfg.MemoryLimit
		for _, r := range group {
			r.out, r.err = e.apply(&r.batch)
			if e.failed != nil {
				return e.failed
			}
		}
		next, err = e.finish()
		if err != nil || next == nil {
			return err
		}
		return tx.Commit()
	})
	if err != nil {
		s.broken = s.doubt()
		return nil, err
	}
	if next != nil {
		s.keeper.adopt(e)
	}
	return next, nil
}
