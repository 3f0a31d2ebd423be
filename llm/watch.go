package llm

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// How long upstreams may be silent by default. A queue in front of an engine is
// part of the time to the first content, and so is the reading of a long prompt.
const (
	defaultFirst = 2 * time.Minute
	defaultIdle  = time.Minute
	defaultWhole = 10 * time.Minute
)

// errSilent is the error of an upstream that said nothing for too long. Another
// one may do better.
var errSilent = fault.New(fault.Unavailable, "the upstream was silent for too long")

// watch ends a call whose upstream is silent for too long. Only the time for which
// somebody waits for the upstream counts. It costs an event nothing but a look at
// the clock: the timer moves itself.
type watch struct {
	ctx    context.Context //nolint:containedctx // it is what the watch ends
	cancel context.CancelCauseFunc
	born   time.Time
	timer  *time.Timer
	limit  atomic.Int64 // ns
	since  atomic.Int64 // when the wait began, in ns from born; below 0: nobody waits
}

// watched returns a watch whose context ends once the upstream has been silent for
// limit. It has to be stopped.
func watched(ctx context.Context, limit time.Duration) *watch {
	w := &watch{born: time.Now()}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.limit.Store(int64(limit))
	w.timer = time.AfterFunc(limit, w.check)
	return w
}

// check runs when the time may be up.
func (w *watch) check() {
	limit, waited := time.Duration(w.limit.Load()), time.Duration(0)
	if since := w.since.Load(); since >= 0 {
		waited = time.Since(w.born) - time.Duration(since)
	}
	switch {
	case w.ctx.Err() != nil: // stopped while this began
	case waited >= limit:
		w.cancel(errSilent)
	default:
		w.timer.Reset(limit - waited)
	}
}

// change sets another limit, for what follows.
func (w *watch) change(limit time.Duration) {
	w.pause()
	w.limit.Store(int64(limit))
	w.timer.Reset(limit)
}

// begin marks that somebody waits from now on.
func (w *watch) begin() { w.since.Store(int64(time.Since(w.born))) }

// pause marks that nobody waits.
func (w *watch) pause() { w.since.Store(-1) }

// reason returns why a call failed with err: what the watch says, if it ended it.
func (w *watch) reason(err error) error {
	if err != nil && context.Cause(w.ctx) == errSilent { //nolint:errorlint // it is given bare
		return errSilent
	}
	return err
}

// stop ends the watch, and its context.
func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(context.Canceled)
}
