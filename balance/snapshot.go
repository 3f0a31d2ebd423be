package balance

import (
	"math"
	"time"
)

// Snapshot is the state of a pool at one moment, as data.
type Snapshot struct {
	Lane, Pool  string
	Calls       uint64                   // since the pool was made
	Hedges      uint64                   // attempts made for slowness
	Failovers   uint64                   // attempts made for an error
	HedgeDelay  map[string]time.Duration // by class; the lane's
	HedgeTokens float64                  // hedges that the pool could afford now
	LaneTokens  float64                  // hedges that all pools of the lane could afford now
	MeanCost    float64                  // of a call
	Running     int64                    // attempts, those that lost and have not returned among them
	Charged     int                      // cancelled attempts whose end nobody saw, still counted as load
	Waiting     int                      // calls in line for a member that is not full, or for the first of an empty pool
	Members     []MemberState            // those that drain last
}

// MemberState is the state of a member at one moment.
type MemberState struct {
	Name     string
	State    State
	Until    time.Time // end of the state, where one is set
	Tier     int
	Slots    int
	Weight   float64                  // configured
	Inflight int64                    // attempts
	Limit    int64                    // that it may have; 0: none
	Load     int64                    // their cost
	Foreign  float64                  // calls of others that it has told of, as far as they still count
	Aborts   bool                     // a cancelled call stops costing it anything
	Measured bool                     // that was measured, not declared
	Latency  map[string]time.Duration // median of the last answers, by class
	Speed    float64                  // cost that one call of its last answers got done in a second; 0: not known
	Ejected  uint64                   // times that it was taken out of use
	// What became of its attempts.
	Good    uint64 // answers
	Unknown uint64 // nothing to learn: the caller left, another attempt was faster, the query was bad
	Slow    uint64 // cut off after more than three times what the pool's members need
	Bad     uint64 // failures
	Busy    uint64 // it asked to be left alone
}

// Snapshot returns the pool's state.
func (p *Pool[T]) Snapshot() Snapshot {
	c, set := p.core, p.set.Load()
	classes := *c.lane.classes.Load()
	s := Snapshot{
		Lane: c.lane.config.Name, Pool: c.name,
		Calls: c.calls.Load(), Hedges: c.hedged.Load(), Failovers: c.failed.Load(),
		HedgeDelay:  make(map[string]time.Duration, len(classes)),
		HedgeTokens: c.hedges.level(), LaneTokens: c.lane.hedges.level(),
		MeanCost: c.meanOf(),
		Running:  c.tasks.n.Load(),
		Waiting:  c.line.Len() + int(c.holding.n.Load()),
		Members:  make([]MemberState, 0, len(set.entries)+len(set.rest)),
	}
	for name, class := range classes {
		s.HedgeDelay[name] = class.hedgeDelay()
	}
	for i := range set.entries {
		s.Members = append(s.Members, c.describe(&set.entries[i], classes))
	}
	for i := range set.rest {
		m := c.describe(&set.rest[i], classes)
		m.State, m.Until = Draining, time.Time{}
		s.Members = append(s.Members, m)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Charged = len(c.charges)
	return s
}

// describe returns the state of one member.
func (c *core) describe(e *entry, classes map[string]*class) MemberState {
	state, until := e.health.stateAt(c.now(), c.config.Health.SlowStart)
	m := MemberState{
		Name: e.name, State: state, Tier: e.tier, Slots: e.slots, Weight: e.weight,
		Inflight: e.inflight.Load(), Load: e.load.Load(), Foreign: e.foreign.calls(c.now()),
		Latency: make(map[string]time.Duration), Speed: math.Float64frombits(e.latency.speed.Load()),
		Good: e.health.outcomes[good].Load(), Unknown: e.health.outcomes[unknown].Load(),
		Slow: e.health.outcomes[slow].Load(), Bad: e.health.outcomes[bad].Load(),
		Busy: e.health.outcomes[throttled].Load(), Ejected: e.health.out.Load(),
	}
	if until > 0 {
		m.Until = c.born.Add(until)
	}
	m.Aborts, m.Measured = e.aborts, e.abort.Load() != unmeasured
	if e.limit != nil {
		m.Limit = e.most(need{})
	}
	for name, class := range classes {
		if w := e.latency.of(class.id); w != nil {
			m.Latency[name] = time.Duration(w.median.Load())
		}
	}
	return m
}
