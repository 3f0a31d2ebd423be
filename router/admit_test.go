package router_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/balance/admit"
	"github.com/lanewise/lanewise/balance/limit"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// booth is a replica that works on some searches at a time, makes the others wait,
// and finishes what it has begun whatever the caller does.
type booth struct {
	fake
	slots chan struct{}
	asked atomic.Int64
}

func newBooth(slots int, work time.Duration) *booth {
	b := &booth{slots: make(chan struct{}, slots)}
	b.search = func(ctx context.Context, q search.Query) (search.Result, error) {
		b.asked.Add(1)
		select {
		case b.slots <- struct{}{}:
		case <-ctx.Done():
			return search.Result{}, context.Cause(ctx)
		}
		time.Sleep(work)
		<-b.slots
		return listsOf(q, hit("a", 1)), ctx.Err()
	}
	return b
}

// never hedges.
func never() balance.LaneConfig { return balance.LaneConfig{HedgeDelay: -1} }

// unbounded lets everybody in: what is shed is shed by the shards' limits.
func unbounded() admit.Config { return admit.Config{Least: 1 << 20, Start: 1 << 20, Most: 1 << 20} }

// burst makes n searches at once and returns their errors.
func burst(r *router.Router, q router.Request, n int) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { _, errs[i] = r.Retrieve(context.Background(), q) })
	}
	wg.Wait()
	return errs
}

func TestRetrieve_isShedByItsTightestShardBeforeAnyAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free, tight := newBooth(100, time.Millisecond), newBooth(1, 100*time.Millisecond)
		r := newRouter(t, router.Config{
			Limit: limit.Config{Least: 1, Start: 1, Most: 1}, Admission: unbounded(), SearchTimeout: time.Second,
			Lane: never(),
		}, []search.Store{free}, []search.Store{tight})
		if err := errors.Join(burst(r, byVector, 2)...); err != nil { // the router learns what a search takes
			t.Fatal(err)
		}
		before := free.asked.Load()
		shed := 0
		start := time.Now()
		for _, err := range burst(r, byVector, 40) {
			switch wait := fault.RetryAfter(err); {
			case err == nil:
			case fault.Of(err) != fault.Overloaded:
				t.Errorf("%v, want overloaded", err)
			case wait < 400*time.Millisecond || wait > 800*time.Millisecond:
				t.Errorf("retry after %v, want what it takes until those who wait are served", wait)
			default:
				shed++
			}
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("%v for the whole burst: nobody was to wait for more than half of a second", took)
		}
		if asked, admitted := free.asked.Load()-before, int64(40-shed); shed < 30 || asked != admitted {
			t.Errorf("%d of 40 searches were shed, and the shard with room was asked %d times; want %d", shed, asked, admitted)
		}
		time.Sleep(500 * time.Millisecond)
		if _, err := r.Retrieve(t.Context(), byVector); err != nil {
			t.Errorf("%v: there is room again", err)
		}
	})
}

func TestRetrieve_doesWithoutAFullShardWhereItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free, tight := newBooth(100, time.Millisecond), newBooth(1, 100*time.Millisecond)
		r := newRouter(t, router.Config{
			Limit: limit.Config{Least: 1, Start: 1, Most: 1}, Admission: unbounded(), SearchTimeout: 100 * time.Millisecond, Lane: never(),
		}, []search.Store{free}, []search.Store{tight})
		q := byVector
		q.Timeout = 10 * time.Second
		if _, err := r.Retrieve(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = r.Retrieve(context.Background(), q) }()
		time.Sleep(50 * time.Millisecond)
		partial := byVector
		partial.OnPartial = router.ReturnPartial
		asked := tight.asked.Load()
		start := time.Now()
		res, err := r.Retrieve(t.Context(), partial)
		if err != nil || len(res.Hits) != 1 || res.Report.Coverage != 0.5 || len(res.Report.Missing) != 1 || res.Report.Missing[0].Reason != search.Shed {
			t.Errorf("%+v, %v: want the other shard's hits, and the full one reported as shed", res.Report, err)
		}
		if took := time.Since(start); took != time.Millisecond || tight.asked.Load() != asked {
			t.Errorf("took %v: want it not to wait for the full shard", took)
		}
		partial.MinCoverage = 0.6
		if _, err := r.Retrieve(t.Context(), partial); fault.Of(err) != fault.Overloaded {
			t.Errorf("%v, want overloaded: half of the documents are not enough", err)
		}
	})
}

// rush is searches that come by chance at a rate, whatever becomes of them.
type rush struct {
	rate    float64 // by the second
	tenants []string
	seed    uint64
}

// goodput sends searches for d and returns how many a second were answered, by tenant.
func (s rush) goodput(r *router.Router, q router.Request, d time.Duration) map[string]float64 {
	rng := rand.New(rand.NewPCG(s.seed, 1))
	var mu sync.Mutex
	var wg sync.WaitGroup
	good := map[string]float64{}
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(time.Duration(rng.ExpFloat64() / s.rate * float64(time.Second)))
		mine := q
		mine.Tenant = s.tenants[rng.IntN(len(s.tenants))]
		wg.Go(func() {
			if _, err := r.Retrieve(context.Background(), mine); err == nil {
				mu.Lock()
				defer mu.Unlock()
				good[mine.Tenant] += 1 / d.Seconds()
			}
		})
	}
	wg.Wait()
	return good
}

// TestOverload_goodputWithAndWithoutLimits is goal G8 in small: under a load of 1.3
// times what the shards can do, searches keep most of it only if those that cannot be
// finished are not begun. The clock is virtual, but which of two goroutines is first is
// chance. In 55 runs, some of them under -race, the shares were 0.13 to 0.39 without
// admission, 0.849 to 0.968 (mean 0.93) by the shards' limits alone, and 1.004 to 1.008
// with the gate, which is what the goal of 0.9 is for: the bounds keep a distance from these.
func TestOverload_goodputWithAndWithoutLimits(t *testing.T) {
	const shards, replicas, slots, work = 4, 2, 2, 10 * time.Millisecond
	capacity := replicas * slots / work.Seconds()
	measure := func(c router.Config) (share float64) {
		synctest.Test(t, func(t *testing.T) {
			stores := make([][]search.Store, shards)
			for i := range stores {
				for range replicas {
					stores[i] = append(stores[i], newBooth(slots, work))
				}
			}
			c.SearchTimeout, c.Lane = 300*time.Millisecond, never()
			r := newRouter(t, c, stores...)
			share = rush{rate: 1.3 * capacity, tenants: []string{""}, seed: 1}.goodput(r, byVector, 10*time.Second)[""] / capacity
		})
		return share
	}
	without := measure(router.Config{Admission: unbounded(), Limit: limit.Config{Off: true}})
	limits := measure(router.Config{Admission: unbounded()})
	both := measure(router.Config{})
	t.Logf("of the capacity: %.3f without admission, %.3f by the shards' limits, %.3f with the gate before them", without, limits, both)
	if limits < 0.75 || both < 0.95 || without > 0.6 {
		t.Errorf("of the capacity: %.3f without admission, %.3f by the shards' limits, %.3f with the gate; want a collapse, 0.75 and 0.95", without, limits, both)
	}
}

// TestOverload_ofOneShardLeavesTheOthersAlone: a tenant that asks for twice what its
// shard can do costs the tenants of another shard nothing.
func TestOverload_ofOneShardLeavesTheOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newBooth(4, 10*time.Millisecond), newBooth(4, 10*time.Millisecond)
		r := newRouter(t, router.Config{SearchTimeout: 300 * time.Millisecond, Lane: never()}, []search.Store{first}, []search.Store{second})
		create(t, r, search.Collection{Name: "tenants", Dims: 2, Placement: search.Placement{By: search.ByTenant}})
		q := byVector
		q.Collection = "tenants"
		home := map[bool]string{} // a tenant on each shard
		for i := 0; len(home) < 2; i++ {
			q.Tenant = fmt.Sprint("tenant-", i)
			before := first.asked.Load()
			if _, err := r.Retrieve(t.Context(), q); err != nil {
				t.Fatal(err)
			}
			home[first.asked.Load() > before] = q.Tenant
		}
		hot, calm := home[true], home[false]
		good := rush{rate: 1000, tenants: []string{hot, hot, hot, calm}, seed: 2}.goodput(r, q, 10*time.Second)
		t.Logf("answered: %v of 750 and 250", good)
		if good[calm] < 230 {
			t.Errorf("%.0f a second of the 250 searches on the idle shard were answered", good[calm])
		}
		if good[hot] < 320 {
			t.Errorf("%.0f a second of the 400 that the hot shard can do", good[hot])
		}
	})
}
