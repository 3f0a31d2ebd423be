package balance

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/balance/limit"
	"github.com/lanewise/lanewise/fault"
)

// line is where calls wait while every member that may be used is full. It also
// counts the seats, which calls have that are about to be made.
type line struct {
	limit.Line
	seats atomic.Int64
}

// wake has the first in line, if there is one, look for room.
func (l *line) wake() {
	if l.Len() > 0 {
		l.Wake()
	}
}

// homeFactor times its limit is what a member may have of calls with an affinity.
// Bound, and not the limit, says when those go elsewhere: to queue where a cache
// is warm costs less than to fill another one, and in an overload by cold caches
// a tight limit would send every call to whoever is free, and keep them all cold.
const homeFactor = 4

// most is how many attempts the member may have at a time, for a call to be one
// of them.
func (e *entry) most(n need) int64 {
	if e.limit == nil {
		return math.MaxInt32
	}
	most := int64(max(e.limit.Now(), e.slots))
	if n.home {
		most *= homeFactor
	}
	return most
}

// room is how many more attempts the member may have now.
func (e *entry) room(n need) int64 { return e.most(n) - e.inflight.Load() }

// enter counts another attempt at the member, unless it is full.
func (e *entry) enter(n need) bool {
	if e.inflight.Add(1) > e.most(n) {
		e.inflight.Add(-1)
		return false
	}
	return true
}

// limit enters the attempt's end into its member's limit. An attempt whose
// caller has left early says nothing, like one that failed; one that was cut off
// took at least as long as it had run.
func (a *attempt) limit(e ending) {
	if a.entry.limit == nil {
		return
	}
	refused := errors.Is(e.err, fault.Overloaded) && fault.RetryAfter(e.err) == 0
	if e.err != nil && !refused && (!a.cutOff(e.err) || a.deserted()) {
		return
	}
	a.entry.limit.Observe(limit.Sample{
		Class: a.race.class.id, Took: e.ran, At: a.race.core.born.Add(e.at), Inflight: int(a.entry.inflight.Load()), Refused: refused,
	})
}

// pace is how fast calls go on while all members are full: how far apart by
// Little's law, and what a call takes that has gone on.
func (c *core) pace(entries []entry) (gap, took time.Duration) {
	var rate, busy float64 // by the second; calls
	for i := range entries {
		if e := &entries[i]; e.limit != nil {
			most := float64(e.most(need{}))
			busy += most
			rate += most / max(e.limit.Took(), minDelay).Seconds()
		}
	}
	rate = max(rate, 1)
	return time.Duration(float64(time.Second) / rate), time.Duration(busy / rate * float64(time.Second))
}

// A call may wait in line for half of its time beside twice what a member takes
// at present: what it goes on to must still be done, in an overload that begins
// with full members too, and calls of other shards would wait for it in vain. A
// call without a deadline has two seconds.
const (
	waitShare = 2
	takeTimes = 2
	timeMost  = 2 * time.Second
)

// tooLong returns how long it takes until n calls have gone on, and whether the
// last of them cannot wait for so long if it has to be over within a time.
func (c *core) tooLong(entries []entry, n int, within time.Duration) (wait time.Duration, tooLong bool) {
	gap, took := c.pace(entries)
	wait = c.line.Wait(n, gap)
	return wait, wait > (within-takeTimes*took)/waitShare
}

// time is what the call has.
func (r *race) time() time.Duration {
	if d := r.fan.deadline; !d.IsZero() {
		return time.Until(d)
	}
	return timeMost
}

// mustQueue reports whether the call has to wait in line: there are others, or
// the members are full.
func (r *race) mustQueue() bool {
	return r.place == nil && r.core.line.Len() > 0 || r.core.open(r.view.entries, r.view.need()) >= 0
}

// yields reports whether an attempt must not be made because others wait in
// line: there is no overtaking, and no room for hedges.
func (r *race) yields(why Reason) bool {
	return why != Failover && r.place == nil && r.core.line.Len() > 0
}

// queue puts the call in line, or back to its front if it has looked for room in
// vain. look is called when it should look. A call without a seat is refused
// where the line is too long.
func (r *race) queue(look func()) error {
	if r.place != nil {
		r.place.Back()
		return nil
	}
	line := &r.core.line
	if !r.seated {
		if wait, tooLong := r.core.tooLong(r.view.entries, line.Len()+1, r.time()); tooLong {
			return r.core.crowded(wait)
		}
	}
	r.place = line.Join(look)
	r.unseat() // it counts in line from now on
	if r.core.open(r.view.entries, r.view.need()) > 0 {
		line.wake() // somebody has left meanwhile
	}
	return nil
}

// leave ends the call's wait and gives up its seat, as soon as it has its first
// attempt or none will come.
func (r *race) leave(goesOn bool) {
	if r.place != nil {
		r.place.Leave(goesOn)
		r.place = nil
	}
	r.unseat()
}

// unseat gives up the call's seat, if it has one.
func (r *race) unseat() {
	if r.seated {
		r.seated = false
		r.core.unseat()
	}
}

// crowded is the refusal of a call that would have to wait for too long.
func (c *core) crowded(wait time.Duration) error {
	return &fault.Error{Class: fault.Overloaded, RetryAfter: wait, Message: fmt.Sprintf(
		"pool %q: all members are full and %d calls wait for one, another may be begun in %v", c.name, c.line.Len(), wait.Round(time.Millisecond))}
}

// open is how many more attempts the members may have that are fit for a call,
// and -1 where none is, full or not.
func (c *core) open(entries []entry, n need) int64 {
	now := c.now()
	sum, some := int64(0), false
	for i := range entries {
		if e := &entries[i]; e.fit(n, now) {
			some = true
			sum += max(e.room(n), 0)
		}
	}
	if !some {
		return -1
	}
	return sum
}

// Seat promises that a call of one request will not be refused because the
// members are full: the call must be made with Seated set, once, and then waits in
// line for as long as its context allows. It is fault.Overloaded, with the time
// after which there may be a seat as its RetryAfter, where the call would have to
// wait for too long to be over within the time that it has; negative: no bound. A pool without a healthy member has seats: the
// call itself says what is wrong. Several seats, each of another pool, make sure
// that no work is begun which cannot be finished.
func (p *Pool[T]) Seat(within time.Duration) error {
	c, entries := p.core, p.set.Load().entries
	taken := c.line.seats.Add(1)
	if within < 0 {
		return nil
	}
	open := c.open(entries, need{cost: 1})
	ahead := taken + int64(c.line.Len())
	if open < 0 || ahead <= open {
		return nil
	}
	if wait, tooLong := c.tooLong(entries, int(ahead-open), within); tooLong {
		c.unseat()
		return c.crowded(wait)
	}
	return nil
}

// Unseat gives a seat back whose call is not made.
func (p *Pool[T]) Unseat() { p.core.unseat() }
