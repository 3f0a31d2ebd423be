package balance

import (
	"context"
	"fmt"
	"sync"

	"github.com/lanewise/lanewise/fault"
)

// holding is where calls wait while their pool has no members, as one that was scaled to
// zero. A tenant may have as many calls there as are still free, so that one that asks
// much leaves room for the others (dynamic thresholds; Choudhury and Hahne, 1998).
type holding struct {
	most int

	mu      sync.Mutex
	tenants map[string]int
	n       int
	arrived chan struct{} // closed when the pool has members, or closes; nil: nobody waits
	closed  bool
}

// count is how many calls wait.
func (h *holding) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}

// release lets all calls go on.
func (h *holding) release(closed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = h.closed || closed
	if h.arrived != nil {
		close(h.arrived)
		h.arrived = nil
	}
}

// enter takes a place and returns what to wait for.
func (h *holding) enter(tenant string) (arrived <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, fault.New(fault.Unavailable, "it is closed")
	case h.tenants[tenant] >= h.most-h.n:
		return nil, fault.New(fault.Overloaded, "it has no members, and %d calls wait for the first, %d of the same tenant", h.n, h.tenants[tenant])
	case h.arrived == nil:
		h.arrived = make(chan struct{})
	}
	if h.tenants == nil {
		h.tenants = map[string]int{}
	}
	h.n++
	h.tenants[tenant]++
	return h.arrived, nil
}

func (h *holding) leave(tenant string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n--
	if h.tenants[tenant]--; h.tenants[tenant] == 0 {
		delete(h.tenants, tenant)
	}
}

// wait holds a call once, until the pool may have members.
func (h *holding) wait(ctx context.Context, tenant string, empty func() bool) error {
	arrived, err := h.enter(tenant)
	if err != nil {
		return err
	}
	defer h.leave(tenant)
	if !empty() { // they came before it was in
		return nil
	}
	select {
	case <-arrived:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// held returns the members for a call. Where there are none it waits for the first,
// if the pool holds calls and this one has nowhere else to go.
func (p *Pool[T]) held(ctx context.Context, c *Call) (*set[T], error) {
	for {
		s := p.set.Load()
		if len(s.entries) > 0 || p.core.holding.most <= 0 || c.NoWait {
			return s, nil
		}
		empty := func() bool { return len(p.set.Load().entries) == 0 }
		if err := p.core.holding.wait(ctx, c.Tenant, empty); err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			return nil, fmt.Errorf("pool %q: %w", p.core.name, err)
		}
	}
}
