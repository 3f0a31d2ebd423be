package balance

import (
	"sync/atomic"
	"time"
)

// bell wakes the loop of a fan: for an attempt that has landed, for a call whose
// turn has come, and when somebody is due. A fan whose calls were all answered by
// their first attempts leaves its bell to the next one, timer and all: that goes on
// running, as a fan that comes later is not due earlier, and who hears it too early
// sets it again. So a timer is set about once in a hedge delay and not in each call.
type bell struct {
	landed chan *attempt // nil: the loop should look who is due
	timer  *time.Timer   // nil: never set yet
	at     time.Time     // for which the timer is set; zero: it is not
	rung   atomic.Bool   // the timer has fired
}

// room returns the bell if it has room for so many messages, and for twice its
// timer, else another one.
func (l *bell) room(messages int) *bell {
	if l != nil && cap(l.landed) >= messages+2 {
		return l
	}
	return &bell{landed: make(chan *attempt, messages+2)}
}

// set has the bell ring at a time, or earlier.
func (l *bell) set(at time.Time) {
	if !l.at.IsZero() && !at.Before(l.at) {
		return
	}
	l.at = at
	if l.timer == nil {
		l.timer = time.AfterFunc(time.Until(at), l.ring)
		return
	}
	l.timer.Reset(time.Until(at))
}

// ring tells the loop that somebody may be due: behind the attempts that have
// landed by now, since who has landed needs no hedge.
func (l *bell) ring() {
	l.rung.Store(true)
	l.landed <- nil
}

// heard reports whether the timer has fired since it was last asked. It has to be
// set again then.
func (l *bell) heard() bool {
	if !l.rung.Swap(false) {
		return false
	}
	l.at = time.Time{}
	return true
}

// stop is for a bell that is not given back.
func (l *bell) stop() {
	if l.timer != nil {
		l.timer.Stop()
	}
}
