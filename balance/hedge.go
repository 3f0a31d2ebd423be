package balance

import "time"

// minDelay is the shortest hedge delay: below it the timer's own noise decides.
const minDelay = time.Millisecond

// stall is how late a timer must fire for this process, and not the upstream, to
// have been slow.
const stall = 20 * time.Millisecond

// arm sets when the call is hedged, if it may be: from its first attempt on.
func (r *race) arm(e *entry) {
	if !r.core.lane.hedging() || r.call.NoHedge || r.view.Len() < 2 || r.core.hedges.share.Load() <= 0 {
		r.due = time.Time{}
		return
	}
	start := r.core.born.Add(r.view.now)
	r.delay, r.longest = r.class.hedgeDelay(), time.Hour
	if !r.fan.deadline.IsZero() {
		r.longest = r.fan.deadline.Sub(start) / 4
	}
	r.delay = max(min(r.delay, r.longest), minDelay)
	r.asked, r.due = start, start.Add(max(min(r.delay, r.glance(e)), minDelay))
}

// glance is how long a member that was much slower than its pool's others may take
// for a first attempt, which it gets because it may have recovered: as long as cut
// off it counts as slow. The lane's delay may be longer: at a low rate such looks
// are what it is the quantile of. Other members may take longest.
func (r *race) glance(e *entry) time.Duration {
	w := e.latency.of(r.class.id)
	if w == nil || w.median.Load() <= slowFactor*r.class.median.Load() { // true of nearly all, and soon said
		return r.longest
	}
	if usual := r.core.median(r.class); time.Duration(w.median.Load()) > slowFactor*usual {
		return slowFactor * usual
	}
	return r.longest
}

// hedge reports whether the call, which is due, gets another attempt at a time,
// and sets when it is due again. A timer that fired late means that this process
// stood still and could not read the answers: they get as long again, and the
// lost time is taken off the attempts' latencies.
func (r *race) hedge(now time.Time) bool {
	late := now.Sub(r.due)
	if r.hedges >= r.core.lane.config.Hedges || r.allTried() || r.tooLate(now) {
		r.due = time.Time{}
		return false
	}
	r.due = now.Add(r.delay)
	if late >= stall {
		r.lateBy.Add(int64(late))
		return false
	}
	if least := r.asked.Add(r.patience()); now.Before(least) {
		r.due = least
		return false
	}
	return true
}

// patience is how long a first attempt is left alone at least: as long as cut off
// it would not count as slow. Where all members of a pool queue, most attempts last
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
func (r *race) tooLate(now time.Time) bool {
	d := r.fan.deadline
	return !d.IsZero() && d.Sub(now) < time.Duration(r.class.median.Load())
}

// late is how long this process stood still during the call, as far as it knows.
func (r *race) late() time.Duration { return time.Duration(r.lateBy.Load()) }
