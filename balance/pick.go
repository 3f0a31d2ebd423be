package balance

import (
	"math"
	"slices"
	"time"
)

// RoundRobin picks the open members in turn. It ignores weights.
type RoundRobin struct{}

// Pick implements [Picker].
func (RoundRobin) Pick(v *View) int {
	n := v.Len()
	for i := range n {
		if at := int((v.Turn() + uint64(i)) % uint64(n)); v.Open(at) { //nolint:gosec // n is small
			return at
		}
	}
	return -1
}

// Random picks any open member. It ignores weights.
type Random struct{}

// Pick implements [Picker].
func (Random) Pick(v *View) int { return v.random(-1) }

// LeastInflight picks the member with the fewest outstanding calls by weight.
type LeastInflight struct{}

// Pick implements [Picker].
func (LeastInflight) Pick(v *View) int { return v.Least(inflightCost) }

// TwoChoices picks the one with fewer outstanding calls by weight of two random
// members (Mitzenmacher, The power of two choices, IEEE TPDS 2001).
type TwoChoices struct{}

// Pick implements [Picker].
func (TwoChoices) Pick(v *View) int { return v.cheaper(inflightCost) }

func inflightCost(c Candidate) float64 { return (c.Queue + 1) / c.Weight }

// PeakEWMA picks the better of two random members by peak-sensitive average
// latency × (outstanding calls + 1) / weight, with a decay of 10 s (Twitter's
// Finagle). A member without a latency counts as 1 s. It is here to be compared.
type PeakEWMA struct{}

// Pick implements [Picker].
func (PeakEWMA) Pick(v *View) int { return v.cheaper(peakCost) }

func peakCost(c Candidate) float64 {
	peak := float64(time.Second)
	if c.Peak > 0 {
		peak = float64(c.Peak) * math.Exp(-c.Age.Seconds()/peakTau.Seconds())
	}
	return max(float64(c.Penalty), peak*(c.Queue+1)/c.Weight)
}

// HotCold picks by the hot-cold lexicographic rule of Prequal (Wydrowski et al.,
// NSDI 2024), with what the pool itself sees in place of probes: a member whose
// queue is in the upper 16 % and not the shortest is hot; the cold member with
// the lowest latency wins, or else the hot one with the shortest queue. It looks
// at 16 members at most. It is here to be compared.
type HotCold struct{}

// Prequal's pool of probes, and the quantile of their queues that is hot.
const (
	probes    = 16
	hotQueues = 0.84
)

// Pick implements [Picker].
func (HotCold) Pick(v *View) int {
	var at [probes]int
	var queues [probes]float64
	n, start := 0, v.Rand(max(v.Len(), 1))
	for i := 0; i < v.Len() && n < probes; i++ {
		if j := (start + i) % v.Len(); v.Open(j) {
			c := v.At(j)
			at[n], queues[n] = j, c.Queue/c.Weight
			n++
		}
	}
	if n == 0 {
		return -1
	}
	sorted := queues
	slices.Sort(sorted[:n])
	hot := sorted[int(math.Ceil(hotQueues*float64(n)))-1]
	best, lowest := -1, math.Inf(1)
	for i, j := range at[:n] {
		cost := hotColdCost(v.At(j), queues[i] >= hot && queues[i] > sorted[0])
		if best < 0 || cost < lowest {
			best, lowest = j, cost
		}
	}
	return best
}

// hotColdCost orders cold members by latency and behind them the hot ones by queue.
func hotColdCost(c Candidate, hot bool) float64 {
	if hot {
		return math.MaxFloat32 * (1 + c.Queue/c.Weight)
	}
	return max(float64(c.Penalty), float64(c.Latency)*math.Exp(-c.Age.Seconds()/tau.Seconds()))
}

// cheaper returns the cheaper of two different random open positions, or -1.
func (v *View) cheaper(cost func(Candidate) float64) int {
	i, j := v.pair()
	if j >= 0 && cost(v.At(j)) < cost(v.At(i)) {
		return j
	}
	return i
}
