package balance

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// Why contexts of attempts end, for those who ask context.Cause.
var (
	errLost  = fmt.Errorf("another attempt answered first: %w", context.Canceled)
	errEnded = fmt.Errorf("the call is over: %w", context.Canceled)
)

// ended marks the cost of a lease that was given back.
const ended = -1

// attempt is one call of f on one member: a lease, a context and an outcome. It
// is the context that f gets, so that Settle finds it.
type attempt struct {
	scope

	race   *race
	at     int // position in the set
	entry  *entry
	reason Reason
	start  time.Duration // pool time
	cost   atomic.Int64  // held; ended once it was given back
	judged atomic.Bool
	sample sample
	won    bool  // of an attempt that has returned
	err    error // of an attempt that has returned
	left   []func(Attempt)
	claimed
}

type attemptKey struct{}

// Value returns the attempt itself for Settle, else what the caller's context has.
func (a *attempt) Value(key any) any {
	if key == (attemptKey{}) {
		return a
	}
	return a.scope.Value(key)
}

// Settle replaces the estimated cost of the attempt whose context ctx is by the
// real one, as soon as that is known. Outside of an attempt, or after its end,
// it does nothing.
func Settle(ctx context.Context, cost int64) {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		a.settle(cost)
	}
}

// take puts the attempt's cost on its member, which has been claimed.
func (a *attempt) take(cost int64) {
	a.cost.Store(cost)
	a.entry.load.Add(cost)
}

func (a *attempt) settle(cost int64) {
	cost = max(cost, 0)
	for {
		held := a.cost.Load()
		if held == ended {
			return
		}
		if a.cost.CompareAndSwap(held, cost) {
			a.entry.load.Add(cost - held)
			return
		}
	}
}

// release gives the lease back. Only the first call has an effect.
func (a *attempt) release() {
	if held := a.cost.Swap(ended); held != ended {
		a.entry.load.Add(-held)
		a.entry.inflight.Add(-1)
		if a.reservation != nil {
			a.reservation.Settle(held)
		}
		a.race.core.line.wake()
		a.race.core.spread()
	}
}

// land ends the attempt, whose f has returned err: it judges it once, gives the
// lease back and reports whether it has won, and whether it was the call's only
// one. A winner that stays open keeps its lease, and is judged when it ends.
func (a *attempt) land(err error, open bool) (won, alone bool) {
	end := ending{err: err, at: a.race.core.now()}
	took := end.at - a.start
	end.ran = took - a.race.late()
	if err == nil {
		won, alone = a.race.decide()
	}
	a.won, a.err = won, err
	cost := a.cost.Load()
	a.observe(end)
	a.limit(end)
	switch {
	case won && open && (a.probe || a.resort): // it is back, however long the answer stays open
		a.probe, a.resort = false, false
		a.race.core.readmit(a.entry.member, end.at)
	case !won || !open:
		a.judge(end)
		a.giveBack(err)
	}
	if len(a.left) > 0 || a.race.core.traces.wait() || a.race.fan.traces.wait() {
		d := a.describe()
		d.Took, d.Won, d.Err, d.Cost = took, won, err, max(cost, 0)
		a.tell(d)
	}
	return won, alone
}

// tell has everybody hear of the attempt's end who wants to.
func (a *attempt) tell(d Attempt) {
	a.race.core.traces.ended(d)
	a.race.fan.traces.ended(d)
	for _, left := range a.left {
		left(d)
	}
}

// ending is how an attempt ended.
type ending struct {
	err error
	at  time.Duration // pool time
	ran time.Duration // without the time for which this process stood still
}

// lostFactor times the time that a cancelled attempt had run enters its member's
// latencies: it would have taken longer, and forgetting it would make a slow
// member look idle and fast (algorithms of the design, simulated).
const lostFactor = 3

// observe enters what the attempt says about its member's speed and, if it was
// the call's first, about the lane's. Errors say nothing: failures look fast.
func (a *attempt) observe(e ending) {
	r := a.race
	cut := a.cutOff(e.err)
	if e.err != nil && (!cut || a.deserted()) {
		return
	}
	if a.reason == First {
		r.class.observe(e.ran)
	}
	a.sample = sample{class: r.class.id, took: e.ran, at: e.at}
	if e.err == nil {
		a.sample.cost = a.cost.Load()
	}
	if cut {
		if a.sample.took *= lostFactor; a.sample.took < a.entry.latency.typical(r.class) {
			a.entry.latency.still(r.class, e.at)
			return
		}
	}
	a.entry.latency.observe(&a.sample)
}

// deserted reports whether the attempt was cancelled because its caller has left
// early, which says nothing about its member.
func (a *attempt) deserted() bool {
	why := a.cause()
	return errors.Is(why, context.Canceled) && !errors.Is(why, errLost)
}

// chargeFactor times the hedge delay is how long a cancelled attempt goes on
// counting as load where nobody can see whether it still runs.
const chargeFactor = 5

// giveBack releases the lease: at once where the work has really ended, else
// after a while.
func (a *attempt) giveBack(err error) {
	charge := chargeFactor * a.race.class.hedgeDelay()
	if !a.cutOff(err) || a.entry.aborts || charge <= 0 {
		a.release()
		return
	}
	a.race.core.charge(a, charge)
}

// describe returns the attempt as traces see it.
func (a *attempt) describe() Attempt {
	p := a.race.core
	return Attempt{Lane: p.lane.config.Name, Pool: p.name, Member: a.entry.name, Reason: a.reason, Start: p.born.Add(a.start), Cost: a.race.view.cost}
}

// Panic is the error of an attempt that panicked. Its text leaves out the stack.
type Panic struct {
	Value any
	Stack []byte
}

// Error returns the value of the panic.
func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// errExited is the error of an attempt whose function left its goroutine (runtime.Goexit).
var errExited = fault.New(fault.Unavailable, "the attempt's goroutine exited")

// panicked turns a recovered value into the error of its attempt. Another
// member may do better, so the class is Unavailable.
func panicked(value any) error {
	return fault.Wrap(fault.Unavailable, "attempt", &Panic{Value: value, Stack: debug.Stack()})
}
