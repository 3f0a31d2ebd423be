package balance

import "context"

// task is what calls do: on a member, and with what comes of it.
type task[T, R any] interface {
	do(a *attempt, target T) (R, error)
	conclude(at int, winner *attempt, value R, err error) // of each call, once
	open() bool                                           // the winners' answers stay open, and the others are dropped
	drop(value R)
}

// flights is a fan with the types of its targets and answers.
type flights[T, R any] struct {
	fan
	task[T, R]
	sets []*set[T] // by call
}

// spare returns the state of calls that are over, or a new one.
func spare[X any](c *core) *X {
	if x, ok := c.spares.Get().(*X); ok {
		return x
	}
	return new(X)
}

// reset empties x for other calls. Its bell stays. None of its calls may have had
// more than one attempt: others could still land. Who holds the context of
// an attempt that has landed knows nothing of x any more.
func (x *flights[T, R]) reset() {
	x.fan.reset()
	clear(x.races)
	clear(x.sets)
	x.races, x.sets = x.races[:0], x.sets[:0]
}

// fly makes the calls, whose races and sets are there, and returns when all are over.
func (x *flights[T, R]) fly(ctx context.Context, core func(at int) *core) {
	if ctx.Err() != nil { // an attempt would only leave load behind
		for i := range x.races {
			if x.races[i].call.Seated {
				core(i).unseat()
			}
			x.finish(i, context.Cause(ctx))
		}
		return
	}
	members := 0
	for _, s := range x.sets {
		members += len(s.entries)
	}
	for i := range x.races {
		x.races[i].begin(&x.fan, i, core(i), &x.sets[i].members)
	}
	x.begin(ctx, x, members)
	x.run()
}

// finish implements [pilot].
func (x *flights[T, R]) finish(at int, err error) {
	var none R
	x.conclude(at, nil, none, err)
}

// perform does the task for an attempt, whatever becomes of that. It implements [pilot].
func (x *flights[T, R]) perform(a *attempt) {
	var value R
	err := errExited
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
		x.land(a, value, err)
	}()
	value, err = x.do(a, x.sets[a.race.at].targets[a.at].Target)
}

// land ends an attempt and, if it has won, its call.
func (x *flights[T, R]) land(a *attempt, value R, err error) {
	open := x.open()
	won, alone := a.land(err, open)
	if !won || !open {
		a.cancel(errEnded)
	}
	switch {
	case won:
		x.conclude(a.race.at, a, value, nil)
	case err == nil && open:
		x.drop(value)
	}
	core := a.race.core
	x.report(a, won, alone)
	core.tasks.leave()
}
