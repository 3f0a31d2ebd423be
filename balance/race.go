package balance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// Call says what kind of call is made.
type Call struct {
	// Class of the call, such as "k<=10": latencies are compared within one
	// only. A lane tells 64 classes apart.
	Class string
	// Cost is the load that the call puts on a member: 1 where calls are
	// counted, tokens where those are. Default 1.
	Cost int64
	// Affinity sends calls of the same value to the same member, as long as that has room.
	Affinity string
	// NoHedge forbids extra attempts for slowness. Failover stays.
	NoHedge bool
}

// race is the planner of one call: it alone decides which attempts are made.
// Only its call's goroutine uses it, except for the atomic field.
type race struct {
	ctx       context.Context //nolint:containedctx // lives as long as the call
	core      *core
	call      Call
	class     *class
	view      View
	traces    *traces
	allowance *atomic.Int64
	decided   atomic.Bool // an attempt has won, or the caller has left

	timer   *time.Timer // nil: no hedging
	delay   time.Duration
	hedges  int
	running int
	all     []*attempt
	errs    []error

	roomAll   [3]*attempt // of all and tried: three attempts need no allocation
	roomTried [3]int
	first     attempt
}

// begin prepares a call of p. The caller must end it.
func (c *core) begin(ctx context.Context, call Call, entries []entry) *race {
	call.Cost = max(call.Cost, 1)
	r := &race{ctx: ctx, core: c, call: call, class: c.lane.class(call.Class), traces: c.traces}
	if outer, ok := ctx.Value(traceKey{}).(*traces); ok {
		r.traces = outer.with(c.traces)
	}
	r.allowance, _ = ctx.Value(allowanceKey{}).(*atomic.Int64)
	r.all = r.roomAll[:0]
	r.view = View{entries: entries, class: r.class.id, mean: c.mean(call.Cost), tried: r.roomTried[:0]}
	c.earn()
	if c.lane.hedging() && !call.NoHedge && len(entries) > 1 {
		r.delay = r.clamp(r.class.hedgeDelay())
		r.timer = time.NewTimer(r.delay)
	}
	return r
}

// minDelay is the shortest hedge delay: below it the timer's own noise decides.
const minDelay = time.Millisecond

// clamp keeps the hedge delay between minDelay and a quarter of the time left.
func (r *race) clamp(delay time.Duration) time.Duration {
	if deadline, ok := r.ctx.Deadline(); ok {
		delay = min(delay, time.Until(deadline)/4)
	}
	return max(delay, minDelay)
}

// next starts the lease of another attempt, or returns nil where no member is
// left or a budget is spent.
func (r *race) next(why Reason) *attempt {
	if why != First && !r.afford(why) {
		return nil
	}
	if !r.core.tasks.enter() {
		r.errs = append(r.errs, fault.New(fault.Unavailable, "pool %q is closed", r.core.name))
		return nil
	}
	r.view.now = r.core.now()
	r.view.turn = r.core.turn.Add(1)
	at := r.core.picker.Pick(&r.view)
	if at < 0 {
		r.core.tasks.leave()
		r.giveBack(why)
		return nil
	}
	r.view.tried = append(r.view.tried, at)
	return r.launch(at, why)
}

// launch makes the attempt at position at: it takes the lease and a context.
func (r *race) launch(at int, why Reason) *attempt {
	a := &r.first
	if len(r.all) > 0 {
		a = new(attempt)
	}
	a.race, a.at, a.entry, a.reason = r, at, &r.view.entries[at], why
	a.start, a.began = r.view.now, r.core.born.Add(r.view.now)
	a.Context, a.cancel = context.WithCancelCause(r.ctx)
	a.take(r.call.Cost)
	if why == Hedge {
		r.hedges++
	}
	r.all = append(r.all, a)
	r.running++
	if r.traces != nil {
		r.traces.started(a.describe())
	}
	return a
}

// afford pays for an extra attempt from every budget that bounds it, or from none.
func (r *race) afford(why Reason) bool {
	if len(r.view.tried) >= r.view.Len() || !spend(r.allowance) {
		return false
	}
	if r.core.afford(why) {
		return true
	}
	if r.allowance != nil {
		r.allowance.Add(1)
	}
	return false
}

// giveBack returns what afford took for an attempt that was not made.
func (r *race) giveBack(why Reason) {
	if why == First {
		return
	}
	if r.allowance != nil {
		r.allowance.Add(1)
	}
	r.core.refund(why)
}

// hedgeDue returns the channel that tells when the call is slow; nil, which
// never does, without hedging.
func (r *race) hedgeDue() <-chan time.Time {
	if r.timer == nil {
		return nil
	}
	return r.timer.C
}

// hedge decides whether the call that is slow gets another attempt now, and
// arms the timer for the next one.
func (r *race) hedge() bool {
	if r.hedges >= r.core.lane.config.Hedges {
		r.timer = nil
		return false
	}
	if deadline, ok := r.ctx.Deadline(); ok && time.Until(deadline) < time.Duration(r.class.median.Load()) {
		r.timer = nil // too late for an answer
		return false
	}
	r.timer.Reset(r.delay)
	return true
}

// decide reports whether the caller is the first to end the race.
func (r *race) decide() bool { return r.decided.CompareAndSwap(false, true) }

// end cancels every attempt but a winner that stays open, which may be nil. err
// is what the call returns.
func (r *race) end(winner *attempt, err error) {
	if r.timer != nil {
		r.timer.Stop()
	}
	cause := errEnded
	if err == nil {
		cause = errLost
	}
	for _, a := range r.all {
		if a != winner {
			a.cancel(cause)
		}
	}
}

// failed records the error of an attempt and reports whether another member may
// do better.
func (r *race) failed(a *attempt, err error) (again bool) {
	r.running--
	again = fault.Elsewhere(err)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		// Not the caller's time is up, but the attempt's own.
		err, again = fault.New(fault.Unavailable, "timed out by itself: %v", err), true
	}
	r.errs = append(r.errs, fmt.Errorf("%s/%s: %w", r.core.name, a.entry.name, err))
	return again
}

// failure returns the errors of all attempts as one. It is never nil.
func (r *race) failure() error {
	switch len(r.errs) {
	case 0:
		return r.core.nobody(r.view.entries)
	case 1:
		return r.errs[0]
	default:
		return failures(r.errs)
	}
}

// failures is what became of every attempt of a call that failed.
type failures []error

// Error lists the errors in the order in which they came.
func (f failures) Error() string {
	texts := make([]string, len(f))
	for i, err := range f {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the errors.
func (f failures) Unwrap() []error { return f }
