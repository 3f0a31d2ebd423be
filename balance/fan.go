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
	left      atomic.Int64  // calls that are not over
	landed    chan *attempt // for the loop; nil: it should look who is due, or the last call is over
	timer     *time.Timer   // for the first of the races that are due; nil: none yet
	rung      atomic.Bool   // the timer has fired
}

// pilot knows what the fan does not: the types of targets and answers.
type pilot interface {
	launch(a *attempt)        // on a goroutine of its own, which lands it
	finish(at int, err error) // a call is over without an answer
}

// begin prepares a fan for calls, of which the pools have so many members in all.
func (f *fan) begin(ctx context.Context, p pilot, members int) {
	f.ctx, f.pilot = ctx, p
	f.deadline, _ = ctx.Deadline()
	f.traces, _ = ctx.Value(traceKey{}).(*traces)
	f.allowance, _ = ctx.Value(allowanceKey{}).(*atomic.Int64)
	f.landed = make(chan *attempt, members+len(f.races)+3) // room for every attempt and turn, the end, and twice the timer
	f.left.Store(int64(len(f.races)))
}

// run makes the calls and returns when all are over.
func (f *fan) run() {
	for i := range f.races {
		f.start(&f.races[i])
	}
	f.wind()
	for done := f.ctx.Done(); f.left.Load() > 0; {
		select {
		case a := <-f.landed:
			f.hear(a)
		case <-done: // on time, even if an upstream ignores it
			done = nil
			for i := range f.races {
				f.fail(&f.races[i], context.Cause(f.ctx))
			}
		}
	}
	if f.timer != nil {
		f.timer.Stop()
	}
	for len(f.landed) > 0 { // winners whose losers are still to be cancelled
		f.hear(<-f.landed)
	}
}

// start makes the first attempt of a call, or has it wait until a member may be ready.
func (f *fan) start(r *race) {
	if r.call.Extra && !spend(f.allowance) {
		f.fail(r, errSpent)
		return
	}
	if a := r.next(First); a != nil {
		f.pilot.launch(a)
		return
	}
	if err := r.wait(); err != nil {
		f.fail(r, err)
	}
}

// extra makes another attempt of a call, if the budgets allow it.
func (f *fan) extra(r *race, why Reason) {
	if !r.share() {
		return
	}
	if a := r.next(why); a != nil {
		f.pilot.launch(a)
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
		r.leave(false)
		r.cancel(nil, errEnded)
		f.pilot.finish(r.at, err)
		f.left.Add(-1)
	}
}

// tick serves the races that are due, and those whose turn in line has come.
func (f *fan) tick() {
	now, rung := time.Now(), f.rung.Swap(false)
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
	switch {
	case first == nil:
	case f.timer == nil:
		f.timer = time.AfterFunc(time.Until(first.due), f.ring)
	default:
		f.timer.Reset(time.Until(first.due))
	}
}

// ring tells the loop that somebody is due: behind the attempts that have landed
// by now, since who has landed needs no hedge.
func (f *fan) ring() {
	f.rung.Store(true)
	f.landed <- nil
}

// report tells the loop what it has to know of an attempt that has landed.
func (f *fan) report(a *attempt, won, alone bool) {
	if !won || !alone {
		f.landed <- a
	}
	if won && f.left.Add(-1) == 0 {
		f.landed <- nil
	}
}
