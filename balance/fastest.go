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
		return v.fastest()
	}
	i, j := v.pair()
	if j < 0 {
		return i
	}
	a, b := v.At(i), v.At(j)
	floor := lower(a.atBest(), b.atBest())
	if fastestCost(b, floor) < fastestCost(a, floor) {
		return j
	}
	return i
}

// fastest returns the open position of a small pool with the lowest cost, ties
// at random, or -1.
func (v *View) fastest() int {
	var at [smallPool]int
	var open [smallPool]Candidate
	var floor time.Duration
	n := 0
	for i := range v.entries {
		if v.Open(i) {
			at[n], open[n] = i, v.At(i)
			floor = lower(floor, open[n].atBest())
			n++
		}
	}
	best, lowest, ties := -1, math.Inf(1), 0
	for i, c := range open[:n] {
		switch cost := fastestCost(c, floor); {
		case best < 0 || cost < lowest:
			best, lowest, ties = at[i], cost, 1
		case cost == lowest:
			if ties++; v.Rand(ties) == 0 {
				best = at[i]
			}
		}
	}
	return best
}

// atBest is the latency by which the candidate counts in what is the lowest in
// sight: a penalty raises it as it raises the cost. Else a member that is penalised
// and becomes slower as well would make the others look slower, and not itself.
func (c Candidate) atBest() time.Duration {
	if c.Latency == 0 || c.Penalty == 0 {
		return c.Latency
	}
	return max(c.Latency, time.Duration(float64(c.Penalty)*c.Weight/(c.Queue+1)))
}

// lower returns the lower of two latencies, of which 0 is not known.
func lower(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
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
