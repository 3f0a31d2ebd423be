package router

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// errEnough is why shards are not waited for any longer.
var errEnough = fmt.Errorf("enough of the documents were covered without it: %w", context.DeadlineExceeded)

// patience gives up on stragglers once the shards that answered cover what the
// request asks for at least: the more shards are still out, the longer it waits,
// up to the deadline; for the last one, as long again as the others took. The
// slope is that of Vespa's adaptive timeout.
type patience struct {
	mu       sync.Mutex
	began    time.Time
	deadline time.Time
	giveUp   context.CancelCauseFunc
	timer    *time.Timer
	docs     []float64 // by position
	all      float64
	covered  float64
	pending  int
	minimum  float64 // coverage
}

// wait bounds ctx by the patience that a request has with its shards. A request
// that wants everything, or has no deadline, has no end of it.
func (g *gathering) wait(ctx context.Context) (context.Context, *patience) {
	deadline, ok := ctx.Deadline()
	if !ok || g.demand.patience <= 0 || g.demand.patience >= 1 || len(g.shards) < 2 {
		return ctx, nil
	}
	w := &patience{began: time.Now(), deadline: deadline, docs: g.docs, pending: len(g.shards), minimum: g.demand.patience}
	for _, n := range g.docs {
		w.all += n
	}
	ctx, w.giveUp = context.WithCancelCause(ctx)
	return ctx, w
}

// heard takes a shard's answer to the first round into account. Refills belong to
// shards that have answered, and are waited for.
func (w *patience) heard(a asking, err error) {
	if w == nil || a.words && !a.alone {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
	w.pending--
	if err == nil {
		w.covered += w.docs[a.at]
	}
	if w.pending <= 0 || w.covered < w.minimum*w.all {
		return
	}
	w.timer = time.AfterFunc(w.left(), func() { w.giveUp(errEnough) })
}

// left is how long the stragglers still have.
func (w *patience) left() time.Duration {
	least := time.Since(w.began)
	most := max(time.Until(w.deadline), least)
	spare := (1-w.minimum)*float64(len(w.docs)) - 1 // stragglers beyond the last that may be missing
	slope := 0.0
	if spare > 0 {
		slope = min(1, float64(w.pending-1)/spare)
	}
	return least + time.Duration(slope*float64(most-least))
}

// end stops the clock.
func (w *patience) end() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
	w.giveUp(nil)
}
