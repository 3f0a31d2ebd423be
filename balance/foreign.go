package balance

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// foreign is what a member has to do for others than this pool, as it was told:
// a number of calls that fades to nothing, since it was true at one moment only.
type foreign struct {
	told atomic.Pointer[report] // nil: nothing
}

type report struct {
	calls float64
	at    time.Duration // pool time
	lasts time.Duration
}

// calls returns how many calls to reckon with, at pool time now.
func (f *foreign) calls(now time.Duration) float64 {
	r := f.told.Load()
	if r == nil {
		return 0
	}
	return r.calls * max(0, min(1, 1-float64(now-r.at)/float64(r.lasts)))
}

// Report enters how many calls the named member has by its own account, running and
// waiting, everybody's. What exceeds the pool's own attempts counts as load in the
// next picks, less and less until lasts has passed: it is added to what the pool
// counts by itself, and never replaces it. A report that cannot be true is dropped,
// and leaves the pool with its own count, as no report does. A member that the pool
// does not have is fault.NotFound.
func (p *Pool[T]) Report(name string, calls float64, lasts time.Duration) error {
	p.mu.Lock()
	m, ok := p.known[name]
	p.mu.Unlock()
	if !ok {
		return fault.New(fault.NotFound, "pool %q has no member %q", p.core.name, name)
	}
	if !(calls >= 0 && calls <= mostReported) || lasts <= 0 {
		return fault.New(fault.Invalid, "a report of %v calls for %v", calls, lasts)
	}
	others := math.Max(0, calls-float64(m.inflight.Load()))
	m.foreign.told.Store(&report{calls: others, at: p.core.now(), lasts: lasts})
	return nil
}

// mostReported bounds what a member can make a pool believe.
const mostReported = 1e6

// loadOf is a member's load, with what it does for others.
func (v *View) loadOf(e *entry) float64 {
	return float64(e.load.Load()) + e.foreign.calls(v.now)*v.mean
}
