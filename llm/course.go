package llm

import (
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/llm/relay"
)

// Routed is a [Stream] that knows how its answer came about. A stream that wraps
// another one passes it on.
type Routed interface{ Route() relay.Route }

// course counts the attempts of one call, which may run at the same time.
type course struct {
	start    time.Time
	attempts atomic.Int32
	failures atomic.Int32
	queued   atomic.Int64 // ns, until the first attempt
}

// begin counts an attempt, and says the how manieth it is.
func (c *course) begin() int32 {
	n := c.attempts.Add(1)
	c.queued.CompareAndSwap(0, int64(time.Since(c.start)))
	return n
}

// why tells for what reason the n-th attempt is made. affine says that the call has
// a key by which an upstream is chosen.
func (c *course) why(n int32, affine bool) string {
	switch {
	case n > 1 && c.failures.Load() >= n-1:
		return "failover"
	case n > 1:
		return "hedge"
	case affine:
		return "affinity"
	}
	return "load"
}

// end completes the route of the attempt that answers.
func (c *course) end(r relay.Route, upstream string) relay.Route {
	r.Upstream, r.Attempts, r.Queued, r.First = upstream, int(c.attempts.Load()), time.Duration(c.queued.Load()), time.Since(c.start)
	return r
}
