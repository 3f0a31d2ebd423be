package balance

import "slices"

// lastResort claims an ejected member for a call that has failed everywhere else: it
// may have come back, and otherwise the call only fails a little later. All calls in this
// position try it, not one alone. Of several the one that is due first is taken;
// -1 where there is none.
func (r *race) lastResort() int {
	v, best := &r.view, -1
	for i := range v.entries {
		h := &v.entries[i].health
		if h.state.Load() == fit || int64(v.now) < h.throttled.Load() || slices.Contains(v.tried, i) {
			continue
		}
		if best < 0 || h.back.Load() < v.entries[best].health.back.Load() {
			best = i
		}
	}
	if best < 0 {
		return -1
	}
	e := &v.entries[best]
	r.claimed = claimed{resort: true}
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
