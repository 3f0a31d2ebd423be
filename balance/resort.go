package balance

import "slices"

// lastResort claims a member for an extra attempt of a call that no open member is left for: -1 where there is none.
//
// A failover, of a call that has failed everywhere else, may go to a full or ejected member. A full one is given the
// call beyond its limit, which the budget of failovers bounds: where one of two members dies the other one has the
// load of both before its limit has grown. An ejected one may have come back, and otherwise the call only fails a
// little later. A hedge may go to an ejected member with room: where the last member in use hangs, one that is back
// before its time is all there is, and the budgets of hedges bound what is tried in vain.
//
// All calls in this position try it, not one alone. Of several members the one that is due first is taken, and full
// ones before ejected ones.
func (r *race) lastResort(why Reason) int {
	v, best := &r.view, -1
	for i := range v.entries {
		if !r.mayResort(i, why) {
			continue
		}
		if best < 0 || v.entries[i].health.due() < v.entries[best].health.due() {
			best = i
		}
	}
	if best < 0 {
		return -1
	}
	e := &v.entries[best]
	r.claimed = claimed{resort: e.health.state.Load() != fit}
	if e.quota != nil {
		held, err := e.quota.Reserve(v.cost)
		if err != nil {
			return -1
		}
		r.claimed.reservation = held
	}
	e.inflight.Add(1) // whatever its limit
	v.tried = append(v.tried, best)
	return best
}

// mayResort reports whether the member at a position is a last resort. A hedge stays in its tier.
func (r *race) mayResort(at int, why Reason) bool {
	v, e := &r.view, &r.view.entries[at]
	switch {
	case int64(v.now) < e.health.throttled.Load() || slices.Contains(v.tried, at):
		return false
	case why == Hedge:
		return e.health.state.Load() != fit && e.tier == v.tier && e.room(v.need()) > 0
	}
	return why == Failover
}
