package balance

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The latency record of a class: values in microseconds to two digits, in
// windows of one to two times half samples.
const (
	lowest     = 1             // µs
	highest    = 3_600_000_000 // µs: an hour
	digits     = 2
	half       = 2000
	minSamples = 200
	republish  = 32 // samples between two computations of the quantiles
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

	stripes [stripes]stripe
	mu      sync.Mutex
	older   *hdrhistogram.Histogram // is read; holds half to 2*half samples once it has been filled
	younger *hdrhistogram.Histogram // holds the samples since older was half full
	since   int
}

// stripes is the number of buffers before a class's histogram, so that the pools
// of a lane do not queue at one lock; batch is what a buffer gathers.
const (
	stripes = 8
	batch   = 16
)

type stripe struct {
	mu  sync.Mutex
	n   int
	buf [batch]time.Duration
	_   [64]byte // keeps neighbours out of each other's cache lines
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
// stays true.
func (c *class) observe(at int, took time.Duration) {
	s := &c.stripes[at]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf[s.n] = took
	s.n++
	if s.n == batch || c.median.Load() == 0 { // the first quantile is not kept waiting
		c.record(s.buf[:s.n])
		s.n = 0
	}
}

func (c *class) record(took []time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.older == nil {
		c.older = hdrhistogram.New(lowest, highest, digits)
		c.younger = hdrhistogram.New(lowest, highest, digits)
	}
	for _, t := range took {
		us := min(max(t.Microseconds(), lowest), highest)
		_ = c.older.RecordValue(us) // cannot fail: within the range
		_ = c.younger.RecordValue(us)
	}
	c.since += len(took)
	if c.older.TotalCount() >= 2*half {
		c.older, c.younger = c.younger, c.older
		c.younger.Reset()
	} else if c.younger.TotalCount() == c.older.TotalCount() && c.younger.TotalCount() >= half {
		c.younger.Reset() // the first half of all
	}
	if c.since >= republish || c.older.TotalCount() == minSamples {
		c.publish()
	}
}

// publish computes the quantiles. The caller holds mu.
func (c *class) publish() {
	c.since = 0
	if c.older.TotalCount() < minSamples {
		return
	}
	c.delay.Store(c.older.ValueAtQuantile(c.quantile*100) * int64(time.Microsecond))
	c.median.Store(c.older.ValueAtQuantile(50) * int64(time.Microsecond))
}
