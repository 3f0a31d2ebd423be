package admit

import (
	"cmp"
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/balance/limit"
	"github.com/lanewise/lanewise/fault"
)

// Config describes a gate. Zero values mean the defaults.
type Config struct {
	// Target is the latency that nine of ten admitted calls should keep: the
	// limit grows below it and shrinks above. Half of the usual deadline is a good
	// value. Default 500 ms.
	Target time.Duration
	// Least, Start and Most bound the number of calls at work. Default 4, 64 and 4,096.
	Least, Start, Most int
	// Queue and QueueBytes bound what waits. Default 1,024 calls and 64 MiB.
	Queue      int
	QueueBytes int64
	// Weights are the tenants' shares of the limit while they compete; a tenant
	// without one has 1.
	Weights map[string]float64
	// Patience is how long a call may wait, and Urgent how long while calls of its
	// tenant have been waiting for Patience without a pause. Default 100 ms and 5 ms (CoDel; Nichols and
	// Jacobson, ACM Queue 2012, with the adaptive order of Facebook's Fail at
	// Scale, ACM Queue 2015).
	Patience, Urgent time.Duration
}

func (c Config) withDefaults() Config {
	c.Target = cmp.Or(c.Target, 500*time.Millisecond)
	c.Least = cmp.Or(c.Least, 4)
	c.Start = cmp.Or(c.Start, max(c.Least, 64))
	c.Most = cmp.Or(c.Most, max(c.Start, 4096))
	c.Queue = cmp.Or(c.Queue, 1024)
	c.QueueBytes = cmp.Or(c.QueueBytes, 64<<20)
	c.Patience = cmp.Or(c.Patience, 100*time.Millisecond)
	c.Urgent = cmp.Or(c.Urgent, 5*time.Millisecond)
	return c
}

func (c Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fault.New(fault.Invalid, format, args...)) }
	if c.Target < 0 {
		bad("target: must be positive, is %v", c.Target)
	}
	if c.Least < 1 || c.Start < c.Least || c.Most < c.Start {
		bad("least, start, most: must be at least 1 and in this order, are %d, %d, %d", c.Least, c.Start, c.Most)
	}
	if c.Queue < 0 || c.QueueBytes < 0 {
		bad("queue: must not be negative, is %d calls and %d bytes", c.Queue, c.QueueBytes)
	}
	if c.Urgent < 0 || c.Patience < c.Urgent {
		bad("urgent: must be positive and at most patience, is %v of %v", c.Urgent, c.Patience)
	}
	for tenant, w := range c.Weights {
		if !(w > 0) || math.IsInf(w, 1) {
			bad("weights[%q]: must be positive, is %v", tenant, w)
		}
	}
	return errors.Join(errs...)
}

// Gate admits calls. It has no goroutines and needs no Close. Safe for
// concurrent use. While nobody waits, calls pass it without a lock.
type Gate struct {
	config Config
	busy   atomic.Int64 // admitted and not left
	most   atomic.Int64 // that may be: the limit
	queued atomic.Int64 // calls in the queue

	mu    sync.Mutex
	limit limiter
	queue queue
	shed  uint64
	rate  limit.Drain // of the queue
}

// New returns a gate that nobody has passed yet. Its error is fault.Invalid and
// names every field that is wrong.
func New(c Config) (*Gate, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	g := &Gate{config: c, limit: newLimiter(c), queue: newQueue(c.Weights)}
	g.most.Store(int64(g.limit.now()))
	return g, nil
}

// Pass is the right to be at work. It must be left.
type Pass struct {
	gate  *Gate
	begun time.Time
	left  atomic.Bool
}

// Enter returns a pass as soon as the call of a tenant may be worked on. bytes is
// the memory that the call holds while it waits. It is fault.Overloaded, with a
// RetryAfter, where the call is refused, and context.Cause(ctx) where ctx ends first.
func (g *Gate) Enter(ctx context.Context, tenant string, bytes int64) (*Pass, error) {
	if g.queued.Load() == 0 && g.take() {
		return &Pass{gate: g, begun: time.Now()}, nil
	}
	w, err := g.join(tenant, max(bytes, 0))
	if err != nil {
		return nil, err
	}
	if w == nil {
		return &Pass{gate: g, begun: time.Now()}, nil
	}
	timer := time.NewTimer(g.config.Patience)
	defer timer.Stop()
	select {
	case <-w.done:
	case <-timer.C:
		g.abandon(w, true)
	case <-ctx.Done():
		if g.abandon(w, false) {
			return nil, context.Cause(ctx)
		}
	}
	<-w.done
	if w.err != nil {
		return nil, w.err
	}
	return &Pass{gate: g, begun: time.Now()}, nil
}

// Leave ends the call's work, which had the outcome err. Further calls do nothing.
func (p *Pass) Leave(err error) {
	if p.left.Swap(true) {
		return
	}
	now := time.Now()
	g := p.gate
	busy := int(g.busy.Add(-1)) + 1
	late := errors.Is(err, context.DeadlineExceeded)
	if err == nil || late {
		g.observe(ended{at: now, took: now.Sub(p.begun), busy: busy, late: late})
	}
	if g.queued.Load() > 0 {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.admit(now)
	}
}

// observe enters a call's end, unless somebody is at the limit already:
// another call says as much.
func (g *Gate) observe(c ended) {
	if !g.mu.TryLock() {
		return
	}
	defer g.mu.Unlock()
	c.held = g.queue.calls > 0
	g.limit.observe(c)
	g.most.Store(int64(g.limit.now()))
}

// take admits a call, if there is room.
func (g *Gate) take() bool {
	for {
		busy := g.busy.Load()
		if busy >= g.most.Load() {
			return false
		}
		if g.busy.CompareAndSwap(busy, busy+1) {
			return true
		}
	}
}

// join admits a call at once (nil, nil), puts it into the queue or refuses it.
func (g *Gate) join(tenant string, bytes int64) (*waiter, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	g.admit(now)
	if g.queue.calls == 0 && g.take() {
		return nil, nil //nolint:nilnil // documented
	}
	if bytes > g.config.QueueBytes { // it would push everybody out and not fit all the same
		g.shed++
		return nil, g.refusal()
	}
	w := &waiter{tenant: tenant, bytes: bytes, since: now, done: make(chan struct{})}
	for g.queue.calls >= g.config.Queue || g.queue.bytes+bytes > g.config.QueueBytes {
		last := g.queue.heavier(tenant)
		if last == nil { // who fills the queue does not push others out of it
			g.shed++
			return nil, g.refusal()
		}
		g.refuse(last)
	}
	if g.queue.calls == 0 {
		g.rate.Pause(now)
	}
	g.queue.push(w)
	g.admit(now) // somebody who has seen no queue may have left
	return w, nil
}

// admit lets in who may, and refuses who has waited too long. The caller holds mu.
func (g *Gate) admit(now time.Time) {
	g.queued.Store(int64(g.queue.calls)) // first: who leaves from now on sees the queue
	defer func() { g.queued.Store(int64(g.queue.calls)) }()
	since := now.Add(-g.config.Patience)
	for _, w := range g.queue.older(now.Add(-g.config.Urgent), since) {
		g.refuse(w)
	}
	for g.queue.calls > 0 && g.take() {
		w := g.queue.pop(since)
		g.rate.Note(now)
		close(w.done)
	}
}

// abandon takes a call out of the queue, with a refusal if it has waited too
// long, and reports whether it was still there.
func (g *Gate) abandon(w *waiter, refuse bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-w.done:
		if !refuse && w.err == nil { // admitted just now: the caller does not take it
			g.busy.Add(-1)
			g.admit(time.Now())
			return true
		}
		return false
	default:
	}
	if refuse {
		g.refuse(w)
		return true
	}
	g.queue.remove(w)
	g.queued.Store(int64(g.queue.calls))
	return true
}

// refuse takes a waiting call out of the queue with an error. The caller holds mu.
func (g *Gate) refuse(w *waiter) {
	g.queue.remove(w)
	g.queued.Store(int64(g.queue.calls))
	g.shed++
	w.err = g.refusal()
	close(w.done)
}

// refusal says when the backlog will be gone: at the rate at which calls leave the
// queue or, while that is not known, by Little's law.
func (g *Gate) refusal() error {
	wait := g.rate.Time(g.queue.calls+1, g.limit.mean/time.Duration(g.most.Load()), 0)
	return fault.Busy(wait, "overloaded: there is room for %d calls at a time, and more have come", g.most.Load())
}

// State is what a gate does at one moment.
type State struct {
	Limit       int // calls that may be at work
	Busy        int // that are
	Queued      int
	QueuedBytes int64
	Shed        uint64 // refused since the gate was made
}

// State returns the gate's state.
func (g *Gate) State() State {
	g.mu.Lock()
	defer g.mu.Unlock()
	return State{Limit: g.limit.now(), Busy: int(g.busy.Load()), Queued: g.queue.calls, QueuedBytes: g.queue.bytes, Shed: g.shed}
}
