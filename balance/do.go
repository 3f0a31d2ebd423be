package balance

import (
	"context"
	"io"
	"slices"
	"sync"
)

// Do calls f on one member of p, then on others while it is slow or fails with
// an error that another member may not have (fault.Elsewhere), and returns the
// first answer. Where no other member is left, one that is ejected may get such
// an extra attempt, and is back if it answers. f may run several times at once,
// each time with another target and its own context, which ends when the call
// does; what f returns must not depend on that context any more.
//
// A panic in f is the error of its attempt. When ctx ends, Do returns
// context.Cause(ctx) at once, even if f does not; the pool then waits for f at
// Close. An empty pool is fault.Unavailable, unless it holds calls (Config.Hold).
func Do[T, R any](ctx context.Context, p *Pool[T], c Call, f func(context.Context, T) (R, error)) (R, error) {
	x := spare[single[T, R]](p.core)
	x.f, x.call = f, c
	x.run(ctx, p)
	value, err := x.value, x.err
	if x.plain {
		x.reset()
		p.core.spares.Put(x)
	}
	return value, err
}

// Open is [Do] for answers that stay open: f returns as soon as the answer has
// begun. The winner's context and lease live until it is closed; an answer that
// loses is closed by the pool.
func Open[T any, R io.Closer](ctx context.Context, p *Pool[T], c Call, f func(context.Context, T) (R, error)) (*Won[R], error) {
	x := &single[T, R]{f: f, call: c, dispose: func(r R) { _ = r.Close() }}
	x.run(ctx, p)
	if x.err != nil {
		return nil, x.err
	}
	return &Won[R]{Value: x.value, attempt: x.winner}, nil
}

// Won is an answer that stays open. It must be closed.
type Won[R io.Closer] struct {
	Value R

	attempt *attempt
	once    sync.Once
	err     error
}

// Member returns the name of the member that answered.
func (w *Won[R]) Member() string { return w.attempt.entry.name }

// Done reports how the answer ended: its real cost (0: as estimated) and, if it
// failed after it had begun, the error, by which the member is judged. Without
// Done an answer counts as good when it is closed. Only the first call counts.
func (w *Won[R]) Done(cost int64, err error) {
	if cost > 0 {
		w.attempt.settle(cost)
	}
	w.attempt.judge(ending{err: err, at: w.attempt.race.core.now()})
}

// Close closes the answer, ends its context and gives the lease back. Further
// calls return the error of the first.
func (w *Won[R]) Close() error {
	w.once.Do(func() {
		w.err = w.Value.Close()
		w.attempt.judge(ending{at: w.attempt.race.core.now()})
		w.attempt.cancel(errEnded)
		w.attempt.release()
	})
	return w.err
}

// Part is one of the calls of [Each].
type Part[T any] struct {
	Pool *Pool[T]
	Call Call
}

// Each makes a call for every part, side by side, each as [Do] makes one, and
// returns when all are over. f is told the position of its part. done is told
// the answer or the error of each part, as soon as it is known and before Each
// returns; it may run for several parts at once, and must be quick.
func Each[T, R any](ctx context.Context, parts []Part[T], f func(ctx context.Context, at int, target T) (R, error), done func(at int, value R, err error)) {
	if len(parts) == 0 {
		return
	}
	x := spare[several[T, R]](parts[0].Pool.core)
	x.f, x.done, x.task = f, done, x
	x.races, x.sets = slices.Grow(x.races, len(parts))[:len(parts)], slices.Grow(x.sets, len(parts))[:len(parts)]
	x.slab = make([]attempt, len(parts))
	for i, p := range parts {
		x.sets[i], x.races[i].call = p.Pool.set.Load(), &parts[i].Call
	}
	x.fly(ctx, func(i int) *core { return parts[i].Pool.core })
	if x.plain {
		x.f, x.done = nil, nil
		x.reset()
		parts[0].Pool.core.spares.Put(x)
	}
}

// several is the state of [Each].
type several[T, R any] struct {
	flights[T, R]
	f    func(ctx context.Context, at int, target T) (R, error)
	done func(at int, value R, err error)
}

func (x *several[T, R]) do(a *attempt, target T) (R, error)              { return x.f(a, a.race.at, target) }
func (x *several[T, R]) conclude(at int, _ *attempt, value R, err error) { x.done(at, value, err) }
func (x *several[T, R]) drop(R)                                          {}
func (x *several[T, R]) open() bool                                      { return false }

// single is the state of a call that is made alone, in one piece of memory.
type single[T, R any] struct {
	flights[T, R]
	f       func(context.Context, T) (R, error)
	dispose func(R) // ends an answer; nil: it does not stay open
	call    Call
	value   R
	err     error
	winner  *attempt

	race [1]race
	set  [1]*set[T]
}

// run makes the call.
func (x *single[T, R]) run(ctx context.Context, p *Pool[T]) {
	members, err := p.held(ctx, &x.call)
	if err != nil {
		if x.call.Seated {
			p.Unseat()
		}
		x.err = err
		return
	}
	x.task = x
	x.race[0].call, x.set[0] = &x.call, members
	x.races, x.sets = x.race[:], x.set[:]
	x.fly(ctx, func(int) *core { return p.core })
}

// reset empties x for another call.
func (x *single[T, R]) reset() {
	var none R
	x.f, x.call, x.value, x.err, x.winner = nil, Call{}, none, nil, nil
	x.flights.reset()
}

func (x *single[T, R]) do(a *attempt, target T) (R, error) { return x.f(a, target) }
func (x *single[T, R]) conclude(_ int, a *attempt, value R, err error) {
	x.winner, x.value, x.err = a, value, err
}
func (x *single[T, R]) drop(value R) { x.dispose(value) }
func (x *single[T, R]) open() bool   { return x.dispose != nil }
