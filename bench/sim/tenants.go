package sim

import (
	"container/list"
	"context"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/balance/limit"
)

// Tenants is a model of servers with caches by tenant, such as model instances
// with prefix caches: a call of a tenant that its server has seen lately is
// four times as fast as another.
type Tenants struct {
	Seed     uint64
	Members  int
	Slots    int     // calls that a member works on at a time
	Cache    int     // tenants that a member remembers, the least recently used of which it forgets
	Tenants  int     // that call with frequencies by Zipf's law, exponent 1
	Load     float64 // share of the capacity if every call hit its cache
	Calls    int
	Affinity bool
	Bound    float64        // of the affinity; 0: the default
	Picker   balance.Picker // without affinity
	Crowded  bool           // members are given any number of calls
}

// Mean service times, log-normal as the replicas'.
const (
	hitService  = 4 * time.Millisecond
	missService = 16 * time.Millisecond
)

// TenantsResult is what became of a run, the first half left out, in which the
// caches fill.
type TenantsResult struct {
	Latencies []time.Duration // sorted
	Hits      float64         // share of the calls that found their tenant cached
	Home      float64         // share of the calls at the member that an idle pool would choose
}

// P returns the latency that a share q of the calls had at most.
func (r TenantsResult) P(q float64) time.Duration {
	return r.Latencies[int(q*float64(len(r.Latencies)))]
}

// cache is a member's memory of tenants.
type cache struct {
	mu    sync.Mutex
	size  int
	order *list.List // most recently used first
	at    map[int]*list.Element
}

// hit notes a call of a tenant and reports whether it was remembered.
func (c *cache) hit(tenant int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.at[tenant]; ok {
		c.order.MoveToFront(e)
		return true
	}
	c.at[tenant] = c.order.PushFront(tenant)
	if c.order.Len() > c.size {
		delete(c.at, c.order.Remove(c.order.Back()).(int)) //nolint:forcetypeassert // only ints are put in
	}
	return false
}

// zipf returns the cumulated frequencies of n tenants, exponent 1.
func zipf(n int) []float64 {
	sum, out := 0.0, make([]float64, n)
	for i := range out {
		sum += 1 / float64(i+1)
		out[i] = sum
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// tenantRun is a run of the model under way.
type tenantRun struct {
	model   Tenants
	pool    *balance.Pool[int]
	homes   []int
	servers []*server
	caches  []*cache
	calls   []tenantCall
}

type tenantCall struct {
	took      time.Duration
	hit, home bool
}

func (m Tenants) open() (*balance.Pool[int], error) {
	lane, err := balance.NewLane(balance.LaneConfig{HedgeDelay: -1, Seed: uint64(draws(m.Seed, 1<<43))})
	if err != nil {
		return nil, err
	}
	members := make([]balance.Member[int], m.Members)
	for i := range members {
		members[i] = balance.Member[int]{Name: fmt.Sprintf("m%d", i), Target: i, Slots: m.Slots}
	}
	return balance.NewPool(balance.Config{Lane: lane, Picker: m.Picker, Bound: m.Bound, Limit: limit.Config{Off: m.Crowded}}, members...)
}

func (m Tenants) call(tenant int) balance.Call {
	if m.Affinity {
		return balance.Call{Affinity: fmt.Sprintf("tenant %d", tenant)}
	}
	return balance.Call{}
}

func newTenantRun(m Tenants) (*tenantRun, error) {
	pool, err := m.open()
	if err != nil {
		return nil, err
	}
	r := &tenantRun{model: m, pool: pool, calls: make([]tenantCall, m.Calls), homes: make([]int, m.Tenants)}
	for range m.Members {
		r.servers = append(r.servers, newServer(m.Slots, Drop))
		r.caches = append(r.caches, &cache{size: m.Cache, order: list.New(), at: make(map[int]*list.Element)})
	}
	for i := range r.homes { // one call at a time: the pool is idle
		where := func(_ context.Context, member int) (int, error) { return member, nil }
		if r.homes[i], err = balance.Do(context.Background(), pool, m.call(i), where); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// RunTenants makes the model's calls at their times and returns what became of them.
func RunTenants(m Tenants) (TenantsResult, error) {
	r, err := newTenantRun(m)
	if err != nil {
		return TenantsResult{}, err
	}
	frequencies := zipf(m.Tenants)
	gap := time.Duration(float64(hitService) / (m.Load * float64(m.Members*m.Slots)))
	s := draws(m.Seed, 1<<41)
	var wg sync.WaitGroup
	start, due := time.Now(), time.Duration(0)
	for i := range m.Calls {
		due += s.exponential(gap)
		tenant := sort.SearchFloat64s(frequencies, s.uniform())
		time.Sleep(due - time.Since(start))
		wg.Go(func() { r.ask(i, min(tenant, m.Tenants-1)) })
	}
	wg.Wait()
	return r.result(), r.pool.Close()
}

// ask makes one call.
func (r *tenantRun) ask(i, tenant int) {
	begun := time.Now()
	c := &r.calls[i]
	_, err := balance.Do(context.Background(), r.pool, r.model.call(tenant), func(ctx context.Context, member int) (int, error) {
		c.home = member == r.homes[tenant]
		c.hit = r.caches[member].hit(tenant)
		s := draws(r.model.Seed, uint64(i)) //nolint:gosec // not negative
		mean := missService
		if c.hit {
			mean = hitService
		}
		return 0, r.servers[member].serve(ctx, time.Duration(float64(s.service(0))*float64(mean)/float64(meanService)))
	})
	if c.took = time.Since(begun); err != nil {
		c.took = time.Hour
	}
}

func (r *tenantRun) result() TenantsResult {
	var out TenantsResult
	counted := r.calls[len(r.calls)/2:] // the caches are warm
	for _, c := range counted {
		out.Latencies = append(out.Latencies, c.took)
		if c.hit {
			out.Hits++
		}
		if c.home {
			out.Home++
		}
	}
	slices.Sort(out.Latencies)
	out.Hits /= float64(len(counted))
	out.Home /= float64(len(counted))
	return out
}
