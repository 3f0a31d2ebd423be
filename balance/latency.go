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

// latencies is what a member's answers took, for each class of calls. Nobody
// waits to enter one: it is put on a list, and who finds nobody at work enters all
// that are there.
type latencies struct {
	windows atomic.Pointer[[]*medianOf] // by class id; grown by copying
	peak    atomic.Uint64               // float64 bits, ns: peak-sensitive average over all classes
	waiting atomic.Pointer[sample]      // the newest first
	speed   atomic.Uint64               // float64 bits: cost that a call gets done in a second, of late; 0: not known

	mu         sync.Mutex // held by who enters
	peakAt     time.Duration
	work, busy float64 // cost and seconds of the last answers
}

// fading is what remains of the work of earlier answers when one more comes.
const fading = 1 - 1.0/window

// sample is a latency on its way into a window.
type sample struct {
	class    int
	took, at time.Duration // at: pool time
	cost     int64         // of an answer
	earlier  *sample
}

// medianOf is the running median of the last latencies of one class.
type medianOf struct {
	median atomic.Int64 // ns; 0: none yet
	seen   atomic.Int64 // pool time, ns

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

// grow returns the window of a class and makes it where it is missing. The
// caller holds mu.
func (l *latencies) grow(class int) *medianOf {
	if w := l.of(class); w != nil {
		return w
	}
	var old []*medianOf
	if w := l.windows.Load(); w != nil {
		old = *w
	}
	next := make([]*medianOf, max(class+1, len(old)))
	copy(next, old)
	next[class] = new(medianOf)
	l.windows.Store(&next)
	return next[class]
}

// observe enters a sample, now or, if somebody else is at work, as soon as that
// one looks again.
func (l *latencies) observe(s *sample) {
	for {
		s.earlier = l.waiting.Load()
		if l.waiting.CompareAndSwap(s.earlier, s) {
			break
		}
	}
	for l.waiting.Load() != nil && l.mu.TryLock() {
		l.enter(l.waiting.Swap(nil))
		l.mu.Unlock()
	}
}

// enter enters a list of samples, the last one first. The caller holds mu.
func (l *latencies) enter(s *sample) {
	if s == nil {
		return
	}
	l.enter(s.earlier)
	s.earlier = nil // so that it keeps no other call in memory
	took := max(s.took, 1)
	l.grow(s.class).add(took, s.at)
	peak := math.Float64frombits(l.peak.Load())
	if t := float64(took); t > peak {
		peak = t
	} else {
		w := math.Exp(-(s.at - l.peakAt).Seconds() / peakTau.Seconds())
		peak = peak*w + t*(1-w)
	}
	l.peak.Store(math.Float64bits(peak))
	l.peakAt = s.at
	if s.cost > 0 {
		l.work, l.busy = fading*l.work+float64(s.cost), fading*l.busy+took.Seconds()
		l.speed.Store(math.Float64bits(l.work / l.busy))
	}
}

// still notes that as far as is known the member is as slow as it was: it need not be looked at again soon.
func (l *latencies) still(c *class, at time.Duration) {
	if w := l.of(c.id); w != nil {
		w.seen.Store(int64(at))
	}
}

// add replaces the oldest latency of the window by took. One at a time may.
func (m *medianOf) add(took, now time.Duration) {
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
