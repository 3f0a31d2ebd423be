// Package inflight lets an owner of connections close them when no call uses them any more.
package inflight

import (
	"sync"
	"sync/atomic"
)

// Calls are the calls under way of one owner. The zero value takes calls. Safe for
// concurrent use.
type Calls struct {
	ended atomic.Bool
	// Each call holds it for reading. The one who ends them holds it whole, for good.
	mu sync.RWMutex
}

// Begin takes one more call, which Done ends, or returns false where End has begun. It
// never waits: behind an End that waits for a call it would wait for that call too.
func (c *Calls) Begin() bool { return c.mu.TryRLock() }

// Done ends a call that Begin took.
func (c *Calls) Done() { c.mu.RUnlock() }

// End refuses calls from now on and waits for those under way. It returns true once, to
// who may close what the calls used, and false at once to everybody later.
func (c *Calls) End() bool {
	if c.ended.Swap(true) {
		return false
	}
	c.mu.Lock()
	return true
}
