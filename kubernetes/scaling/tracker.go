package scaling

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
)

// Figure is what the routers together know of a pool.
type Figure struct {
	Lane, Pool  string
	Outstanding float64 // work that was begun and is not done, smoothed
	Queue       float64 // calls that wait for room, smoothed
	SlotsUsed   float64 // calls that run, at most as many as there are slots, smoothed
	Inflight    float64 // calls that run, smoothed
	FirstMS     float64 // median time to an answer's beginning, smoothed; 0: none yet
	Desired     int     // members; -1: not to be said, since nobody knows their slots
	At          time.Time
}

// Time constants. A gauge rises fast and falls slowly, so that an autoscaler that asks
// now and then neither misses a rise nor follows every wave. Arrivals and their trend
// are Holt's double exponential smoothing (1957).
const (
	rise      = 5 * time.Second
	fall      = 30 * time.Second
	level     = 15 * time.Second
	trend     = 90 * time.Second
	memory    = 5 * time.Minute // of the rate
	keepAfter = time.Minute     // that a router was heard of last, its readings count
)

// few calls a second are those of a pool that is not idle: they need one member.
const few = 1e-6

// Tracker follows the pools of all routers. Its methods are safe for concurrent use.
type Tracker struct {
	target func(lane, pool string) Target

	mu      sync.Mutex
	routers map[string]heard
	pools   map[name]*pool
}

type name struct{ lane, pool string }

// heard is what a router said last.
type heard struct {
	at       time.Time
	readings map[name]Reading
}

// pool is what is remembered of a pool.
type pool struct {
	at, called  time.Time // of the last reading; of the last call
	outstanding float64
	queue       float64
	used        float64
	inflight    float64
	first       float64
	arrivals    float64 // calls by the second
	growth      float64
	done, full  float64 // calls, and the member seconds, weighed, that they took
	meanCost    float64
	slots       float64 // of one member; 0: not known
	desired     int
}

// NewTracker returns a Tracker. target says what is wanted of each pool; nil: the
// defaults.
func NewTracker(target func(lane, pool string) Target) *Tracker {
	if target == nil {
		target = func(string, string) Target { return Target{} }
	}
	return &Tracker{target: target, routers: map[string]heard{}, pools: map[name]*pool{}}
}

// Observe takes the readings that routers, by name, have given at a moment. It is to be
// called every few seconds. A router that is missing counts with its last gauges for a
// minute.
func (t *Tracker) Observe(now time.Time, told map[string][]Reading) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sums := map[name]*sum{}
	for router, readings := range told {
		before, next := t.routers[router], heard{at: now, readings: make(map[name]Reading, len(readings))}
		for _, r := range readings {
			n := name{r.Lane, r.Pool}
			next.readings[n] = r
			last, known := before.readings[n]
			sumOf(sums, n).count(r, last, known)
		}
		t.routers[router] = next
	}
	for router, h := range t.routers {
		if now.Sub(h.at) > keepAfter {
			delete(t.routers, router)
			continue
		}
		for n, r := range h.readings {
			sumOf(sums, n).add(r)
		}
	}
	for n, s := range sums {
		if t.pools[n] == nil {
			t.pools[n] = newPool(now, s)
		}
		t.pools[n].observe(now, s, t.target(n.lane, n.pool).WithDefaults())
	}
	maps.DeleteFunc(t.pools, func(n name, p *pool) bool { return sums[n] == nil && now.Sub(p.at) > keepAfter })
}

// Figures returns what is known of every pool, in the order of their names.
func (t *Tracker) Figures() []Figure {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]Figure, 0, len(t.pools))
	for n, p := range t.pools {
		out = append(out, Figure{
			Lane: n.lane, Pool: n.pool, Outstanding: p.outstanding, Queue: p.queue, SlotsUsed: p.used,
			Inflight: p.inflight, FirstMS: p.first, Desired: p.desired, At: p.at,
		})
	}
	slices.SortFunc(out, func(a, b Figure) int { return cmp.Or(cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.Pool, b.Pool)) })
	return out
}

// sum is a pool's readings over the routers.
type sum struct {
	Reading
	calls, ended float64 // since the last readings
	first        float64 // times the calls of those that know it
	firsts       float64
}

func sumOf(sums map[name]*sum, n name) *sum {
	if sums[n] == nil {
		sums[n] = &sum{}
	}
	return sums[n]
}

// count adds what has happened at a router since its last reading. One that is new, or
// has begun anew, has nothing to compare with.
func (s *sum) count(r, last Reading, known bool) {
	if known && r.Calls >= last.Calls && r.Ended >= last.Ended {
		s.calls += float64(r.Calls - last.Calls)
		s.ended += float64(r.Ended - last.Ended)
	}
}

// add adds a router's gauges. All routers see the same members.
func (s *sum) add(r Reading) {
	s.Waiting += r.Waiting
	s.Inflight += r.Inflight
	s.Load += r.Load
	s.MeanCost = max(s.MeanCost, r.MeanCost)
	s.Members = max(s.Members, r.Members)
	s.Slots = max(s.Slots, r.Slots)
	if r.FirstMS > 0 {
		s.first += r.FirstMS * float64(r.Calls)
		s.firsts += float64(r.Calls)
	}
}

// newPool begins to follow a pool. One that has members may have been used until now.
func newPool(now time.Time, s *sum) *pool {
	p := &pool{at: now}
	if s.Members > 0 {
		p.called = now
	}
	return p
}

func (p *pool) observe(now time.Time, s *sum, t Target) {
	dt := max(now.Sub(p.at).Seconds(), 0)
	p.at = now
	p.meanCost = cmp.Or(s.MeanCost, p.meanCost, 1)
	if p.slots = cmp.Or(float64(t.Slots), p.slots); s.Members > 0 && s.Slots > 0 {
		p.slots = float64(s.Slots) / float64(s.Members)
	}
	running, room := float64(s.Inflight), p.slots*float64(s.Members)
	p.outstanding = smooth(p.outstanding, float64(s.Load)+float64(s.Waiting)*p.meanCost, dt)
	p.queue = smooth(p.queue, float64(s.Waiting), dt)
	p.inflight = smooth(p.inflight, running, dt)
	used := running
	if p.slots > 0 {
		used = min(running, room)
	}
	p.used = smooth(p.used, used, dt)
	if s.firsts > 0 {
		p.first = smooth(p.first, s.first/s.firsts, dt)
	}
	p.arrive(now, s, dt)
	p.learn(s, dt)
	p.plan(now, s, t)
}

// smooth moves a gauge towards a sample.
func smooth(value, sample, dt float64) float64 {
	over := rise
	if sample < value {
		over = fall
	}
	return value + (sample-value)*weight(dt, over)
}

// weight is that of what happened in the last dt seconds.
func weight(dt float64, over time.Duration) float64 { return 1 - math.Exp(-dt/over.Seconds()) }

// arrive follows the rate of calls and its trend.
func (p *pool) arrive(now time.Time, s *sum, dt float64) {
	if s.calls > 0 || s.Inflight > 0 || s.Waiting > 0 {
		p.called = now
	}
	if dt == 0 {
		return
	}
	before := p.arrivals
	p.arrivals += p.growth * dt
	p.arrivals = max(p.arrivals+(s.calls/dt-p.arrivals)*weight(dt, level), 0)
	p.growth += ((p.arrivals-before)/dt - p.growth) * weight(dt, trend)
}

// learn follows how many calls a member ends in a second while its slots are full. The
// fuller they are, the more a reading says, since engines slow down as they fill.
func (p *pool) learn(s *sum, dt float64) {
	room := p.slots * float64(s.Members)
	if room == 0 {
		return
	}
	full := min(float64(s.Inflight)/room, 1)
	keep := 1 - weight(dt, memory)
	p.done = p.done*keep + full*s.ended
	p.full = p.full*keep + full*full*float64(s.Members)*dt
}

// plan says how many members are needed.
func (p *pool) plan(now time.Time, s *sum, t Target) {
	if p.slots == 0 {
		p.desired = -1
		return
	}
	if now.Sub(p.called) >= t.Idle {
		p.arrivals, p.growth = 0, 0
	} else {
		p.arrivals = max(p.arrivals, few)
	}
	n := Need{Arrivals: p.arrivals, Growth: p.growth, Members: s.Members}
	n.Backlog = float64(s.Waiting) + max(float64(s.Inflight)-p.slots*float64(s.Members), 0)
	if p.full > 0 {
		n.Rate = p.done / p.full
	}
	p.desired = Desired(n, t)
}
