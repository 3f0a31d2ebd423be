package balance

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// errSpent is why a call is not made that would be one extra attempt too many. It
// is Unavailable: a request that comes again has an allowance of its own.
var errSpent = fault.New(fault.Unavailable, "the request has used up its extra attempts")

// fan is a number of calls that are made side by side. One loop, on the caller's
// goroutine, plans all of them; each attempt has a goroutine of its own. A
// first attempt that answers ends its call by itself: the loop, which would have
// to be woken for each (0.2 µs of 2), hears of failures, of calls that had
// more than one attempt, and of the end of the last call.
type fan struct {
	ctx       context.Context //nolint:containedctx // lives as long as the calls
	deadline  time.Time       // zero: none
	traces    *traces
	allowance *atomic.Int64
	pilot     pilot
	races     []race
	left      atomic.Int64 // calls that are not over
	bell      *bell
	slab      []attempt // for first attempts; empty: they are made one by one
	plain     bool      // no call had more than one attempt, or failed, or had to wait
	ended     bool      // the last winner has been heard of
}

// pilot knows what the fan does not: the types of targets and answers.
type pilot interface {
	perform(a *attempt)       // on a goroutine of its own, and lands it
	finish(at int, err error) // a call is over without an answer
}

// begin prepares a fan for calls, of which the pools have so many members in all.
func (f *fan) begin(ctx context.Context, p pilot, members int) {
	f.ctx, f.pilot = ctx, p
	f.deadline, _ = ctx.Deadline()
	f.traces, _ = ctx.Value(traceKey{}).(*traces)
	f.allowance, _ = ctx.Value(allowanceKey{}).(*atomic.Int64)
	f.bell = f.bell.room(members + len(f.races) + 1) // every attempt and turn, and the end
	f.plain = true
	f.left.Store(int64(len(f.races)))
}

// run makes the calls and returns when all are over.
func (f *fan) run() {
	for i := range f.races {
		f.start(&f.races[i])
	}
	f.wind()
	for done := f.ctx.Done(); f.left.Load() > 0 || f.plain && !f.ended; {
		select {
		case a := <-f.bell.landed:
			f.hear(a)
		case <-done: // on time, even if an upstream ignores it
			done = nil
			for i := range f.races {
				f.fail(&f.races[i], context.Cause(f.ctx))
			}
		}
	}
	if f.plain { // nobody else sends any more: it may be used again, timer and all
		return
	}
	f.bell.stop()
	for len(f.bell.landed) > 0 { // winners whose losers are still to be cancelled
		f.hear(<-f.bell.landed)
	}
}

// reset empties a fan whose calls were plain.
func (f *fan) reset() {
	f.ctx, f.pilot, f.traces, f.allowance, f.slab = nil, nil, nil, nil, nil
	f.plain, f.ended = false, false
}

// attempt returns a new attempt.
func (f *fan) attempt() *attempt {
	if len(f.slab) == 0 {
		return new(attempt)
	}
	a := &f.slab[0]
	f.slab = f.slab[1:]
	return a
}

// start makes the first attempt of a call, or has it wait until a member may be ready.
func (f *fan) start(r *race) {
	if r.call.Extra && !spend(f.allowance) {
		f.fail(r, errSpent)
		return
	}
	if a := r.next(First); a != nil {
		a.race.core.crew.launch(a)
		return
	}
	f.plain = false
	if err := r.wait(); err != nil {
		f.fail(r, err)
	}
}

// extra makes another attempt of a call, if the budgets allow it.
func (f *fan) extra(r *race, why Reason) {
	if !r.share() {
		return
	}
	f.plain = false
	if a := r.next(why); a != nil {
		a.race.core.crew.launch(a)
	}
}

// hear takes in what was sent to the loop.
func (f *fan) hear(a *attempt) {
	if a == nil {
		f.tick()
		return
	}
	r := a.race
	switch {
	case a.won:
		f.ended = f.left.Load() == 0
		r.cancel(a, errLost)
	case r.over() || over(f.ctx): // it came second, or the time is up
	case !r.failed(a):
		f.fail(r, r.errs[len(r.errs)-1])
	default:
		if f.extra(r, Failover); r.running == 0 {
			f.fail(r, r.failure())
		}
	}
}

// fail ends a call with an error, if it is not over.
func (f *fan) fail(r *race, err error) {
	if first, _ := r.decide(); first {
		f.plain = false
		r.leave(false)
		r.cancel(nil, errEnded)
		f.pilot.finish(r.at, err)
		f.left.Add(-1)
	}
}

// tick serves the races that are due, and those whose turn in line has come.
func (f *fan) tick() {
	now, rung := time.Now(), f.bell.heard()
	for i := range f.races {
		switch r := &f.races[i]; {
		case r.over():
		case r.turn.Swap(false):
			f.start(r)
		case !rung || !r.pending() || now.Before(r.due):
		case r.running == 0:
			f.start(r)
		case r.hedge(now):
			f.extra(r, Hedge)
		}
	}
	f.wind()
}

// wind sets the timer to the first race that will be due, if any.
func (f *fan) wind() {
	var first *race
	for i := range f.races {
		if r := &f.races[i]; r.pending() && (first == nil || r.due.Before(first.due)) {
			first = r
		}
	}
	if first != nil {
		f.bell.set(first.due)
	}
}

// report tells the loop what it has to know of an attempt that has landed.
func (f *fan) report(a *attempt, won, alone bool) {
	if !won || !alone {
		f.bell.landed <- a
	}
	if won && f.left.Add(-1) == 0 {
		f.bell.landed <- a
	}
}
