package router

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/lanewise/lanewise/balance"
)

// recorder collects what one request did: its stages and its attempts on all
// lanes. Attempts that lose end after the request, so it is locked.
type recorder struct {
	mu       sync.Mutex
	began    time.Time // of the current stage
	stages   []Stage
	attempts []balance.Attempt
	hedges   int
	failover int
}

// record gives the request its allowance of extra attempts and hooks a recorder
// into its context.
func record(ctx context.Context, extra int) (context.Context, *recorder) {
	rec := &recorder{began: time.Now()}
	ctx = balance.WithAllowance(ctx, max(extra, 0))
	return balance.WithTrace(ctx, &balance.Trace{Started: rec.started, Ended: rec.ended}), rec
}

func (rec *recorder) started(a balance.Attempt) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	switch a.Reason {
	case balance.Hedge:
		rec.hedges++
	case balance.Failover:
		rec.failover++
	case balance.First:
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
func (rec *recorder) report(res *Response, took time.Duration, explain bool) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	res.Report.Took, res.Report.Hedges, res.Report.Failovers = took, rec.hedges, rec.failover
	if explain {
		res.Explain = &Explain{Stages: slices.Clone(rec.stages), Attempts: slices.Clone(rec.attempts)}
	}
}
