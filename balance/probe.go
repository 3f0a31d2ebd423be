package balance

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// jitter is how far the time between two probes strays from its mean.
const jitter = 0.2

// Probe checks every member of p about once in every, with up to every for an
// answer, until the pool is closed. A check that fails counts as a failure of
// the member. One that succeeds brings an ejected member on trial before its
// time; it says nothing about a member in use, since a server may answer its
// health check and nothing else. Probes never touch load.
func (p *Pool[T]) Probe(every time.Duration, check func(context.Context, T) error) error {
	if every <= 0 {
		return fault.New(fault.Invalid, "pool %q: the time between probes must be positive, is %v", p.core.name, every)
	}
	if !p.core.tasks.enter() {
		return fault.New(fault.Unavailable, "pool %q is closed", p.core.name)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.core.onClose(cancel)
	go func() {
		defer p.core.tasks.leave()
		for pause(ctx, every) {
			p.probeAll(ctx, every, check)
		}
	}()
	return nil
}

// pause waits for about d and reports whether ctx still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(time.Duration(float64(d) * (1 - jitter + 2*jitter*rand.Float64()))) //nolint:gosec // chance, not secrets
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// probeAll checks the members at the same time.
func (p *Pool[T]) probeAll(ctx context.Context, timeout time.Duration, check func(context.Context, T) error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	set := p.set.Load()
	checked := make(chan struct{}, len(set.entries))
	for i, m := range set.targets {
		go func() {
			p.core.probed(ctx, set.entries[i].member, protect(func() error { return check(ctx, m.Target) }))
			checked <- struct{}{}
		}()
	}
	for range set.targets {
		<-checked
	}
}

// protect turns a panic of f into its error.
func protect(f func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = panicked(value)
		}
	}()
	return f()
}

// probed enters the result of a check.
func (c *core) probed(ctx context.Context, m *member, err error) {
	now := c.now()
	switch inUse := m.health.state.Load() == fit; {
	case context.Cause(ctx) == context.Canceled: //nolint:errorlint // the pool is being closed
	case err == nil && !inUse:
		m.health.back.Store(min(m.health.back.Load(), int64(now)))
	case err != nil && inUse:
		c.enter(m, bad, judgement{now: now, latency: m.latency.typical(c.lane.class(""))})
	}
}

// onClose adds a function that Close calls first, or calls it at once where the
// pool is closed already.
func (c *core) onClose(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tasks.closed.Load() {
		f()
		return
	}
	c.closers = append(c.closers, f)
}
