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
type clock struct{ last atomic.Uint64 }

const counterBits = 20

// next returns the first of n fresh versions; the others follow it.
func (c *clock) next(n int) search.Version {
	wall := uint64(time.Now().UnixMilli()) << counterBits
	for {
		last := c.last.Load()
		first := max(wall, last+1)
		if c.last.CompareAndSwap(last, first+uint64(n)-1) {
			return search.Version(first)
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
