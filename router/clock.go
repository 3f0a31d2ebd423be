package router

import (
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/search"
)

// clock stamps versions: a hybrid logical clock (Kulkarni et al., "Logical
// Physical Clocks", 2014) of milliseconds in the upper 44 bits and a counter in
// the lower 20. It never goes back, whatever the wall clock does, and moves past
// every version that a replica is found to hold.
//
// Routers that share a map have a slot each, which fills the lowest bits of their versions: no two of
// them stamp the same one.
type clock struct {
	last   atomic.Uint64
	shared atomic.Uint64 // the slot, plus one; 0: there is none
}

const (
	counterBits = 20
	slotBits    = 10
)

// share gives the clock its slot, below 1<<slotBits.
func (c *clock) share(slot uint64) { c.shared.Store(slot + 1) }

// stamps are versions in ascending order.
type stamps struct{ first, step search.Version }

// at is the i-th of them.
func (s stamps) at(i int) search.Version { return s.first + search.Version(i)*s.step } //nolint:gosec // not negative

// next returns n fresh versions.
func (c *clock) next(n int) stamps {
	wall := uint64(time.Now().UnixMilli()) << counterBits
	for {
		last := c.last.Load()
		first, step := max(wall, last+1), uint64(1)
		if slot := c.shared.Load(); slot > 0 {
			step = 1 << slotBits
			first = (first+step-1)&^(step-1) | (slot - 1)
		}
		if c.last.CompareAndSwap(last, first+uint64(max(n-1, 0))*step) {
			return stamps{search.Version(first), search.Version(step)}
		}
	}
}

// advance makes all later versions newer than v.
func (c *clock) advance(v search.Version) {
	for {
		last := c.last.Load()
		if last >= uint64(v) || c.last.CompareAndSwap(last, uint64(v)) {
			return
		}
	}
}
