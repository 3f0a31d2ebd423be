package admit

import (
	"slices"
	"time"
)

// The limiter looks at windows of at least this many calls, and this long or as
// long as calls take: what it sees then has begun under the present limit.
const (
	windowCalls = 50
	windowTime  = 10 * time.Millisecond
	windowMost  = 1000 // latencies kept of a window
	meanOver    = 16   // calls, about
	tail        = 0.9
	shrink      = 0.9  // times the limit, where the tail is above the target
	growth      = 2    // times the limit at most, where calls wait and the tail is below the target
	trial       = 0.5  // of the limit: what has not helped by then will not
	helped      = 0.75 // of the tail before a trial; by Little's law it follows the limit where that is the cause
	above       = 1.25 // times a tail that is none of the limit's making, which is the target then
)

// limiter finds how many calls may be at work. Little's law says how far it may
// grow while it holds calls back: as many times as the tail of the latencies fits
// into the target, since calls that only wait for each other take as many times
// as long then. Above the target it shrinks step by step. It steers by a target and not
// by the ratio to an unloaded latency, since that baseline drifts upwards in a
// long overload; but where half as many calls take as long as before, the limit is not
// the cause, and that latency is the target until it is lower again.
type limiter struct {
	target time.Duration
	least  float64
	most   float64
	limit  float64
	mean   time.Duration // that calls took lately, or should take while none has ended
	last   time.Duration // tail of the last window
	given  time.Duration // tail that a trial did not lower; 0: none
	high   mark          // where the limit began to shrink; zero: it does not
	window
}

// window is the calls that ended lately.
type window struct {
	begun time.Time
	took  []time.Duration
	calls int
	peak  int  // calls at work at a time
	held  bool // calls had to wait
	late  int  // calls that were cut off by their deadline
}

// cut reports whether the tail is of calls that were cut off: they took at least as long.
func (w *window) cut() bool { return float64(w.late) > (1-tail)*float64(w.calls) }

// mark is a limit and the tail at it.
type mark struct {
	limit float64
	took  time.Duration
}

// ended is the end of an admitted call.
type ended struct {
	at   time.Time
	took time.Duration
	busy int  // calls at work, this one among them
	held bool // others had to wait then
	late bool // it was cut off by its deadline
}

func newLimiter(c Config) limiter {
	return limiter{target: c.Target, mean: c.Target, least: float64(c.Least), most: float64(c.Most), limit: float64(c.Start)}
}

func (l *limiter) now() int { return int(l.limit) }

// observe enters a call.
func (l *limiter) observe(c ended) {
	if l.calls == 0 {
		l.begun = c.at
	}
	l.mean += (c.took - l.mean) / meanOver
	l.calls++
	l.peak = max(l.peak, c.busy)
	l.held = l.held || c.held
	if c.late {
		l.late++
	}
	if len(l.took) < windowMost {
		l.took = append(l.took, c.took)
	}
	if l.calls < windowCalls || c.at.Sub(l.begun) < max(windowTime, l.last) {
		return
	}
	slices.Sort(l.took)
	l.last = l.took[int(tail*float64(len(l.took)))]
	l.decide(l.last)
	l.window = window{took: l.took[:0]}
}

// decide sets the limit at the end of a window with a tail of p.
func (l *limiter) decide(p time.Duration) {
	aim := max(float64(l.target), above*float64(l.given))
	fits := aim / float64(max(p, 1))
	inUse := min(l.limit, float64(l.peak))
	switch {
	case fits >= 1:
		l.high = mark{}
		if float64(p) < float64(l.given)/above {
			l.given = p
		}
		if l.held {
			l.limit = min(l.most, max(l.limit+1, l.limit*min(growth, fits)))
		}
	case l.high.took > 0 && l.limit <= max(l.least, trial*l.high.limit) && !l.cut() && float64(p) > helped*float64(l.high.took):
		l.limit, l.given, l.high = l.high.limit, p, mark{}
	default:
		if l.high.took == 0 || l.limit <= trial*l.high.limit {
			l.high = mark{inUse, p}
		}
		l.limit = max(l.least, inUse*shrink)
	}
}
