package balance

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"
)

// Picker chooses a member for an attempt. Pick returns a position of v that is
// open, or -1 where none is. It must be a pure function of v (chance comes from
// v.Rand), and is called by many goroutines at once, each with its own v.
type Picker interface {
	Pick(v *View) int
}

// View is what a picker sees of a pool while it picks for one attempt: its
// members by position, of which some are open: healthy, of the tier in use, and
// untried by the call. A View is valid during Pick only.
type View struct {
	entries   []entry
	tried     []int
	tier      int
	class     int
	now       time.Duration // pool time
	mean      float64       // cost of a call
	turn      uint64
	key       uint64 // of the call's affinity; 0: none
	cost      int64  // of the call
	bound     float64
	slowStart time.Duration
	rand      func(n int) int // of tests; nil: by seed
	seed      uint64          // of the next throw; 0: math/rand
}

// Candidate is a member as a picker sees it.
type Candidate struct {
	Weight  float64       // configured, and less while the member starts up
	Queue   float64       // outstanding calls; in lanes that count tokens, outstanding tokens by the tokens of a mean call
	Latency time.Duration // median of the last successful answers of the call's class; 0: none yet
	Age     time.Duration // since that was observed
	Peak    time.Duration // peak-sensitive average of the latencies of all classes; 0: none yet
	Penalty time.Duration // for errors: the member counts as no faster than this
	Work    float64       // outstanding cost, with that of the call
	Speed   float64       // cost that one call of its last answers got done in a second; 0: none yet
}

// Len returns the number of positions.
func (v *View) Len() int { return len(v.entries) }

// Open reports whether position i may be picked.
func (v *View) Open(i int) bool {
	e := &v.entries[i]
	return e.tier == v.tier && !slices.Contains(v.tried, i) && e.ready(v.need(), v.now)
}

// need is what the call asks of a member.
func (v *View) need() need { return need{v.cost, v.key != 0} }

// Turn counts the picks of the pool.
func (v *View) Turn() uint64 { return v.turn }

// Rand returns a random number from 0 to n-1.
func (v *View) Rand(n int) int {
	if v.rand != nil {
		return v.rand(n)
	}
	if v.seed != 0 {
		v.seed += golden
		at, _ := bits.Mul64(mix(v.seed), uint64(n)) //nolint:gosec // not negative
		return int(at)                              //nolint:gosec // below n
	}
	return rand.IntN(n) //nolint:gosec // chance, not secrets
}

// At describes the member at position i.
func (v *View) At(i int) Candidate {
	e := &v.entries[i]
	load := v.loadOf(e)
	c := Candidate{
		Weight:  e.weight * e.health.share(v.now, v.slowStart),
		Penalty: e.health.penaltyAt(v.now),
		Queue:   load / v.mean,
		Work:    load + float64(v.cost),
		Speed:   math.Float64frombits(e.latency.speed.Load()),
		Peak:    time.Duration(math.Float64frombits(e.latency.peak.Load())),
	}
	if w := e.latency.of(v.class); w != nil {
		c.Latency = time.Duration(w.median.Load())
		c.Age = v.now - time.Duration(w.seen.Load())
	}
	return c
}

// random returns an open position at random, or -1: by a few throws, so that a
// large pool is not walked through, then by counting.
func (v *View) random(not int) int {
	n := v.Len()
	for range 4 {
		if n == 0 {
			return -1
		}
		if i := v.Rand(n); i != not && v.Open(i) {
			return i
		}
	}
	found, seen := -1, 0
	for i := range n {
		if i == not || !v.Open(i) {
			continue
		}
		if seen++; v.Rand(seen) == 0 {
			found = i
		}
	}
	return found
}

// Least returns the open position with the lowest cost, ties at random, or -1.
func (v *View) Least(cost func(Candidate) float64) int {
	best, lowest, ties := -1, math.Inf(1), 0
	for i := range v.Len() {
		if !v.Open(i) {
			continue
		}
		switch c := cost(v.At(i)); {
		case best < 0 || c < lowest:
			best, lowest, ties = i, c, 1
		case c == lowest:
			if ties++; v.Rand(ties) == 0 {
				best = i
			}
		}
	}
	return best
}

// pair returns two different random open positions. The second, or both, are -1
// where there are not as many.
func (v *View) pair() (i, j int) {
	if i = v.random(-1); i < 0 {
		return -1, -1
	}
	return i, v.random(i)
}
