package balance

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/balance/limit"
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
	// Bound is how far above its fair share of the load a member may be filled by
	// calls with an affinity, as a factor. Default 1.25, at least 1.
	Bound  float64
	Health Health
	// Limit bounds the attempts that each member has at a time, by itself. It is
	// never below the member's slots. A call that finds all members full waits in
	// line, the oldest first; one that would have to wait for more than half
	// of its time (without a deadline: 1 s) is fault.Overloaded.
	Limit limit.Config
	// Hold is how many calls may wait, until their contexts end, while the pool has no
	// members: one that was scaled to zero. As members come up, calls go on as these have slots
	// for them, the oldest first. A tenant may have as many of them as are
	// still free; one more is fault.Overloaded. Default none: a call of an empty pool is
	// fault.Unavailable at once. Calls of [Each], and those with NoWait, are not held.
	Hold  int
	Trace *Trace
}

// Defaults of a pool, and the sizes of its buckets.
const (
	defaultPoolShare     = 0.10
	defaultAbortShare    = 0.20
	defaultFailoverShare = 0.20
	defaultBound         = 1.25
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
	seed      uint64 // of the picks; 0: none
	tasks     tasks
	line      line
	holding   holding
	turn      atomic.Uint64
	calls     atomic.Uint64
	hedged    atomic.Uint64 // attempts made for slowness
	failed    atomic.Uint64 // attempts made for an error
	meanCost  atomic.Uint64 // float64 bits
	born      time.Time
	entries   atomic.Pointer[[]entry] // of the set
	spares    sync.Pool               // calls that are over, of which nobody knows any more
	crew      crew

	mu      sync.Mutex // serialises ejections; guards charges
	charges map[*attempt]*time.Timer
	closers []func() // called first by Close
}

// Pool is a set of interchangeable members. Its methods are safe for concurrent
// use. Some of its goroutines wait for further calls, 0.1 s at most or until Close.
type Pool[T any] struct {
	core  *core
	set   atomic.Pointer[set[T]]
	mu    sync.Mutex         // serialises updates
	known map[string]*member // of the set, and of removed members that must not be forgotten
	all   []Member[T]        // of the last update, those that drain among them

	orders orders
}

// NewPool returns a pool of members. It may be empty, and until an Update its calls are
// then fault.Unavailable, or held (Config.Hold). Its error is fault.Invalid and names every
// field that is wrong.
func NewPool[T any](c Config, members ...Member[T]) (*Pool[T], error) {
	if c.Lane == nil {
		lane, err := NewLane(LaneConfig{Name: c.Name})
		if err != nil {
			return nil, err
		}
		c.Lane = lane
	}
	c.Bound = cmp.Or(c.Bound, defaultBound)
	c.Health = c.Health.withDefaults()
	c.Limit = c.Limit.WithDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("pool %q: %w", c.Name, err)
	}
	p := &Pool[T]{core: newCore(c), known: make(map[string]*member), orders: orders{map[string]bool{}, map[string]float64{}}}
	if err := p.Update(members); err != nil {
		return nil, err
	}
	return p, nil
}

func (c Config) validate() error {
	errs := []error{c.Health.validate(), c.Limit.Validate()}
	if math.IsNaN(c.HedgeShare) || c.HedgeShare > 1 {
		errs = append(errs, fault.New(fault.Invalid, "hedge_share: must be at most 1, is %v", c.HedgeShare))
	}
	if math.IsNaN(c.FailoverShare) || c.FailoverShare > 1 {
		errs = append(errs, fault.New(fault.Invalid, "failover_share: must be at most 1, is %v", c.FailoverShare))
	}
	if !(c.Bound >= 1) || math.IsInf(c.Bound, 1) {
		errs = append(errs, fault.New(fault.Invalid, "bound: must be at least 1, is %v", c.Bound))
	}
	return errors.Join(errs...)
}

func newCore(c Config) *core {
	p := &core{
		name: c.Name, lane: c.Lane, config: c, picker: c.Picker,
		hedges:    newBucket(cmp.Or(c.HedgeShare, defaultPoolShare), poolStart, poolBurst),
		failovers: newBucket(cmp.Or(c.FailoverShare, defaultFailoverShare), failoverStart, failoverBurst),
		tasks:     tasks{idle: make(chan struct{}, 1)},
		holding:   holding{most: c.Hold},
		born:      time.Now(),
		charges:   make(map[*attempt]*time.Timer),
	}
	if c.Lane.config.Seed != 0 {
		p.seed = mix(c.Lane.config.Seed) ^ hash(c.Name)
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

// Update replaces the members. Members that stay, by name, keep their state, and
// calls on members that go are not disturbed. Its error is fault.Invalid and
// names every field that is wrong; the pool is unchanged then.
func (p *Pool[T]) Update(members []Member[T]) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.update(members)
}

// update is Update. The caller holds mu.
func (p *Pool[T]) update(members []Member[T]) error {
	if err := validate(members); err != nil {
		return fmt.Errorf("pool %q: %w", p.core.name, err)
	}
	p.all = slices.Clone(members)
	use, rest := split(&p.orders, members)
	next := newSet(use, p.state)
	next.rest = newSet(rest, p.state).entries
	p.forget(slices.Concat(next.entries, next.rest))
	if p.core.config.HedgeShare == 0 {
		p.core.hedges.share.Store(poolShare(next.aborts))
	}
	p.core.entries.Store(&next.entries)
	p.set.Store(next)
	p.core.keepOne()
	p.core.line.wake()
	p.core.spread()
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
		m = &member{name: name, hash: hash(name)}
		m.health.clean.Store(true)
		if !p.core.config.Limit.Off {
			m.limit = limit.New(p.core.config.Limit)
		}
		if p.set.Load() != nil { // a newcomer
			m.health.since.Store(int64(p.core.now()) + 1)
		}
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

// Name returns the pool's name.
func (p *Pool[T]) Name() string { return p.core.name }

// Members returns a copy of the members, in the order of the last Update.
func (p *Pool[T]) Members() []Member[T] {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.all)
}

// Close refuses further calls, waits for the attempts that still run, those that
// lost and are being cancelled among them, and returns nil. Answers that stay
// open are their owners' to close; Close does not wait for them.
func (p *Pool[T]) Close() error {
	p.core.tasks.refuse()
	p.core.holding.close()
	p.core.spread()
	p.core.discharge()
	p.core.tasks.wait()
	p.core.crew.close()
	return nil
}
