package balance

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	window  = 31               // latencies of which a member's median is taken
	tau     = time.Second      // decay of a latency that is not observed any more
	peakTau = 10 * time.Second // decay of the peak-sensitive average
)

// latencies is what a member's answers took, for each class of calls.
type latencies struct {
	mu      sync.Mutex
	windows atomic.Pointer[[]*medianOf] // by class id; grown by copying
	peak    atomic.Uint64               // float64 bits, ns: peak-sensitive average over all classes
	peakAt  atomic.Int64                // pool time, ns
}

// medianOf is the running median of the last latencies of one class.
type medianOf struct {
	median atomic.Int64 // ns; 0: none yet
	seen   atomic.Int64 // pool time, ns

	mu     sync.Mutex
	ring   [window]time.Duration // in order of arrival
	sorted [window]time.Duration
	n      int // filled
	next   int // place in ring
}

// of returns the window of a class, or nil where nothing was observed yet.
func (l *latencies) of(class int) *medianOf {
	if w := l.windows.Load(); w != nil && class < len(*w) {
		return (*w)[class]
	}
	return nil
}

// grow returns the window of a class and makes it where it is missing.
func (l *latencies) grow(class int) *medianOf {
	if w := l.of(class); w != nil {
		return w
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var old []*medianOf
	if w := l.windows.Load(); w != nil {
		old = *w
	}
	if class < len(old) && old[class] != nil {
		return old[class]
	}
	next := make([]*medianOf, max(class+1, len(old)))
	copy(next, old)
	next[class] = new(medianOf)
	l.windows.Store(&next)
	return next[class]
}

// observe enters one latency at pool time now.
func (l *latencies) observe(class int, took, now time.Duration) {
	l.grow(class).add(max(took, 1), now)
	l.mu.Lock()
	defer l.mu.Unlock()
	peak := math.Float64frombits(l.peak.Load())
	if t := float64(took); t > peak {
		peak = t
	} else {
		w := math.Exp(-(now - time.Duration(l.peakAt.Load())).Seconds() / peakTau.Seconds())
		peak = peak*w + t*(1-w)
	}
	l.peak.Store(math.Float64bits(peak))
	l.peakAt.Store(int64(now))
}

// add replaces the oldest latency of the window by took.
func (m *medianOf) add(took, now time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.n // index in sorted that may be overwritten
	if m.n == window {
		for at = 0; m.sorted[at] != m.ring[m.next]; at++ {
		}
	} else {
		m.n++
	}
	for ; at > 0 && m.sorted[at-1] > took; at-- {
		m.sorted[at] = m.sorted[at-1]
	}
	for ; at+1 < m.n && m.sorted[at+1] < took; at++ {
		m.sorted[at] = m.sorted[at+1]
	}
	m.sorted[at] = took
	m.ring[m.next] = took
	m.next = (m.next + 1) % window
	m.median.Store(int64(m.sorted[m.n/2]))
	m.seen.Store(int64(now))
}
