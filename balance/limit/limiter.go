package limit

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// Config bounds a limit. Zero values mean the defaults.
type Config struct {
	// Least, Start and Most bound the calls that a member has at a time. Default
	// 4, 64 and 4,096; a Start or a Most that is not set is never below the ones
	// before it.
	Least, Start, Most int
	// Tolerance is how many times its usual latency a member's calls may take
	// before it gets fewer. Default 2, above 1.
	Tolerance float64
	// Off leaves the members without a limit.
	Off bool
}

// WithDefaults returns the configuration with its defaults filled in.
func (c Config) WithDefaults() Config {
	c.Least = cmp.Or(c.Least, 4)
	c.Start = cmp.Or(c.Start, max(c.Least, 64))
	c.Most = cmp.Or(c.Most, max(c.Start, 4096))
	c.Tolerance = cmp.Or(c.Tolerance, 2)
	return c
}

// Validate returns what is wrong with a configuration whose defaults are filled
// in, as fault.Invalid that names every field, or nil.
func (c Config) Validate() error {
	var errs []error
	if c.Least < 1 || c.Start < c.Least || c.Most < c.Start {
		errs = append(errs, fault.New(fault.Invalid,
			"limit.least, limit.start, limit.most: must be at least 1 and in this order, are %d, %d, %d", c.Least, c.Start, c.Most))
	}
	if !(c.Tolerance > 1) || math.IsInf(c.Tolerance, 1) {
		errs = append(errs, fault.New(fault.Invalid, "limit.tolerance: must be above 1, is %v", c.Tolerance))
	}
	return errors.Join(errs...)
}

const (
	windowCalls = 32 // a decision needs as many calls, of one class,
	windowTime  = 200 * time.Millisecond
	shrink      = 0.9  // times the limit, where calls take too long
	growth      = 0.25 // of the limit, where calls are held back and take as long as ever
	trial       = 0.5  // of the limit: what has not helped by then will not
	helped      = 0.75 // of the latency before a trial; by Little's law it follows the limit where that is the cause
	period      = 10 * time.Second
	heldWindows = 4 // in a row, before a trial
	maxClasses  = 64
)

// Limiter is the limit of one member: additive increase and multiplicative
// decrease (Chiu and Jain, Computer Networks 1989), steered by the ratio of the
// present latency to the usual one as in TCP Vegas (Brakmo and Peterson, IEEE
// JSAC 1995). Latencies are medians of windows, so that rare stalls say nothing.
//
// Both ways in which such a limit goes wrong have the same cure, a trial at half
// the limit. A member that has become slower for good would be throttled for
// ever: where the trial does not bring the latency down, the queue is not of this
// limit's making, and what is usual is corrected upwards. And in a long overload
// the queue itself would become what is usual: so a limit that holds calls back
// is tried every 10 s, as BBR does (Cardwell et al., ACM Queue 2016), by the wall
// clock, so that routers that share a member try at about the same time.
//
// Now takes no lock; Observe takes the member's own, and leaves the call out
// where that is busy. Safe for concurrent use.
type Limiter struct {
	config Config
	now    atomic.Int64
	mean   atomic.Int64 // ns, mean of the last calls of all classes

	mu     sync.Mutex
	limit  float64
	usual  [maxClasses]time.Duration // latency by class of call; 0: not known
	high   mark                      // where a trial began; zero: there is none
	settle bool                      // the next window has calls from before the limit was halved
	last   time.Duration             // median: calls that began before a change of the limit end within about as long
	held   int                       // windows in a row in which it held calls back, and could grow
	period int64                     // of the last trial
	window
}

// window is what the member's calls took lately.
type window struct {
	class   int // that is looked at: its first call's
	begun   time.Time
	took    [windowCalls]time.Duration
	calls   int  // in took
	others  int  // of other classes
	peak    int  // calls that the member had at a time
	refused bool // it said that it is full
}

// mark is a limit and the latency at it.
type mark struct {
	limit float64
	took  time.Duration
}

// New returns the limiter of a member of which nothing is known. The
// configuration must be valid, with its defaults filled in.
func New(c Config) *Limiter {
	l := &Limiter{config: c}
	l.set(float64(c.Start))
	return l
}

// Now is how many calls the member may have at a time.
func (l *Limiter) Now() int { return int(l.now.Load()) }

// Took is what the member's calls took lately, of whatever class; 0: not known.
func (l *Limiter) Took() time.Duration { return time.Duration(l.mean.Load()) }

// Sample is a call that has ended.
type Sample struct {
	Class    int           // calls of unlike classes are not compared; 0 to 63
	Took     time.Duration // one that was cut off counts, too: it took at least as long
	At       time.Time     // of its end
	Inflight int           // calls that the member had then, this one among them
	Refused  bool          // the member said that it is full
}

// Observe enters a call.
func (l *Limiter) Observe(s Sample) {
	if !l.mu.TryLock() {
		return // another call says as much
	}
	defer l.mu.Unlock()
	if l.begun.IsZero() {
		l.begun, l.class = s.At, s.Class
	}
	l.peak = max(l.peak, s.Inflight)
	l.average(s.Took)
	switch {
	case s.Refused:
		l.refused = true
	case s.Class != l.class:
		l.others++
	case l.calls < windowCalls:
		l.took[l.calls] = max(s.Took, 1)
		l.calls++
	}
	switch {
	case s.At.Sub(l.begun) < max(windowTime, l.last):
	case l.calls == windowCalls, l.refused:
		l.decide(s.At)
		l.window = window{}
	case l.others > 2*windowCalls:
		l.window = window{} // perhaps of the class that is asked for more
	}
}

// meanOver is about how many calls Took is the mean of.
const meanOver = 16

func (l *Limiter) average(took time.Duration) {
	mean := l.mean.Load()
	if mean == 0 {
		mean = int64(took)
	}
	l.mean.Store(mean + (int64(took)-mean)/meanOver)
}

// decide sets the limit at the end of a window.
func (l *Limiter) decide(now time.Time) {
	inUse := min(l.limit, float64(l.peak))
	switch {
	case l.refused:
		l.set(inUse * shrink)
		l.high = mark{}
		return
	case l.settle:
		l.settle = false
		return
	}
	slices.Sort(l.took[:])
	took := l.took[windowCalls/2]
	l.last = took
	usual := l.learn(took)
	ratio := float64(took) / float64(*usual)
	switch {
	case l.high.took > 0 && l.limit <= max(l.high.limit*trial, float64(l.config.Least)):
		l.judge(took, usual)
	case ratio <= l.config.Tolerance:
		l.high = mark{}
		l.grow(now, took, ratio)
	case l.peak <= l.config.Least: // as few calls cannot be the cause
		*usual, l.high = took, mark{}
	default:
		if l.high.took == 0 {
			l.high = mark{inUse, took}
		}
		l.set(inUse * shrink)
	}
}

// learn enters the median of a window into what is usual for its class. That
// follows downwards at once, and upwards while the member has room to spare.
func (l *Limiter) learn(took time.Duration) *time.Duration {
	usual := &l.usual[l.class%maxClasses]
	switch rise := took - *usual; {
	case *usual == 0:
		*usual = took
	case rise < 0:
		*usual += rise / 2
	case float64(took) <= l.config.Tolerance*float64(*usual) && l.peak <= int(l.limit/2):
		*usual += rise / 16
	}
	return usual
}

// grow raises the limit if it is what holds calls back, or begins a trial if one
// is due and it has done so for a while.
func (l *Limiter) grow(now time.Time, took time.Duration, ratio float64) {
	if l.peak < int(l.limit) {
		l.held = 0
		return
	}
	l.held++
	if at := now.UnixNano() / int64(period); at != l.period && l.held > heldWindows {
		l.high, l.settle, l.period = mark{l.limit, took}, true, at
		l.set(l.limit * trial)
		return
	}
	l.set(l.limit + max(1, l.limit*growth*(l.config.Tolerance-ratio)/(l.config.Tolerance-1)))
}

// judge ends a trial: the lower limit stays if it has brought the latency down.
func (l *Limiter) judge(took time.Duration, usual *time.Duration) {
	if float64(took) > helped*float64(l.high.took) {
		if float64(took) > l.config.Tolerance*float64(*usual) {
			*usual = time.Duration(math.Sqrt(float64(*usual) * float64(took)))
		}
		l.set(l.high.limit)
	}
	l.high = mark{}
}

func (l *Limiter) set(limit float64) {
	l.limit = min(max(limit, float64(l.config.Least)), float64(l.config.Most))
	l.now.Store(int64(l.limit))
}
