package balance

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// Config describes a pool. Zero values mean the defaults.
type Config struct {
	Name   string
	Lane   *Lane  // shared by the pools of one kind of upstream; nil: a lane of its own, with defaults
	Picker Picker // default: Fastest
	// HedgeShare bounds hedges as a share of the pool's first attempts, since a
	// lane's hedges gather on its sick pool. Default 0.10, and 0.20 where all
	// members abort cancelled calls; below 0 the pool never hedges.
	HedgeShare float64
	// FailoverShare bounds failovers as a share of first attempts. Default 0.20;
	// below 0 there are none.
	FailoverShare float64
	Trace         *Trace
}

// Defaults of a pool, and the sizes of its buckets.
const (
	defaultPoolShare     = 0.10
	defaultAbortShare    = 0.20
	defaultFailoverShare = 0.20
	poolStart            = 2
	poolBurst            = 20
	failoverStart        = 10
	failoverBurst        = 100
)

// core is a pool without its targets' type.
type core struct {
	name      string
	lane      *Lane
	config    Config
	picker    Picker
	traces    *traces
	hedges    *bucket
	failovers *bucket
	tasks     tasks
	turn      atomic.Uint64
	meanCost  atomic.Uint64 // float64 bits
	born      time.Time
	seed      maphash.Seed
}

// Pool is a set of interchangeable members. Its methods are safe for concurrent use.
type Pool[T any] struct {
	core  *core
	set   atomic.Pointer[set[T]]
	mu    sync.Mutex         // serialises updates
	known map[string]*member // of the set, and of removed members that must not be forgotten
}

// NewPool returns a pool of members. It may be empty, and is then
// fault.Unavailable until an Update. Its error is fault.Invalid and names every
// field that is wrong.
func NewPool[T any](c Config, members ...Member[T]) (*Pool[T], error) {
	if c.Lane == nil {
		lane, err := NewLane(LaneConfig{Name: c.Name})
		if err != nil {
			return nil, err
		}
		c.Lane = lane
	}
	if math.IsNaN(c.HedgeShare) || c.HedgeShare > 1 || math.IsNaN(c.FailoverShare) {
		return nil, fault.New(fault.Invalid, "pool %q: hedge share must be at most 1, is %v", c.Name, c.HedgeShare)
	}
	p := &Pool[T]{core: newCore(c), known: make(map[string]*member)}
	if err := p.Update(members); err != nil {
		return nil, err
	}
	return p, nil
}

func newCore(c Config) *core {
	p := &core{
		name: c.Name, lane: c.Lane, config: c, picker: c.Picker,
		hedges:    newBucket(cmp.Or(c.HedgeShare, defaultPoolShare), poolStart, poolBurst),
		failovers: newBucket(cmp.Or(c.FailoverShare, defaultFailoverShare), failoverStart, failoverBurst),
		tasks:     tasks{idle: make(chan struct{}, 1)},
		born:      time.Now(),
		seed:      maphash.MakeSeed(),
	}
	if p.picker == nil {
		p.picker = Fastest{}
	}
	if c.Trace != nil {
		p.traces = &traces{Trace: c.Trace}
	}
	return p
}

// now is the pool's time: monotonic, from its birth.
func (c *core) now() time.Duration { return time.Since(c.born) }

// mean enters the cost of a call and returns the mean of the last hundred or so.
// Entries that are lost to a race do not matter.
func (c *core) mean(cost int64) float64 {
	old := math.Float64frombits(c.meanCost.Load())
	if old == float64(cost) {
		return old
	}
	if old == 0 {
		old = float64(cost)
	}
	mean := old + (float64(cost)-old)/64
	c.meanCost.Store(math.Float64bits(mean))
	return mean
}

// earn gives every budget its share of a first attempt.
func (c *core) earn() {
	c.lane.hedges.earn()
	c.hedges.earn()
	c.failovers.earn()
}

// afford takes an extra attempt from the budgets that bound it.
func (c *core) afford(why Reason) bool {
	if why == Failover {
		return c.failovers.take()
	}
	if !c.hedges.take() {
		return false
	}
	if !c.lane.hedges.take() {
		c.hedges.refund()
		return false
	}
	return true
}

func (c *core) refund(why Reason) {
	if why == Failover {
		c.failovers.refund()
		return
	}
	c.hedges.refund()
	c.lane.hedges.refund()
}

// nobody says why no member could be picked.
func (c *core) nobody(entries []entry) error {
	if len(entries) == 0 {
		return fault.New(fault.Unavailable, "pool %q has no members", c.name)
	}
	return fault.New(fault.Unavailable, "pool %q has no healthy member", c.name)
}

// Update replaces the members. Members that stay, by name, keep their state, and
// calls on members that go are not disturbed. Its error is fault.Invalid and
// names every field that is wrong; the pool is unchanged then.
func (p *Pool[T]) Update(members []Member[T]) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := validate(members); err != nil {
		return fmt.Errorf("pool %q: %w", p.core.name, err)
	}
	next := newSet(members, p.state)
	p.forget(next.entries)
	if p.core.config.HedgeShare == 0 {
		p.core.hedges.share.Store(poolShare(next.aborts))
	}
	p.set.Store(next)
	return nil
}

// poolShare is the default share of a pool's hedges, in millionths.
func poolShare(aborts bool) int64 {
	if aborts {
		return defaultAbortShare * token
	}
	return defaultPoolShare * token
}

// state returns what is known of a member. The caller holds mu.
func (p *Pool[T]) state(name string) *member {
	m, ok := p.known[name]
	if !ok {
		m = &member{name: name, hash: maphash.String(p.core.seed, name)}
		p.known[name] = m
	}
	return m
}

// forget drops the state of members that have left and hold neither load nor an
// ejection. The caller holds mu.
func (p *Pool[T]) forget(stay []entry) {
	now := p.core.now()
	for name, m := range p.known {
		stays := slices.ContainsFunc(stay, func(e entry) bool { return e.member == m })
		if !stays && m.inflight.Load() == 0 && m.health.ready(now) {
			delete(p.known, name)
		}
	}
}

// Members returns a copy of the members, in the order of the last Update.
func (p *Pool[T]) Members() []Member[T] { return slices.Clone(p.set.Load().members) }

// Close refuses further calls, waits for the attempts that still run, those that
// lost and are being cancelled among them, and returns nil. Answers that stay
// open are their owners' to close; Close does not wait for them.
func (p *Pool[T]) Close() error {
	p.core.tasks.close()
	return nil
}
