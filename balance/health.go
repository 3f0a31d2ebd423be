package balance

import (
	"sync/atomic"
	"time"
)

// health is a member's standing.
type health struct {
	back atomic.Int64 // pool time, ns, from which the member may be used again; 0: it may
}

// ready reports whether the member may be used, at pool time now.
func (h *health) ready(now time.Duration) bool { return int64(now) >= h.back.Load() }
