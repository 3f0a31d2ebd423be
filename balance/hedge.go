package balance

import "time"

// minDelay is the shortest hedge delay: below it the timer's own noise decides.
const minDelay = time.Millisecond

// stall is how late a timer must fire for this process, and not the upstream, to
// have been slow.
const stall = 20 * time.Millisecond

// arm starts the hedge timer at the call's first attempt, if it may be hedged.
func (r *race) arm() {
	if !r.core.lane.hedging() || r.call.NoHedge || r.view.Len() < 2 || r.core.hedges.share.Load() <= 0 {
		return
	}
	r.delay, r.longest = r.class.hedgeDelay(), time.Hour
	if deadline, ok := r.ctx.Deadline(); ok {
		r.longest = time.Until(deadline) / 4
	}
	r.delay = max(min(r.delay, r.longest), minDelay)
	r.asked, r.due = r.view.now, r.view.now+r.delay
	r.timer = time.AfterFunc(r.delay, r.ring)
}

// hedge reports whether the call, whose timer has fired at pool time now, gets
// another attempt, and arms the timer for the next one. A timer that fired late
// means that this process stood still and could not read the answers: they get
// as long again, and the lost time is taken off the attempts' latencies.
func (r *race) hedge(now time.Duration) bool {
	late := now - r.due
	if r.hedges >= r.core.lane.config.Hedges || r.allTried() || r.tooLate() {
		r.timer = nil
		return false
	}
	if late >= stall {
		r.lateBy.Add(int64(late))
		r.rearm(now, r.delay)
		return false
	}
	if left := r.asked + r.patience() - now; left > 0 {
		r.rearm(now, left)
		return false
	}
	r.asked = now
	r.rearm(now, r.delay)
	return true
}

func (r *race) rearm(now, wait time.Duration) {
	r.due = now + wait
	r.timer.Reset(wait)
}

// patience is how long an attempt is left alone at least: as long as cut off it
// would not count as slow. Where all members of a pool queue, most attempts last
// longer than the lane's delay, and hedging them would only make the queues
// longer, unless what loses is aborted.
func (r *race) patience() time.Duration {
	if r.set.aborts {
		return 0
	}
	return min(slowFactor*r.core.median(r.class), r.longest)
}

// allTried reports whether no member is left for another attempt.
func (r *race) allTried() bool { return len(r.view.tried) >= r.view.Len() }

// tooLate reports whether a new attempt could hardly answer in time.
func (r *race) tooLate() bool {
	deadline, ok := r.ctx.Deadline()
	return ok && time.Until(deadline) < time.Duration(r.class.median.Load())
}

// late is how long this process stood still during the call, as far as it knows.
func (r *race) late() time.Duration { return time.Duration(r.lateBy.Load()) }
