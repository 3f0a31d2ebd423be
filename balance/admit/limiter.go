package admit

import (
	"slices"
	"time"
)

// The limiter looks at windows of at least this many calls, and this long.
const (
	windowCalls = 50
	windowTime  = 200 * time.Millisecond
	windowMost  = 1000 // latencies kept of a window
	meanOver    = 16   // calls, about
	tail        = 0.9
	shrink      = 0.9  // times the limit, where the tail is above the target
	growth      = 0.25 // of the limit, where calls wait and the tail is at nothing; less as it nears the target
)

// limiter finds how many calls may be at work: additive increase while the tail
// of the latencies is below the target and the limit is what holds calls back,
// faster the further below, and multiplicative decrease above it (after Chiu and
// Jain, 1989). It steers by a target and not by the ratio to an unloaded latency,
// since that baseline drifts upwards in a long overload.
type limiter struct {
	target time.Duration
	least  float64
	most   float64
	limit  float64
	mean   time.Duration // that calls took lately, or should take while none has ended
	begun  time.Time
	took   []time.Duration
	calls  int
	held   bool // calls had to wait during the window
}

func newLimiter(c Config) limiter {
	return limiter{target: c.Target, mean: c.Target, least: float64(c.Least), most: float64(c.Most), limit: float64(c.Start)}
}

func (l *limiter) now() int { return int(l.limit) }

// observe enters the latency of an admitted call; waiting says whether others
// had to wait when it ended.
func (l *limiter) observe(now time.Time, took time.Duration, waiting bool) {
	if l.calls == 0 {
		l.begun = now
	}
	l.mean += (took - l.mean) / meanOver
	l.calls++
	l.held = l.held || waiting
	if len(l.took) < windowMost {
		l.took = append(l.took, took)
	}
	if l.calls < windowCalls || now.Sub(l.begun) < windowTime {
		return
	}
	slices.Sort(l.took)
	switch p := l.took[int(tail*float64(len(l.took)))]; {
	case p > l.target:
		l.limit = max(l.least, l.limit*shrink)
	case l.held:
		l.limit = min(l.most, l.limit+max(1, l.limit*growth*(1-float64(p)/float64(l.target))))
	}
	l.took, l.calls, l.held = l.took[:0], 0, false
}
