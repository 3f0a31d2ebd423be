package balance

import (
	"cmp"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// Health says when a member is taken out of use, and for how long. Zero values
// mean the defaults. At least one member of a pool always stays in use.
type Health struct {
	Bad       int           // failures in a row that eject a member; default 5, below 0: never
	Slow      int           // cut-off calls without a success, within SlowFor or more, that eject a member; default 5, below 0: never
	SlowFor   time.Duration // default 10 s
	Eject     time.Duration // length of the first ejection, and growth of each further one; default 30 s
	SlowStart time.Duration // for which a member that comes (back) gets less than its weight; default 30 s, below 0: none
}

func (h Health) withDefaults() Health {
	h.Bad = cmp.Or(h.Bad, 5)
	h.Slow = cmp.Or(h.Slow, 5)
	h.SlowFor = cmp.Or(h.SlowFor, 10*time.Second)
	h.Eject = cmp.Or(h.Eject, 30*time.Second)
	h.SlowStart = cmp.Or(h.SlowStart, 30*time.Second)
	return h
}

func (h Health) validate() error {
	var errs []error
	if h.SlowFor < 0 {
		errs = append(errs, fault.New(fault.Invalid, "health.slow_for: must not be negative, is %v", h.SlowFor))
	}
	if h.Eject < 0 {
		errs = append(errs, fault.New(fault.Invalid, "health.eject: must not be negative, is %v", h.Eject))
	}
	return errors.Join(errs...)
}

const (
	maxEjections  = 10               // periods that an ejection grows to
	maxThrottle   = 15 * time.Minute // an upstream cannot take itself out for longer
	startShare    = 0.1              // of its weight, that a member begins its slow start with
	penaltyFactor = 5                // times the member's latency, for the first failure
	maxDoublings  = 10               // of the penalty by further failures in a row
)

// State is a member's standing.
type State string

// The states.
const (
	Healthy   State = "healthy"
	Starting  State = "starting"  // healthy, and still below its full weight
	Throttled State = "throttled" // it asked to be left alone for a while
	Ejected   State = "ejected"   // out of use until a time
	Trying    State = "trying"    // one call tries whether it is back
	Draining  State = "draining"  // it gets no further calls, by [Pool.Steer]
)

// States of a member as its gate keeps them.
const (
	fit int32 = iota
	ejected
	trying
)

// health is a member's standing. The atomic fields are read by every pick.
type health struct {
	state     atomic.Int32
	back      atomic.Int64  // pool time, ns: end of the ejection
	throttled atomic.Int64  // pool time, ns: end of the wait that the member asked for
	since     atomic.Int64  // pool time, ns: start of the slow start; 0: none
	penalty   atomic.Uint64 // float64 bits, ns
	penalised atomic.Int64  // pool time, ns

	clean    atomic.Bool // neither bad nor slow since the last success
	outcomes [outcomes]atomic.Uint64
	out      atomic.Uint64 // ejections, ever

	mu        sync.Mutex
	bad       int // in a row
	slow      int // since slowSince, without a success
	slowSince time.Duration
	ejections int // in close succession
}

// ready reports whether the member may be used, at pool time now. One that is
// due to return is ready for one call, which must claim it.
func (h *health) ready(now time.Duration) bool {
	if int64(now) < h.throttled.Load() {
		return false
	}
	switch h.state.Load() {
	case fit:
		return true
	case ejected:
		return int64(now) >= h.back.Load()
	default:
		return false
	}
}

// claim takes a ready member for a call. The call that gets one that was ejected
// is the one that tries it. ok is false if the member is not ready any more.
func (h *health) claim(now time.Duration) (probe, ok bool) {
	if h.state.Load() == fit {
		return false, true
	}
	ok = h.ready(now) && h.state.CompareAndSwap(ejected, trying)
	return ok, ok
}

// returns is the pool time at which the member may be ready.
func (h *health) returns() time.Duration {
	at := h.throttled.Load()
	if h.state.Load() == ejected {
		at = max(at, h.back.Load())
	}
	return time.Duration(at)
}

// due is the pool time at which the member may be in use: 0 where it is.
func (h *health) due() int64 {
	if h.state.Load() == fit {
		return 0
	}
	return h.back.Load()
}

// share is the part of its weight that the member gets while it starts up.
func (h *health) share(now, slowStart time.Duration) float64 {
	since := time.Duration(h.since.Load())
	if since == 0 || now-since >= slowStart {
		return 1
	}
	return max(startShare, float64(now-since)/float64(slowStart))
}

// punish makes the member count as no faster than a multiple of latency, which
// doubles with every failure in a row and decays (time constant 1 s). The caller
// holds mu.
func (h *health) punish(latency, now time.Duration) {
	doublings := min(max(h.bad-1, 0), maxDoublings)
	h.penalty.Store(math.Float64bits(penaltyFactor * float64(latency) * float64(int(1)<<doublings)))
	h.penalised.Store(int64(now))
}

// penaltyAt is what is left of the penalty at pool time now.
func (h *health) penaltyAt(now time.Duration) time.Duration {
	p := math.Float64frombits(h.penalty.Load())
	if p == 0 {
		return 0
	}
	return time.Duration(p * math.Exp(-(now-time.Duration(h.penalised.Load())).Seconds()/tau.Seconds()))
}

// stateAt is the member's standing at pool time now, and until when.
func (h *health) stateAt(now, slowStart time.Duration) (State, time.Duration) {
	switch {
	case h.state.Load() == trying:
		return Trying, 0
	case h.state.Load() == ejected:
		return Ejected, time.Duration(h.back.Load())
	case int64(now) < h.throttled.Load():
		return Throttled, time.Duration(h.throttled.Load())
	case h.share(now, slowStart) < 1:
		return Starting, time.Duration(h.since.Load()) + slowStart
	}
	return Healthy, 0
}
