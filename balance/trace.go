package balance

import (
	"context"
	"sync/atomic"
	"time"
)

// Reason is why an attempt was made.
type Reason string

// The reasons.
const (
	First    Reason = "first"    // the call's own attempt
	Hedge    Reason = "hedge"    // an earlier one is slow
	Failover Reason = "failover" // an earlier one failed
)

// Attempt describes one attempt of a call for a [Trace].
type Attempt struct {
	Lane, Pool, Member string
	Reason             Reason
	Start              time.Time
	Took               time.Duration // when it ended; 0 in Started
	Cost               int64         // load that it puts on the member: as estimated, and when it ended as far as known
	Won                bool          // its answer was the call's
	Err                error         // of the attempt; nil in Started
}

// Trace is a set of optional callbacks. They run on the goroutines of the
// calls, so they must be quick and safe for concurrent use. Ended of an attempt
// that lost comes when the attempt has really returned, which may be after the
// call has.
type Trace struct {
	Started, Ended func(Attempt)
	// Enter returns the context in which an attempt is made, derived from that of its call, and
	// what is to be told of its end (nil: nothing). It comes after Started and before Ended.
	Enter func(context.Context, Attempt) (context.Context, func(Attempt))
}

type (
	traceKey     struct{}
	allowanceKey struct{}
)

// traces is a list of hooks that apply to the calls of a context, the innermost
// first. A nil list is empty.
type traces struct {
	*Trace
	outer *traces
}

// WithTrace returns a context whose calls report to t too, besides the traces
// that ctx and the pools have already.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	if t == nil {
		return ctx
	}
	outer, _ := ctx.Value(traceKey{}).(*traces)
	return context.WithValue(ctx, traceKey{}, &traces{Trace: t, outer: outer})
}

// wait reports whether anybody wants to hear of the ends of attempts.
func (t *traces) wait() bool {
	return t != nil && (t.Ended != nil || t.outer.wait())
}

// enter lets the hooks into an attempt's context, and tells them of it as they want.
func (t *traces) enter(a *attempt, d Attempt) {
	for ; t != nil; t = t.outer {
		if t.Enter == nil {
			continue
		}
		ctx, left := t.Enter(a.parent, d)
		a.parent = ctx
		if left != nil {
			a.left = append(a.left, left)
		}
	}
}

func (t *traces) started(a Attempt) {
	for ; t != nil; t = t.outer {
		if t.Started != nil {
			t.Started(a)
		}
	}
}

func (t *traces) ended(a Attempt) {
	for ; t != nil; t = t.outer {
		if t.Ended != nil {
			t.Ended(a)
		}
	}
}

// WithAllowance returns a context whose calls may make extra attempts (hedges
// and failovers) together, over all lanes. An allowance that ctx has already
// stays in force: a request has one.
func WithAllowance(ctx context.Context, extra int) context.Context {
	if ctx.Value(allowanceKey{}) != nil {
		return ctx
	}
	left := new(atomic.Int64)
	left.Store(int64(extra))
	return context.WithValue(ctx, allowanceKey{}, left)
}

// spend takes one extra attempt from an allowance. A nil allowance has no end.
func spend(left *atomic.Int64) bool {
	if left == nil {
		return true
	}
	if left.Add(-1) >= 0 {
		return true
	}
	left.Add(1)
	return false
}
