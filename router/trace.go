package router

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/lanewise/lanewise/balance"
)

// recorder collects what one request did: its stages, its extra attempts and, if it wants to
// have it explained, all attempts on all lanes. Attempts that lose end after the
// request, so it is locked.
type recorder struct {
	explain  bool
	mu       sync.Mutex
	began    time.Time // of the current stage
	stages   []Stage
	room     [6]Stage // that most requests need: stages begins here
	attempts []balance.Attempt
	hedges   int
	failover int
}

// record gives the request its allowance of extra attempts and hooks a recorder
// into its context.
func record(ctx context.Context, extra int, explain bool) (context.Context, *recorder) {
	rec := &recorder{began: time.Now(), explain: explain}
	rec.stages = rec.room[:0]
	ctx = balance.WithAllowance(ctx, max(extra, 0))
	hooks := &balance.Trace{Started: rec.started}
	if explain {
		hooks.Ended = rec.ended
	}
	return balance.WithTrace(ctx, hooks), rec
}

func (rec *recorder) started(a balance.Attempt) {
	if a.Reason == balance.First {
		return // most are: they need no lock
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if a.Reason == balance.Hedge {
		rec.hedges++
	} else {
		rec.failover++
	}
}

func (rec *recorder) ended(a balance.Attempt) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.attempts = append(rec.attempts, a)
}

// stage ends the stage that was under way.
func (rec *recorder) stage(name string) {
	now := time.Now()
	rec.stages = append(rec.stages, Stage{Name: name, Took: now.Sub(rec.began)})
	rec.began = now
}

// report completes a response's report with what the request cost.
func (rec *recorder) report(res *Response, took time.Duration) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	res.Report.Took, res.Report.Hedges, res.Report.Failovers = took, rec.hedges, rec.failover
	res.Stages = slices.Clip(rec.stages)
	if rec.explain {
		res.Explain = &Explain{Stages: slices.Clip(rec.stages), Attempts: slices.Clone(rec.attempts)}
	}
}
