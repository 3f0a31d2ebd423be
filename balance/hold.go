package balance

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/lanewise/lanewise/fault"
)

// holding is where calls wait while their pool has no members, as one that was scaled to
// zero, and from then on until a member has a slot for them: members come up one after
// another, and the first is not to get what is for all. A tenant may have as many calls there as are still free, so that
// one that asks much leaves room for the others (dynamic thresholds; Choudhury and Hahne, 1998).
type holding struct {
	most int
	n    atomic.Int64 // calls that wait

	mu      sync.Mutex
	tenants map[string]int
	calls   []*waiter // oldest first
	closed  bool
}

// waiter is a held call.
type waiter struct {
	tenant string
	turn   chan struct{} // closed when it may go on, with a seat
}

// enter takes a place.
func (h *holding) enter(tenant string) (*waiter, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, fault.New(fault.Unavailable, "it is closed")
	case h.tenants[tenant] >= h.most-len(h.calls):
		return nil, fault.New(fault.Overloaded, "%d calls wait for members, %d of the same tenant", len(h.calls), h.tenants[tenant])
	}
	if h.tenants == nil {
		h.tenants = map[string]int{}
	}
	w := &waiter{tenant, make(chan struct{})}
	h.tenants[tenant]++
	h.calls = append(h.calls, w)
	h.n.Add(1)
	return w, nil
}

// leave takes a call out, and reports whether it was still in. The caller holds mu.
func (h *holding) leave(w *waiter) bool {
	at := slices.Index(h.calls, w)
	if at < 0 {
		return false
	}
	h.calls = slices.Delete(h.calls, at, at+1)
	h.n.Add(-1)
	if h.tenants[w.tenant]--; h.tenants[w.tenant] == 0 {
		delete(h.tenants, w.tenant)
	}
	return true
}

// giveUp takes out a call that waits no longer, and reports whether it was its turn already.
func (h *holding) giveUp(w *waiter) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.leave(w)
}

// close lets no call in any more. Those that are in go on, and are told.
func (h *holding) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
}

// spread lets as many held calls go on as there are slots for. It is called whenever there may be more of them.
func (c *core) spread() {
	h := &c.holding
	if h.n.Load() == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for free := c.vacant(); len(h.calls) > 0 && (free > 0 || h.closed); free-- {
		first := h.calls[0]
		h.leave(first)
		c.line.seats.Add(1)
		close(first.turn)
	}
}

// vacant is how many slots no call has, nor a seat for one. A member whose slots are not known has its limit.
func (c *core) vacant() int64 {
	sum := -c.line.seats.Load()
	for i, entries := 0, *c.entries.Load(); i < len(entries); i++ {
		e := &entries[i]
		slots := int64(e.slots)
		if slots == 0 {
			slots = math.MaxInt32
			if e.limit != nil {
				slots = int64(e.limit.Now())
			}
		}
		sum += slots - e.inflight.Load() // more than it has slots for is less for the others: calls may all want the same member
	}
	return sum
}

// unseat gives a seat back.
func (c *core) unseat() {
	c.line.seats.Add(-1)
	c.spread()
}

// hold has a call wait for its turn, at whose beginning it has a seat. What it had before is given back, or calls
// that wait would be in each other's way.
func (c *core) hold(ctx context.Context, call *Call) error {
	w, err := c.holding.enter(call.Tenant)
	if err != nil {
		return fmt.Errorf("pool %q: %w", c.name, err)
	}
	if call.Seated {
		call.Seated = false
		c.line.seats.Add(-1)
	}
	c.spread() // members may have come before it was in
	select {
	case <-w.turn:
		call.Seated = true
		return nil
	case <-ctx.Done():
		if c.holding.giveUp(w) {
			c.unseat()
		}
		return context.Cause(ctx)
	}
}

// held returns the members for a call. Where there are none it waits for them if the pool holds calls and this one has
// nowhere else to go; and where others still wait, behind those, unless they are too many: then it is in line with all others.
func (p *Pool[T]) held(ctx context.Context, c *Call) (*set[T], error) {
	h := &p.core.holding
	s := p.set.Load()
	if h.most <= 0 || c.NoWait || len(s.entries) > 0 && h.n.Load() == 0 {
		return s, nil
	}
	for {
		err := p.core.hold(ctx, c)
		s = p.set.Load()
		switch {
		case err != nil && (len(s.entries) == 0 || ctx.Err() != nil):
			return nil, err
		case len(s.entries) > 0:
			return s, nil
		}
	}
}
