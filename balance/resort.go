package balance

import "slices"

// lastResort claims a member that is full or ejected for a call that has failed everywhere else. A full
// one is given the call beyond its limit, which the budget of failovers bounds: where one of two members dies
// the other one has the load of both before its limit has grown. An ejected one may have come back, and otherwise the
// call only fails a little later. All calls in this position try it, not one alone. Of several the
// one that is due first is taken, and full ones before ejected ones; -1 where there is none.
func (r *race) lastResort() int {
	v, best := &r.view, -1
	for i := range v.entries {
		h := &v.entries[i].health
		if int64(v.now) < h.throttled.Load() || slices.Contains(v.tried, i) {
			continue
		}
		if best < 0 || h.due() < v.entries[best].health.due() {
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
