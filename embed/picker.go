package embed

import (
	"math"
	"time"

	"github.com/lanewise/lanewise/balance"
)

// soonest picks the upstream that will have done its outstanding tokens, and those of the call, first, by the
// tokens a second that its last answers came to. A speed that is not observed any more decays towards
// the highest in sight, so that a slow upstream is tried again; an upstream without one counts as the fastest.
type soonest struct{}

// forgotten is how long a speed is good without an answer.
const forgotten = time.Second

// Pick implements [balance.Picker].
func (soonest) Pick(v *balance.View) int {
	best := 0.0
	for i := range v.Len() {
		if v.Open(i) {
			best = max(best, v.At(i).Speed)
		}
	}
	if best == 0 { // nothing is known yet
		return balance.Fastest{}.Pick(v)
	}
	return v.Least(func(c balance.Candidate) float64 { return waitFor(c, best) })
}

// waitFor is how many seconds an upstream will take, where the fastest one has the speed best.
func waitFor(c balance.Candidate, best float64) float64 {
	speed := best
	if c.Speed > 0 {
		known := math.Exp(-c.Age.Seconds() / forgotten.Seconds())
		speed = known*c.Speed + (1-known)*best
	}
	return max(c.Work/speed, c.Penalty.Seconds()) / c.Weight
}
