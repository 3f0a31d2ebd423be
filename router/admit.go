package router

import (
	"time"

	"github.com/lanewise/lanewise/fault"
)

// gate bounds the searches that are at work at one time.
type gate chan struct{}

func newGate(n int) gate { return make(gate, n) }

// shedWait is what a shed caller is told to wait. At the default limits a
// search takes a few milliseconds, so a place is free again long before.
const shedWait = 250 * time.Millisecond

// admit takes a place for one search, or sheds the search as a whole, before
// anything has been spent on it.
func (r *Router) admit() (release func(), err error) {
	select {
	case r.gate <- struct{}{}:
		return func() { <-r.gate }, nil
	default:
		return nil, fault.Busy(shedWait, "%d searches are at work already", cap(r.gate))
	}
}
