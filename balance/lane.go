package balance

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// LaneConfig describes a lane. Zero values mean the defaults.
type LaneConfig struct {
	Name string
	// HedgeQuantile of the first attempts' latencies is the hedge delay. Default 0.98.
	// One minus it is best at most half of HedgeShare, as with the defaults: where
	// both are alike, ordinary requests use up the budget and some real stalls go
	// unhedged. Lanes whose extra calls cost money (embeddings, models) accept
	// that: they ask for 0.99 and 1 %, where the share is a bound on the bill. A
	// pool that is slow as a whole, and whose members do not abort cancelled calls,
	// hedges later: not before three times its median.
	HedgeQuantile float64
	// HedgeDelay is used until a class of calls has 200 latencies. Default
	// 30 ms; below 0 the lane never hedges.
	HedgeDelay time.Duration
	// HedgeShare bounds hedges as a share of first attempts, over all pools of
	// the lane. Default 0.05; below 0 the lane never hedges.
	HedgeShare float64
	// Hedges is the most that one call may have. Default 2; below 0 none.
	Hedges int
	// Seed makes the pickers' chance repeatable, for simulations: the n-th pick of a
	// pool of the same name throws the same numbers. 0: another chance every time.
	Seed uint64
}

// Defaults of a lane, and the sizes of its bucket. A full bucket at the start
// of an incident is a synchronised double-send, hence the small start.
const (
	defaultQuantile   = 0.98
	defaultHedgeDelay = 30 * time.Millisecond
	defaultLaneShare  = 0.05
	defaultHedges     = 2
	laneStart         = 2
	laneBurst         = 100
)

// maxClasses bounds what a lane remembers: calls of further classes share one.
const maxClasses = 64

// Lane is what the pools of one kind of upstream share: how long first attempts
// take, by class of call, and the budget of hedges. It has no goroutines and
// needs no Close.
type Lane struct {
	config  LaneConfig
	hedges  *bucket
	mu      sync.Mutex // serialises additions to classes
	classes atomic.Pointer[map[string]*class]
}

// NewLane returns a lane without pools. Its error is fault.Invalid and names
// the fields that are wrong.
func NewLane(c LaneConfig) (*Lane, error) {
	c.HedgeQuantile = cmp.Or(c.HedgeQuantile, defaultQuantile)
	c.HedgeDelay = cmp.Or(c.HedgeDelay, defaultHedgeDelay)
	c.HedgeShare = cmp.Or(c.HedgeShare, defaultLaneShare)
	c.Hedges = cmp.Or(c.Hedges, defaultHedges)
	if err := c.validate(); err != nil {
		return nil, err
	}
	l := &Lane{config: c, hedges: newBucket(c.HedgeShare, laneStart, laneBurst)}
	l.classes.Store(&map[string]*class{"": l.newClass(0)})
	return l, nil
}

func (c LaneConfig) validate() error {
	var errs []error
	if !(c.HedgeQuantile > 0 && c.HedgeQuantile < 1) {
		errs = append(errs, fault.New(fault.Invalid, "lane %q: hedge quantile must be between 0 and 1, is %v", c.Name, c.HedgeQuantile))
	}
	if math.IsNaN(c.HedgeShare) || c.HedgeShare > 1 {
		errs = append(errs, fault.New(fault.Invalid, "lane %q: hedge share must be at most 1, is %v", c.Name, c.HedgeShare))
	}
	return errors.Join(errs...)
}

// hedging reports whether calls of the lane may be hedged at all.
func (l *Lane) hedging() bool {
	return l.config.HedgeDelay > 0 && l.config.HedgeShare > 0 && l.config.Hedges > 0
}

// class returns what the lane knows of a class of calls, and makes it known.
func (l *Lane) class(name string) *class {
	if c, ok := (*l.classes.Load())[name]; ok {
		return c
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	old := *l.classes.Load()
	if c, ok := old[name]; ok {
		return c
	}
	if len(old) >= maxClasses {
		return old[""]
	}
	next := make(map[string]*class, len(old)+1)
	maps.Copy(next, old)
	next[name] = l.newClass(len(old))
	l.classes.Store(&next)
	return next[name]
}
