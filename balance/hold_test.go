package balance

import (
	"context"
	"errors"
	"maps"
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

// served is how many calls each member answered, and when the last of them was.
func served(pool *Pool[server], calls int) (got map[string]int, last time.Duration) {
	var mu sync.Mutex
	var done sync.WaitGroup
	got, began := map[string]int{}, time.Now()
	for range calls {
		done.Go(func() {
			name, err := Do(context.Background(), pool, Call{}, ask)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				name = err.Error()
			}
			got[name]++
			last = time.Since(began)
		})
	}
	done.Wait()
	return got, last
}

// Members with two slots each come up one after another: nobody gets more than it has slots for, and each its share.
func TestHold_spreadsOverTheMembersThatCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, Config{Hold: 32, Picker: Fastest{}, HedgeShare: -1})
		member := func(name string) Member[server] {
			return Member[server]{Name: name, Slots: 2, Target: server{name: name, after: 10 * time.Second}}
		}
		go func() {
			var there []Member[server]
			for _, name := range []string{"a", "b", "c"} {
				time.Sleep(time.Second)
				if there = append(there, member(name)); pool.Update(there) != nil {
					t.Error("a member was refused")
				}
				synctest.Wait()
				for _, m := range pool.Snapshot().Members {
					if m.Inflight != 2 {
						t.Errorf("member %s of %d has %d calls, want 2", m.Name, len(there), m.Inflight)
					}
				}
				if got, want := pool.Snapshot().Waiting, 12-2*len(there); got != want {
					t.Errorf("%d calls wait at %d members, want %d", got, len(there), want)
				}
			}
		}()
		got, last := served(pool, 12)
		if got["a"] != 4 || got["b"] != 4 || got["c"] != 4 || last != 23*time.Second {
			t.Errorf("served by %v in %v, want 4 each in 23s", got, last)
		}
		if s := pool.Snapshot(); s.Waiting != 0 || pool.core.line.seats.Load() != 0 {
			t.Errorf("%d wait, %d seats are taken", s.Waiting, pool.core.line.seats.Load())
		}
	})
}

// Who comes while others wait is not served before them; who gives up leaves nothing behind; a seat is no hindrance.
func TestHold_keepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newWaiters(t, 8)
		for range 2 {
			if err := h.pool.Seat(time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		short, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		h.call(t.Context(), "first", 1, Call{Seated: true})
		h.call(short, "impatient", 1, Call{})
		h.call(t.Context(), "second", 1, Call{Seated: true})
		if err := h.pool.Update([]Member[server]{{Name: "a", Slots: 1, Target: server{name: "a", after: 10 * time.Second}}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		h.call(t.Context(), "late", 1, Call{})
		began, ends := time.Now(), map[string]time.Duration{}
		for len(ends) < 4 {
			time.Sleep(time.Second)
			synctest.Wait()
			h.mu.Lock()
			for tenant := range h.errs {
				if _, ok := ends[tenant]; !ok {
					ends[tenant] = time.Since(began)
				}
			}
			h.mu.Unlock()
		}
		want := map[string]time.Duration{"first": 10 * time.Second, "impatient": 5 * time.Second, "second": 20 * time.Second, "late": 30 * time.Second}
		if !maps.Equal(ends, want) || h.count("impatient", context.DeadlineExceeded) != 1 {
			t.Errorf("they end after %v, want %v", ends, want)
		}
		if n := h.pool.core.line.seats.Load(); n != 0 {
			t.Errorf("%d seats are taken", n)
		}
	})
}

// A call that finds the hold full of others, and members, is in line with all others.
func TestHold_fullWhileMembersAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newWaiters(t, 1)
		h.call(t.Context(), "a", 1, Call{})
		h.call(t.Context(), "b", 1, Call{})
		if h.errs["b"] == nil {
			t.Error("one more than may wait was held")
		}
		slow := Member[server]{Name: "a", Slots: 1, Target: server{name: "a", after: 10 * time.Second}}
		if err := h.pool.Update([]Member[server]{slow}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		h.call(t.Context(), "c", 2, Call{}) // the second waits for the first, which goes on at once
		h.call(t.Context(), "d", 1, Call{})
		if n := h.count("a", nil) + h.count("c", nil) + h.count("d", nil); n != 4 {
			t.Errorf("%d of 4 calls were served: %v", n, h.errs)
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
