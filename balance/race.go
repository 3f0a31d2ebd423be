package balance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/balance/limit"
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
	// Prefer names the member to try first, if it may be picked: one that has
	// answered a part of the question already.
	Prefer string
	// NoHedge forbids extra attempts for slowness. Failover stays.
	NoHedge bool
	// Seated is set for a call that has a seat (Pool.Seat), and gives it up.
	Seated bool
}

// race is the planner of one call: it alone decides which attempts are made.
// Only its call's goroutine uses it, except for the atomic field.
type race struct {
	ctx       context.Context //nolint:containedctx // lives as long as the call
	core      *core
	call      Call
	class     *class
	set       *members
	view      View
	traces    *traces
	allowance *atomic.Int64
	decided   atomic.Bool // an attempt has won, or the caller has left

	timer   *time.Timer // rings when the call is slow; nil: no hedging
	ring    func()
	delay   time.Duration // of a hedge, by the lane's latencies
	longest time.Duration // that a hedge may wait
	asked   time.Duration // pool time of the last attempt that is not a failover
	due     time.Duration // pool time at which the timer should fire
	lateBy  atomic.Int64  // ns, that it fired late: this process stood still
	hedges  int
	running int
	claimed claimed       // of the member that was picked last
	place   *limit.Place  // in line; nil: it does not wait
	turn    chan struct{} // holds a token when the call should look for room
	all     []*attempt
	errs    []error

	roomAll   [3]*attempt // of all and tried: three attempts need no allocation
	roomTried [3]int
	first     attempt
}

// begin prepares a call of p. The caller must end it.
func (c *core) begin(ctx context.Context, call Call, set *members) *race {
	call.Cost = max(call.Cost, 1)
	r := &race{ctx: ctx, core: c, call: call, class: c.lane.class(call.Class), set: set, traces: c.traces}
	if outer, ok := ctx.Value(traceKey{}).(*traces); ok {
		r.traces = outer.with(c.traces)
	}
	r.allowance, _ = ctx.Value(allowanceKey{}).(*atomic.Int64)
	r.all = r.roomAll[:0]
	r.view = View{
		entries: set.entries, class: r.class.id, mean: c.mean(call.Cost), tried: r.roomTried[:0],
		slowStart: c.config.Health.SlowStart, cost: call.Cost, bound: c.config.Bound,
	}
	if call.Affinity != "" {
		r.view.key = hash(call.Affinity)
	}
	c.calls.Add(1)
	c.earn()
	return r
}

// next starts the lease of another attempt, or returns nil where no member is
// left or a budget is spent.
func (r *race) next(why Reason) *attempt {
	if r.yields(why) || why != First && !r.afford(why) {
		return nil
	}
	if !r.core.tasks.enter() {
		r.errs = append(r.errs, fault.New(fault.Unavailable, "pool %q is closed", r.core.name))
		return nil
	}
	at := r.pick(why)
	if at < 0 {
		r.core.tasks.leave()
		r.giveBack(why)
		return nil
	}
	r.leave(true)
	return r.launch(at, why)
}

// pick chooses a member, claims it if it has to prove itself, and marks it as
// tried. It returns -1 where there is none.
func (r *race) pick(why Reason) int {
	at := r.pickOpen(why)
	if at < 0 && why == Failover {
		at = r.lastResort()
	}
	return at
}

// pickOpen chooses among the open members.
func (r *race) pickOpen(why Reason) int {
	v := &r.view
	v.now, v.turn = r.core.now(), r.core.turn.Add(1)
	if r.core.seed != 0 {
		v.seed = mix(r.core.seed + v.turn*golden)
	}
	for range v.Len() { // again only when another call has claimed the member
		v.tier = r.set.tier(v, why)
		at := r.choose()
		if at < 0 || at >= v.Len() {
			return -1
		}
		if c, ok := v.entries[at].claim(v.need(), v.now); ok {
			r.claimed = c
			v.tried = append(v.tried, at)
			return at
		}
	}
	return -1
}

// choose applies the call's wishes, or else the pool's picker.
func (r *race) choose() int {
	v := &r.view
	if r.call.Prefer != "" && len(v.tried) == 0 {
		at := slices.IndexFunc(v.entries, func(e entry) bool { return e.name == r.call.Prefer })
		if at >= 0 && v.Open(at) {
			return at
		}
	}
	if v.key != 0 {
		return v.affine()
	}
	return r.core.picker.Pick(v)
}

// launch makes the attempt at position at: it takes the lease and a context.
func (r *race) launch(at int, why Reason) *attempt {
	a := &r.first
	if len(r.all) > 0 {
		a = new(attempt)
	}
	a.race, a.at, a.entry, a.reason, a.claimed = r, at, &r.view.entries[at], why, r.claimed
	a.start, a.began = r.view.now, r.core.born.Add(r.view.now)
	a.Context, a.cancel = context.WithCancelCause(r.ctx)
	a.take(r.call.Cost)
	switch why {
	case First:
		r.arm()
	case Hedge:
		r.hedges++
		r.core.hedged.Add(1)
	case Failover:
		r.core.failed.Add(1)
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
	if r.allTried() || !spend(r.allowance) {
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

// decide reports whether the caller is the first to end the race.
func (r *race) decide() bool { return r.decided.CompareAndSwap(false, true) }

// end cancels every attempt but a winner that stays open, which may be nil. err
// is what the call returns.
func (r *race) end(winner *attempt, err error) {
	if r.timer != nil {
		r.timer.Stop()
	}
	r.leave(false)
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

// wait returns when a member may be ready for the first attempt, or an error at
// once where none will be before the deadline.
func (r *race) wait() error {
	if len(r.errs) > 0 || r.view.Len() == 0 {
		return r.failure()
	}
	if r.mustQueue() {
		return r.await()
	}
	wait := r.core.untilReady(r.view.entries, r.call.Cost)
	if deadline, ok := r.ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return r.core.nobody(r.view.entries, r.call.Cost, wait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

// await waits in line until there may be room.
func (r *race) await() error {
	if r.turn == nil {
		r.turn = make(chan struct{}, 1)
	}
	if err := r.queue(func() { r.turn <- struct{}{} }); err != nil {
		return err
	}
	select {
	case <-r.turn:
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
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
		return r.core.nobody(r.view.entries, r.call.Cost, 0)
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
