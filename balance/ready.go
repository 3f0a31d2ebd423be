package balance

import (
	"fmt"
	"math"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// poll is how often a call looks again while the only way back into use is
// another call's attempt, whose end it cannot know.
const poll = 10 * time.Millisecond

// untilReady is how long it takes at least until a member may be picked for a
// call of a cost.
func (c *core) untilReady(entries []entry, cost int64) time.Duration {
	now := c.now()
	wait := time.Duration(math.MaxInt64)
	for i := range entries {
		e := &entries[i]
		least := minDelay
		if e.health.state.Load() == trying {
			least = poll
		}
		if e.quota != nil {
			least = max(least, e.quota.Wait(cost))
		}
		wait = min(wait, max(least, e.health.returns()-now))
	}
	return wait
}

// nobody says why no member could be picked for a call of a cost, and after which
// wait one may be.
func (c *core) nobody(entries []entry, cost int64, wait time.Duration) error {
	if len(entries) == 0 {
		return fault.New(fault.Unavailable, "pool %q has no members", c.name)
	}
	err := &fault.Error{Class: fault.Unavailable, RetryAfter: wait}
	err.Message = fmt.Sprintf("pool %q: no member is healthy and within its quota, the first may be in %v", c.name, wait.Round(time.Millisecond))
	now := c.now()
	for i := range entries {
		used := entries[i].quota != nil && entries[i].quota.Wait(cost) > 0
		if used || int64(now) < entries[i].health.throttled.Load() {
			err.Class = fault.Overloaded
		}
	}
	return err
}
