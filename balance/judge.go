package balance

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// outcome is what an attempt says about its member's health.
type outcome int

const (
	good      outcome = iota
	unknown           // the caller left, a hedge lost, the query was bad: not the member's doing
	slow              // cut off after more than slowFactor times what the pool's members need
	bad               // it failed
	throttled         // it asked to be left alone
	outcomes          // their number
)

// slowFactor times the pool's median is too slow.
const slowFactor = 3

// cutOff reports whether the attempt was cancelled rather than answered.
func (a *attempt) cutOff(err error) bool { return err != nil && over(a) }

// over reports whether ctx has ended, or should have: an upstream's own timer for
// the same deadline may be a little ahead.
func over(ctx context.Context) bool {
	if ctx.Err() != nil {
		return true
	}
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}

// verdict sorts the end of an attempt into an outcome.
func (a *attempt) verdict(err error, took time.Duration) outcome {
	switch {
	case err == nil:
		return good
	case a.cutOff(err):
		if m := a.race.core.median(a.race.class); m > 0 && took > slowFactor*m {
			return slow
		}
		return unknown
	case ownDefect(err):
		return unknown // a defect on this side: a query that causes it must not eject members
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return bad // its own timeout
	case errors.Is(err, fault.Overloaded) && fault.Elsewhere(err):
		return throttled
	case fault.Elsewhere(err):
		return bad
	}
	return unknown
}

// ownDefect reports whether the attempt's function left by a panic or otherwise.
func ownDefect(err error) bool {
	var panicked *Panic
	return errors.As(err, &panicked) || errors.Is(err, errExited)
}

// judge enters the attempt's outcome into its member's health. Only the first
// call has an effect.
func (a *attempt) judge(e ending) {
	if !a.judged.CompareAndSwap(false, true) {
		return
	}
	o := a.verdict(e.err, e.ran)
	a.race.core.enter(a.entry.member, o, judgement{
		now:     e.at,
		latency: a.entry.latency.typical(a.race.class),
		wait:    min(fault.RetryAfter(e.err), maxThrottle),
		probe:   a.probe,
		resort:  a.resort,
	})
}

// judgement is what goes with an outcome.
type judgement struct {
	now     time.Duration
	latency time.Duration // usual for the member
	wait    time.Duration // that a throttled member asked for
	probe   bool          // the attempt tried an ejected member
	resort  bool          // the attempt was made on an ejected member before its time
}

// enter applies an outcome to a member's health.
func (c *core) enter(m *member, o outcome, j judgement) {
	h := &m.health
	h.outcomes[o].Add(1)
	if j.resort {
		if o == good && h.state.Load() != fit {
			c.readmit(m, j.now)
		}
		return // it was out of use already: a failure adds nothing
	}
	if o == good && !j.probe && h.clean.Load() {
		return // the usual case takes no lock
	}
	h.mu.Lock()
	eject := h.apply(o, j, c.config.Health)
	h.mu.Unlock()
	switch {
	case eject:
		c.eject(m, j)
	case j.probe && o == good:
		c.readmit(m, j.now)
	case j.probe:
		h.back.Store(int64(j.now)) // nothing was learnt: the next call tries
		h.state.Store(ejected)
	}
}

// apply counts an outcome and reports whether it ejects the member. The caller
// holds mu.
func (h *health) apply(o outcome, j judgement, limits Health) (eject bool) {
	switch o { //nolint:exhaustive // unknown changes nothing
	case good:
		h.bad, h.slow = 0, 0
		h.clean.Store(true)
		return false
	case slow:
		if h.slow++; h.slow == 1 {
			h.slowSince = j.now
		}
		eject = limits.Slow > 0 && h.slow >= limits.Slow && j.now-h.slowSince >= limits.SlowFor
	case bad:
		h.bad++
		h.punish(j.latency, j.now)
		eject = limits.Bad > 0 && h.bad >= limits.Bad
	case throttled:
		h.punish(j.latency, j.now)
		if j.wait > 0 {
			h.throttled.Store(int64(j.now + j.wait))
		}
	}
	h.clean.Store(h.bad == 0 && h.slow == 0)
	return eject || j.probe && (o == bad || o == slow)
}

// eject takes a member out of use, unless it is the last one in use.
func (c *core) eject(m *member, j judgement) {
	c.mu.Lock()
	defer c.mu.Unlock()
	others := slices.ContainsFunc(*c.entries.Load(), func(e entry) bool {
		return e.member != m && e.health.state.Load() == fit
	})
	if !others && !j.probe || m.health.state.Load() == ejected {
		return
	}
	h := &m.health
	h.mu.Lock()
	defer h.mu.Unlock()
	limits := c.config.Health
	if calm := j.now - time.Duration(h.since.Load()); h.ejections > 0 && !j.probe && calm > maxEjections*limits.Eject {
		h.ejections = 0
	}
	h.ejections = min(h.ejections+1, maxEjections)
	h.back.Store(int64(j.now) + int64(h.ejections)*int64(limits.Eject))
	h.state.Store(ejected)
	h.out.Add(1)
	h.bad, h.slow = 0, 0
	h.clean.Store(true)
}

// keepOne brings the ejected member that is due first back on trial where an
// update has left nobody else.
func (c *core) keepOne() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var first *health
	for _, e := range *c.entries.Load() {
		h := &e.health
		if h.state.Load() == fit {
			return
		}
		if first == nil || h.back.Load() < first.back.Load() {
			first = h
		}
	}
	if first != nil {
		first.back.Store(int64(c.now()))
	}
}

// readmit takes a member back into use, with a slow start.
func (c *core) readmit(m *member, now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.health.since.Store(max(int64(now), 1))
	m.health.penalty.Store(0)
	m.health.state.Store(fit)
}

// median is what the pool's members usually need for calls of a class: the lower
// median of their medians, so that one slow member of two does not hide itself.
// It is 0 where nothing is known.
func (c *core) median(class *class) time.Duration {
	var room [16]time.Duration
	known := room[:0]
	for _, e := range *c.entries.Load() {
		if w := e.latency.of(class.id); w != nil && len(known) < cap(known) {
			known = append(known, time.Duration(w.median.Load()))
		}
	}
	if len(known) == 0 {
		return time.Duration(class.median.Load())
	}
	slices.Sort(known)
	return known[(len(known)-1)/2]
}

// typical is the member's usual latency for a class, or else the lane's, or else
// the hedge delay.
func (l *latencies) typical(c *class) time.Duration {
	if w := l.of(c.id); w != nil {
		return time.Duration(w.median.Load())
	}
	if m := c.median.Load(); m > 0 {
		return time.Duration(m)
	}
	return max(c.hedgeDelay(), minDelay)
}
