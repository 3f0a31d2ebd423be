package balance

import (
	"context"
	"sync"
	"time"
)

// scope is the context of an attempt. It ends with its parent, the call's
// context, or when the attempt is cancelled. What package context needs for that
// (a place among the parent's children, a channel) is made when somebody first
// waits for the end or derives a context: made for every attempt, it is a
// quarter of what an attempt costs that answers at once.
type scope struct {
	parent context.Context //nolint:containedctx // it is a context

	mu     sync.Mutex
	inner  context.Context //nolint:containedctx // nil: nobody has waited yet
	end    context.CancelCauseFunc
	reason error // why it was cancelled while there was no inner one
}

// Deadline returns the call's deadline.
func (s *scope) Deadline() (time.Time, bool) { return s.parent.Deadline() }

// Done returns a channel that is closed when the attempt's time is over.
func (s *scope) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open().Done()
}

// Err returns nil while the attempt has time.
func (s *scope) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.inner != nil:
		return s.inner.Err()
	case s.reason != nil:
		return context.Canceled
	}
	return s.parent.Err()
}

// Value returns what the call's context has. Package context finds by a key of
// its own where to hang a derived context, and why one has ended: that is the
// inner context's to answer.
func (s *scope) Value(key any) any {
	s.mu.Lock()
	ctx := s.parent
	if s.inner != nil || s.reason != nil {
		ctx = s.open()
	}
	s.mu.Unlock()
	return ctx.Value(key)
}

// open returns the inner context, which has ended if the scope has. The caller
// holds mu.
func (s *scope) open() context.Context {
	if s.inner == nil {
		s.inner, s.end = context.WithCancelCause(s.parent)
		if s.reason != nil {
			s.end(s.reason)
		}
	}
	return s.inner
}

// cancel ends the scope, unless it has ended already.
func (s *scope) cancel(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.inner != nil:
		s.end(why)
	case s.reason == nil && s.parent.Err() == nil:
		s.reason = why
	}
}

// cause returns why the scope has ended: nil while it has not.
func (s *scope) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.inner != nil:
		return context.Cause(s.inner)
	case s.reason != nil:
		return s.reason
	}
	return context.Cause(s.parent)
}
