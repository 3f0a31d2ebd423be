package limit

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// poll is how often a line looks for room by itself: some of it comes without
// anybody's leaving.
const poll = 10 * time.Millisecond

// Line is the calls that wait for room in a pool, the oldest first. Nobody in it
// is promised room: the first is asked to look, and goes back to the front if
// somebody else was faster. The zero Line is empty and ready for use. Safe for
// concurrent use; Len takes no lock.
type Line struct {
	n     atomic.Int64 // in line, those who are looking among them
	mu    sync.Mutex
	calls []*Place // that wait, oldest first
	timer *time.Timer
	rate  Drain
}

// Len is the number of calls in line.
func (l *Line) Len() int { return int(l.n.Load()) }

// Join puts a call at the end of the line. look is called, by anybody's goroutine
// and at most once for each Join and Back, when the call should look for room; it
// must be quick and must not use the line.
func (l *Line) Join(look func()) *Place {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n.Add(1) == 1 {
		l.rate.Pause(time.Now())
		l.timer = time.AfterFunc(poll, l.again)
	}
	p := &Place{line: l, look: look}
	l.calls = append(l.calls, p)
	return p
}

// Wake asks the first in line, if there is one, to look for room.
func (l *Line) Wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake()
}

func (l *Line) wake() {
	if len(l.calls) > 0 {
		first := l.calls[0]
		l.calls = slices.Delete(l.calls, 0, 1)
		first.look()
	}
}

// Wait is how long it takes until another n calls have gone on: at the present
// rate or, while none is known, at one call in gap.
func (l *Line) Wait(n int, gap time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n.Load() == 0 {
		return l.rate.Time(n, gap, 0)
	}
	return l.rate.Time(n, gap, time.Since(l.rate.last)) // nobody has gone on for as long
}

// Place is a call's place in line. It must be left.
type Place struct {
	line *Line
	look func()
}

// Back puts a call that has looked and found no room at the front of the line.
func (p *Place) Back() {
	p.line.mu.Lock()
	defer p.line.mu.Unlock()
	p.line.calls = slices.Insert(p.line.calls, 0, p)
}

// again has the first in line look without a reason.
func (l *Line) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.wake()
		l.timer.Reset(poll)
	}
}

// Leave takes the call out of line: it goes on, or has given up. Where it goes
// on, the next is asked to look, since there may be room for more than one.
func (p *Place) Leave(goesOn bool) {
	l := p.line
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.Index(l.calls, p)
	if at >= 0 {
		l.calls = slices.Delete(l.calls, at, at+1)
	}
	if goesOn {
		l.rate.Note(time.Now())
	}
	if goesOn || at < 0 { // its turn passes on
		l.wake()
	}
	if l.n.Add(-1) == 0 {
		l.timer.Stop()
		l.timer = nil
	}
}

// Drain measures at which rate calls go on. The zero Drain knows nothing. Not
// safe for concurrent use.
type Drain struct {
	last time.Time
	gap  float64 // s between two, averaged
	n    float64 // gaps that were seen
}

const (
	drainOver = 64          // calls that the average is taken of
	guess     = 8           // gaps below which what is known without them counts
	longGap   = time.Second // a pause is not a slow drain
	leastWait = time.Millisecond
	mostWait  = time.Minute
)

// Note says that a call has gone on now.
func (d *Drain) Note(now time.Time) {
	if !d.last.IsZero() {
		gap := min(max(now.Sub(d.last), 0), longGap).Seconds()
		d.n = min(d.n+1, drainOver)
		d.gap += (gap - d.gap) / d.n
	}
	d.last = now
}

// Pause says that nobody had to wait until now.
func (d *Drain) Pause(now time.Time) { d.last = now }

// Time is how long it takes until n calls have gone on, where nobody has for since:
// each takes the average gap, and a pause that is longer than one may last as long
// again. The gap that is given stands for those that were not seen yet, of the
// first few; 0: not known. From a millisecond to a minute.
func (d *Drain) Time(n int, gap, since time.Duration) time.Duration {
	each := d.gap
	if unseen := max(guess-d.n, 0); gap > 0 {
		each = (d.gap*d.n + gap.Seconds()*unseen) / (d.n + unseen)
	}
	pause := max(since.Seconds()-each, 0)
	t := time.Duration((float64(n)*each + pause) * float64(time.Second))
	return min(max(t, leastWait), mostWait)
}
