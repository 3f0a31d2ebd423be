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

// untilReady is how long it takes at least until a member may be picked.
func (c *core) untilReady(entries []entry) time.Duration {
	now := c.now()
	wait := time.Duration(math.MaxInt64)
	for i := range entries {
		h := &entries[i].health
		if h.state.Load() == trying {
			wait = min(wait, max(poll, h.returns()-now))
		} else {
			wait = min(wait, max(minDelay, h.returns()-now))
		}
	}
	return wait
}

// nobody says why no member could be picked, and after which wait one may be.
func (c *core) nobody(entries []entry, wait time.Duration) error {
	if len(entries) == 0 {
		return fault.New(fault.Unavailable, "pool %q has no members", c.name)
	}
	err := &fault.Error{Class: fault.Unavailable, RetryAfter: wait}
	err.Message = fmt.Sprintf("pool %q: no member is healthy, the first may return in %v", c.name, wait.Round(time.Millisecond))
	now := c.now()
	for i := range entries {
		if int64(now) < entries[i].health.throttled.Load() {
			err.Class = fault.Overloaded
		}
	}
	return err
}
