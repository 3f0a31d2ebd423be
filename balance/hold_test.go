package balance

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// waiters is what became of the calls of tenants at an empty pool.
type waiters struct {
	pool *Pool[server]
	done sync.WaitGroup
	mu   sync.Mutex
	errs map[string][]error
}

func newWaiters(t *testing.T, most int) *waiters {
	t.Helper()
	return &waiters{pool: newPool(t, Config{Hold: most}), errs: map[string][]error{}}
}

// call makes calls of a tenant and waits until each of them waits or is over.
func (h *waiters) call(ctx context.Context, tenant string, n int, c Call) {
	c.Tenant = tenant
	for range n {
		h.done.Go(func() {
			_, err := Do(ctx, h.pool, c, ask)
			h.mu.Lock()
			defer h.mu.Unlock()
			h.errs[tenant] = append(h.errs[tenant], err)
		})
		synctest.Wait()
	}
}

func (h *waiters) count(tenant string, class error) (n int) {
	h.done.Wait()
	for _, err := range h.errs[tenant] {
		if errors.Is(err, class) {
			n++
		}
	}
	return n
}

func TestHold_servesWhatWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newWaiters(t, 8)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		h.call(ctx, "a", 3, Call{})
		if n := h.pool.Snapshot().Waiting; n != 3 {
			t.Errorf("%d calls wait, want 3", n)
		}
		time.Sleep(30 * time.Second)
		if err := h.pool.Update([]Member[server]{{Name: "first"}}); err != nil {
			t.Fatal(err)
		}
		h.done.Wait()
		if len(h.errs["a"]) != 3 || h.count("a", nil) != 3 {
			t.Errorf("calls ended with %v", h.errs["a"])
		}
		if s := h.pool.Snapshot(); s.Waiting != 0 || s.Calls != 3 {
			t.Errorf("%d wait, %d calls", s.Waiting, s.Calls)
		}
	})
}

func TestHold_leavesRoomForOtherTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newWaiters(t, 8)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		h.call(ctx, "greedy", 10, Call{})
		h.call(ctx, "modest", 2, Call{})
		if got := h.count("greedy", fault.Overloaded); got != 6 {
			t.Errorf("%d calls of the greedy tenant were refused, want 6 of 10", got)
		}
		if got := h.count("modest", fault.Overloaded); got != 0 {
			t.Errorf("%d calls of the modest tenant were refused", got)
		}
		if got := h.count("modest", context.DeadlineExceeded); got != 2 {
			t.Errorf("%d calls of the modest tenant waited until their deadline, want 2", got)
		}
	})
}

func TestHold_whoDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newWaiters(t, 8)
		h.call(t.Context(), "nowait", 1, Call{NoWait: true})
		if h.count("nowait", fault.Unavailable) != 1 {
			t.Errorf("a call with another pool to ask ended with %v", h.errs)
		}
		none := newWaiters(t, 0)
		none.call(t.Context(), "a", 1, Call{})
		if none.count("a", fault.Unavailable) != 1 {
			t.Errorf("a call of a pool that holds none ended with %v", none.errs)
		}
	})
}

func TestHold_endsWithThePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newWaiters(t, 8)
		if err := h.pool.Seat(time.Minute); err != nil {
			t.Fatal(err)
		}
		h.call(t.Context(), "a", 1, Call{Seated: true})
		if err := h.pool.Close(); err != nil {
			t.Fatal(err)
		}
		if h.count("a", fault.Unavailable) != 1 {
			t.Errorf("the call ended with %v", h.errs)
		}
		if n := h.pool.core.line.seats.Load(); n != 0 {
			t.Errorf("%d seats are taken", n)
		}
	})
}
