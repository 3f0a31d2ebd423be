package balance

import (
	"sync/atomic"
	"time"
)

const (
	minSamples = 200 // latencies of a class before its quantiles are used
	republish  = 32  // latencies between two computations of the quantiles
)

// class holds the latencies of one class of calls, pooled over all pools of a
// lane: a pool's own quantile would be that of its slow member, and would never
// rescue anybody. Only first attempts enter, so that hedging does not shrink
// its own delay.
type class struct {
	id       int // index into each member's windows
	quantile float64
	delay    atomic.Int64 // ns; the hedge delay
	median   atomic.Int64 // ns; 0 until there are minSamples
	latest   atomic.Pointer[latest]
}

func (l *Lane) newClass(id int) *class {
	c := &class{id: id, quantile: l.config.HedgeQuantile}
	c.delay.Store(int64(l.config.HedgeDelay))
	return c
}

// hedgeDelay returns how long a first attempt may take before it is hedged.
func (c *class) hedgeDelay() time.Duration { return time.Duration(c.delay.Load()) }

// observe enters the latency of a first attempt. One that was cancelled enters
// with the time that it had run: that is at or above the delay, so the quantile
// stays true. It takes no lock, as all calls of the lane come here.
func (c *class) observe(took time.Duration) {
	l := c.latest.Load()
	if l == nil { // made late, as many lanes never have a call of a class
		c.latest.CompareAndSwap(nil, new(latest))
		l = c.latest.Load()
	}
	if n := l.enter(took); n == minSamples || n > minSamples && n%republish == 0 {
		c.delay.Store(int64(l.quantile(c.quantile)))
		c.median.Store(int64(l.quantile(0.5)))
	}
}
