package balance

import (
	"context"
	"io"
	"sync"
)

// Do calls f on one member of p, then on others while it is slow or fails with
// an error that another member may not have (fault.Elsewhere), and returns the
// first answer. f may run several times at once, each time with another target
// and its own context, which ends when the call does; what f returns must not
// depend on that context any more.
//
// A panic in f is the error of its attempt. When ctx ends, Do returns
// context.Cause(ctx) at once, even if f does not; the pool then waits for f at
// Close. An empty pool is fault.Unavailable.
func Do[T, R any](ctx context.Context, p *Pool[T], c Call, f func(context.Context, T) (R, error)) (R, error) {
	_, value, err := run(ctx, p, c, task[T, R]{f: f})
	return value, err
}

// Open is [Do] for answers that stay open: f returns as soon as the answer has
// begun. The winner's context and lease live until it is closed; an answer that
// loses is closed by the pool.
func Open[T any, R io.Closer](ctx context.Context, p *Pool[T], c Call, f func(context.Context, T) (R, error)) (*Won[R], error) {
	a, value, err := run(ctx, p, c, task[T, R]{f: f, dispose: func(r R) { _ = r.Close() }})
	if err != nil {
		return nil, err
	}
	return &Won[R]{Value: value, attempt: a}, nil
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

// landing is what an attempt came back with, or, without an attempt, the word
// that the call is slow.
type landing[R any] struct {
	attempt *attempt
	value   R
	err     error
	won     bool
}

// task is what a call does on a member. With dispose, which ends an answer, the
// winner's stays open.
type task[T, R any] struct {
	f       func(context.Context, T) (R, error)
	dispose func(R)
}

// run is the loop that owns a call: attempts only send to it.
func run[T, R any](ctx context.Context, p *Pool[T], c Call, t task[T, R]) (winner *attempt, value R, err error) {
	if ctx.Err() != nil { // an attempt would only leave load behind
		if c.Seated {
			p.Unseat()
		}
		return nil, value, context.Cause(ctx)
	}
	set := p.set.Load()
	r := p.core.begin(ctx, c, &set.members)
	defer func() { r.end(winner, err) }()
	results := make(chan landing[R], len(set.entries)+1) // room for every loser and for the hedge timer
	r.ring = func() { results <- landing[R]{} }
	launch := func(why Reason) { //nolint:contextcheck // an attempt is its own context
		if a := r.next(why); a != nil {
			go fly(a, set.targets[a.at].Target, t, results)
		}
	}
	for launch(First); r.running == 0; launch(First) {
		if err = r.wait(); err != nil {
			return nil, value, err
		}
	}
	for r.running > 0 {
		select {
		case <-ctx.Done(): // on time, even if an upstream ignores it
			if r.decide() {
				return nil, value, context.Cause(ctx)
			}
			l := won(results)
			return t.keep(l), l.value, nil
		case l := <-results:
			if l.won {
				return t.keep(l), l.value, nil
			}
			if l.attempt == nil {
				if r.hedge(p.core.now()) {
					launch(Hedge)
				}
				continue
			}
			if l.err == nil || over(ctx) {
				continue // it came second, and the winner is on its way; or the time is up
			}
			if !r.failed(l.attempt, l.err) {
				if r.decide() {
					return nil, value, r.errs[len(r.errs)-1]
				}
				l := won(results) // another one has answered just now, and holds a lease
				return t.keep(l), l.value, nil
			}
			launch(Failover)
		}
	}
	return nil, value, r.failure()
}

// won waits for the landing of the attempt that has won already.
func won[R any](results <-chan landing[R]) landing[R] {
	for {
		if l := <-results; l.won {
			return l
		}
	}
}

// keep returns the attempt if its answer stays open.
func (t task[T, R]) keep(l landing[R]) *attempt {
	if t.dispose == nil {
		return nil
	}
	return l.attempt
}

// fly runs f for an attempt, whatever f does, and sends what came of it.
func fly[T, R any](a *attempt, target T, t task[T, R], results chan<- landing[R]) {
	l := landing[R]{attempt: a, err: errExited}
	defer func() {
		if value := recover(); value != nil {
			l.err = panicked(value)
		}
		l.won = a.land(l.err, t.dispose != nil)
		if l.err == nil && !l.won && t.dispose != nil {
			t.dispose(l.value)
		}
		results <- l
		a.race.core.tasks.leave()
	}()
	l.value, l.err = t.f(a, target)
}
