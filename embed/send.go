package embed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
)

// send makes one balanced call. An answer that does not fit the question is its
// attempt's error, so another upstream is asked.
func (e *Embedder) send(ctx context.Context, b Batch) []outcome {
	s, err := e.call(ctx, b)
	for wait := firstWait; b.Bulk && errors.Is(err, fault.Overloaded); wait = min(2*wait, mostWait) {
		if !pause(ctx, max(wait, fault.RetryAfter(err))) {
			break
		}
		s, err = e.call(ctx, b)
	}
	if err == nil {
		return s.rows
	}
	rows := make([]outcome, b.Len())
	for i := range rows {
		rows[i].err = err
	}
	return rows
}

// A bulk call waits as long before it asks again upstreams that are all busy and
// do not say for how long.
const (
	firstWait = 100 * time.Millisecond
	mostWait  = 5 * time.Second
)

// pause waits, and reports whether ctx still goes on. It does not begin to wait
// for longer than ctx lasts.
func pause(ctx context.Context, wait time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (e *Embedder) call(ctx context.Context, b Batch) (*sheet, error) {
	c := balance.Call{Class: class(b.Len()), Cost: int64(max(b.total(0).Tokens, 1)), NoHedge: b.Bulk}
	s, err := balance.Do(ctx, e.pool, c, func(ctx context.Context, m *member) (*sheet, error) {
		s, err := m.embed(ctx, b)
		if err != nil {
			m.failed(err)
			return nil, err
		}
		balance.Settle(ctx, int64(s.tokens()))
		return s, nil
	})
	if err != nil {
		return nil, e.explain(err)
	}
	return s, nil
}

// explain adds to the error of a call which upstreams are out of use, until when,
// and why: those were not asked, or as a last resort only.
func (e *Embedder) explain(err error) error {
	if !fault.Elsewhere(err) {
		return err
	}
	var out []string
	for _, m := range e.pool.Snapshot().Members {
		if m.State != balance.Ejected && m.State != balance.Throttled {
			continue
		}
		text := fmt.Sprintf("%s until %s", m.Name, m.Until.UTC().Format(time.RFC3339))
		if why := e.trouble(m.Name); why != nil {
			text += fmt.Sprintf(" (%v)", why)
		}
		out = append(out, text)
	}
	if len(out) == 0 {
		return err
	}
	return fmt.Errorf("%w; out of use: %s", err, strings.Join(out, ", "))
}

// trouble is the last error of an upstream, or nil.
func (e *Embedder) trouble(name string) error {
	for _, m := range *e.members.Load() {
		if m.name == name {
			return m.why()
		}
	}
	return nil
}

// class groups calls that take about equally long.
func class(texts int) string {
	switch {
	case texts == 1:
		return "1"
	case texts <= 8:
		return "<=8"
	case texts <= 64:
		return "<=64"
	}
	return ">64"
}
