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
	// Tenant on whose behalf it is made: it takes places from the others where calls wait
	// for a pool's first member.
	Tenant string
	// NoHedge forbids extra attempts for slowness. Failover stays.
	NoHedge bool
	// Extra says that the call is itself an extra attempt of its request: an allowance pays for it.
	Extra bool
	// NoWait has the call fail at once where all members are out of use or have used up their quotas: there is
	// another pool to ask. It waits in line all the same.
	NoWait bool
	// Seated is set for a call that has a seat (Pool.Seat), and gives it up.
	Seated bool
}

// race is one call of a fan: it knows which attempts were made and which may be.
// Only the fan's loop uses it, except for the atomic fields.
type race struct {
	fan   *fan
	at    int // position in the fan
	core  *core
	call  *Call
	class *class
	set   *members
	view  View
	phase atomic.Int32

	due     time.Time     // for a hedge, or for the first attempt where nobody was ready; zero: never
	asked   time.Time     // when the first attempt was made
	delay   time.Duration // of a hedge, by the lane's latencies
	longest time.Duration // that a hedge may wait
	lateBy  atomic.Int64  // ns, that the timer fired late: this process stood still
	hedges  int
	running int
	claimed claimed      // of the member that was picked last
	place   *limit.Place // in line; nil: it does not wait
	turn    atomic.Bool  // it should look for room
	seated  bool
	all     []*attempt
	errs    []error

	roomAll   [3]*attempt // of all and tried: three attempts need no allocation
	roomTried [3]int
}

// Phases of a race.
const (
	solo    int32 = iota // at most one attempt was made
	shared               // more may have been made
	settled              // an attempt has won, or the call has failed
)

// begin makes r the call of p at a position of f.
func (r *race) begin(f *fan, at int, p *core, set *members) {
	cost := max(r.call.Cost, 1)
	r.fan, r.at, r.core, r.set, r.class = f, at, p, set, p.lane.class(r.call.Class)
	r.seated = r.call.Seated
	r.all = r.roomAll[:0]
	r.view = View{
		entries: set.entries, class: r.class.id, mean: p.mean(cost), tried: r.roomTried[:0],
		slowStart: p.config.Health.SlowStart, cost: cost, bound: p.config.Bound,
	}
	if r.call.Affinity != "" {
		r.view.key = hash(r.call.Affinity)
	}
	p.calls.Add(1)
	p.earn()
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
	r.view.now = r.core.now()
	if !r.yields(why) {
		if at := r.pickOpen(why); at >= 0 {
			return at
		}
	}
	return r.lastResort(why)
}

// pickOpen chooses among the open members.
func (r *race) pickOpen(why Reason) int {
	v := &r.view
	v.turn = r.core.turn.Add(1)
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
	a := r.fan.attempt()
	a.race, a.at, a.entry, a.reason, a.claimed = r, at, &r.view.entries[at], why, r.claimed
	a.start, a.parent = r.view.now, r.fan.ctx
	a.take(r.view.cost)
	switch why {
	case First:
		r.arm(a.entry)
	case Hedge:
		r.hedges++
		r.core.hedged.Add(1)
	case Failover:
		r.core.failed.Add(1)
	}
	r.all = append(r.all, a)
	r.running++
	if r.traced() {
		d := a.describe()
		r.core.traces.started(d)
		r.fan.traces.started(d)
		r.core.traces.enter(a, d)
		r.fan.traces.enter(a, d)
	}
	return a
}

// traced reports whether anybody wants to hear of the attempts.
func (r *race) traced() bool { return r.core.traces != nil || r.fan.traces != nil }

// afford pays for an extra attempt from every budget that bounds it, or from none.
func (r *race) afford(why Reason) bool {
	if r.allTried() || !spend(r.fan.allowance) {
		return false
	}
	if r.core.afford(why) {
		return true
	}
	if r.fan.allowance != nil {
		r.fan.allowance.Add(1)
	}
	return false
}

// giveBack returns what afford took for an attempt that was not made.
func (r *race) giveBack(why Reason) {
	if why == First {
		return
	}
	if r.fan.allowance != nil {
		r.fan.allowance.Add(1)
	}
	r.core.refund(why)
}

// decide settles the race and reports whether the caller is the first to do so,
// and whether there was never more than one attempt.
func (r *race) decide() (first, alone bool) {
	before := r.phase.Swap(settled)
	return before != settled, before == solo
}

// share announces that there may be another attempt, so that a winner tells the
// loop, which cancels the others. It reports whether the race still goes on.
func (r *race) share() bool { return r.phase.CompareAndSwap(solo, shared) || !r.over() }

// over reports whether the race is settled.
func (r *race) over() bool { return r.phase.Load() == settled }

// pending reports whether something is due some time.
func (r *race) pending() bool { return !r.due.IsZero() && !r.over() }

// cancel cancels every attempt but one, which may be nil.
func (r *race) cancel(but *attempt, why error) {
	for _, a := range r.all {
		if a != but {
			a.cancel(why)
		}
	}
}

// wait has the race look again when a member may be ready for the first attempt,
// or returns an error at once where none will be before the deadline.
func (r *race) wait() error {
	if len(r.errs) > 0 || r.view.Len() == 0 {
		return r.failure()
	}
	if r.mustQueue() {
		r.due = time.Time{}
		return r.queue(r.look)
	}
	wait, now := r.core.untilReady(r.view.entries, r.view.cost), time.Now()
	if d := r.fan.deadline; r.call.NoWait || !d.IsZero() && d.Sub(now) <= wait {
		return r.core.nobody(r.view.entries, r.view.cost, wait)
	}
	r.due = now.Add(wait)
	return nil
}

// look has the loop look for room, now that the call's turn has come.
func (r *race) look() {
	r.turn.Store(true)
	r.fan.bell.landed <- nil
}

// failed records the error of an attempt and reports whether another member may
// do better.
func (r *race) failed(a *attempt) (again bool) {
	r.running--
	err := a.err
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
		return r.core.nobody(r.view.entries, r.view.cost, 0)
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
