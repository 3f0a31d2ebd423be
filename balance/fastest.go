package balance

import (
	"math"
	"time"
)

// smallPool is the size up to which [Fastest] looks at all members.
const smallPool = 8

// Fastest is the default: it picks the member that will answer soonest: it compares
// max(penalty, median latency × (outstanding calls + 1) / weight), over all
// members of pools up to 8 and over two random ones of larger pools. A latency
// that is not observed any more decays (time constant 1 s) towards the lowest in
// sight, so that an avoided member is tried again; a member without a latency
// counts as the fastest in sight, behind its slow start.
type Fastest struct{}

// Pick implements [Picker].
func (Fastest) Pick(v *View) int {
	if v.Len() <= smallPool {
		floor := v.lowest()
		return v.least(func(c Candidate) float64 { return fastestCost(c, floor) })
	}
	i, j := v.pair()
	if j < 0 {
		return i
	}
	a, b := v.At(i), v.At(j)
	floor := min(a.Latency, b.Latency)
	if floor == 0 {
		floor = max(a.Latency, b.Latency)
	}
	if fastestCost(b, floor) < fastestCost(a, floor) {
		return j
	}
	return i
}

// lowest returns the lowest latency of the open members, or 0 where none is known.
func (v *View) lowest() time.Duration {
	lowest := time.Duration(math.MaxInt64)
	for i := range v.Len() {
		if !v.Open(i) {
			continue
		}
		if w := v.entries[i].latency.of(v.class); w != nil && w.median.Load() > 0 {
			lowest = min(lowest, time.Duration(w.median.Load()))
		}
	}
	if lowest == math.MaxInt64 {
		return 0
	}
	return lowest
}

// fastestCost is when the member is expected to answer, in nanoseconds. floor is
// the lowest latency in sight.
func fastestCost(c Candidate, floor time.Duration) float64 {
	m := float64(max(c.Latency, 1))
	if c.Latency == 0 {
		m = float64(max(floor, 1))
	} else if c.Age > tau/100 {
		m = max(m*math.Exp(-c.Age.Seconds()/tau.Seconds()), float64(min(floor, c.Latency)))
	}
	return max(float64(c.Penalty), m*(c.Queue+1)/c.Weight)
}
