package balance

import (
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/balance/limit"
	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/fault"
)

// Member is one place in a pool. Name identifies it: a member that stays, or
// comes back, under its name keeps its load, its latencies and its health.
type Member[T any] struct {
	Name   string
	Target T       // what calls are made with
	Weight float64 // share of the load relative to other members; 0: 1
	Slots  int     // calls that it runs at the same time; 0: not known
	Tier   int     // a tier is used only while the ones before it have no healthy capacity
	Aborts bool    // a cancelled call stops costing the upstream anything; [Pool.Learn] knows better
	// Quota is what the upstream allows by the minute; nil: no limit. Each attempt
	// reserves the call's cost as tokens, and settles with its real cost. A member
	// whose quota is used up is passed over until it is not.
	Quota *quota.Bucket
}

// member is the state behind a name: load, latencies and health. It outlives
// every set of members that it stands in.
type member struct {
	name     string
	hash     uint64
	inflight atomic.Int64 // attempts
	load     atomic.Int64 // their cost
	latency  latencies
	health   health
	limit    *limit.Limiter // nil: none
	abort    atomic.Int32   // what was measured of cancelled calls
	foreign  foreign
}

// entry is a member as one set holds it.
type entry struct {
	*member
	weight float64
	slots  int
	tier   int
	aborts bool
	quota  *quota.Bucket
}

// need is what a call asks of a member.
type need struct {
	cost int64
	home bool // it has an affinity
}

// ready reports whether the member may be used for a call, at pool time now.
func (e *entry) ready(n need, now time.Duration) bool {
	return e.room(n) > 0 && e.fit(n, now)
}

// fit reports whether the member may be used for a call as soon as it is not full.
func (e *entry) fit(n need, now time.Duration) bool {
	return e.health.ready(now) && (e.quota == nil || e.quota.Wait(n.cost) == 0)
}

// claim takes a ready member for a call: one of the attempts that it may have at
// a time, its quota, and the trial where it has to prove itself. ok is false if
// it is not ready any more.
func (e *entry) claim(n need, now time.Duration) (c claimed, ok bool) {
	if !e.enter(n) {
		return c, false
	}
	if e.quota != nil {
		r, err := e.quota.Reserve(n.cost)
		if err != nil {
			e.inflight.Add(-1)
			return c, false
		}
		c.reservation = r
	}
	if c.probe, ok = e.health.claim(now); !ok {
		e.inflight.Add(-1)
		if c.reservation != nil {
			c.reservation.Cancel()
		}
	}
	return c, ok
}

// claimed is what an attempt has taken of a member before it begins.
type claimed struct {
	probe       bool // it tries a member that was ejected
	resort      bool // the member is ejected, and there is no other: see lastResort
	reservation *quota.Reservation
}

// set is an immutable list of members with their targets, position by position.
type set[T any] struct {
	members
	targets []Member[T]
	rest    []entry // members that drain
}

// newSet builds a set of valid members, which it keeps, taking known members' state from old by name.
func newSet[T any](list []Member[T], state func(name string) *member) *set[T] {
	s := &set[T]{targets: list}
	s.entries = make([]entry, len(list))
	s.aborts = len(list) > 0
	for i, m := range list {
		weight := m.Weight
		if weight == 0 {
			weight = 1
		}
		known := state(m.Name)
		aborts := known.aborts(m.Aborts)
		s.entries[i] = entry{member: known, weight: weight, slots: m.Slots, tier: m.Tier, aborts: aborts, quota: m.Quota}
		s.aborts = s.aborts && aborts
	}
	s.tiers = tiersOf(s.entries)
	return s
}

// validate names every wrong field of members by its path.
func validate[T any](members []Member[T]) error {
	var errs []error
	bad := func(i int, field, format string, args ...any) {
		errs = append(errs, fault.New(fault.Invalid, "members[%d].%s: "+format, append([]any{i, field}, args...)...))
	}
	seen := make(map[string]int, len(members))
	for i, m := range members {
		if m.Name == "" {
			bad(i, "name", "must not be empty")
		} else if first, ok := seen[m.Name]; ok {
			bad(i, "name", "%q is the name of members[%d] already", m.Name, first)
		} else {
			seen[m.Name] = i
		}
		if !(m.Weight >= 0) || math.IsInf(m.Weight, 1) { // NaN too
			bad(i, "weight", "must be a positive number, is %v", m.Weight)
		}
		if m.Slots < 0 {
			bad(i, "slots", "must not be negative, is %d", m.Slots)
		}
		if m.Tier < 0 {
			bad(i, "tier", "must not be negative, is %d", m.Tier)
		}
	}
	return errors.Join(errs...)
}
