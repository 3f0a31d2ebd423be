package embed

import (
	"errors"
	"math"
	"time"

	"github.com/lanewise/lanewise/fault"
)

const (
	firstWidth = 2   // bulk calls for each upstream, until more is known
	mostWidth  = 32  // bulk calls for each upstream
	review     = 200 // rounds of calls, after which the base is measured anew
	fast       = 1.2 // times the base: more calls at the same time do not hurt
	slowed     = 1.4 // times the base: the upstream queues our calls
	delayed    = 1.2 // times the base of single texts: bulk is in their way
	few        = 8   // single calls that are looked at together
	memory     = time.Minute
)

// pace says how many bulk calls may be under way. Where the slots of all
// upstreams are known it is what single texts leave of them. Else it is found
// out as TCP Vegas finds its window (L. Brakmo et al., SIGCOMM 1994): one more
// while calls take no longer than they did, one less when they do, half when an
// upstream says that it is busy; and one less when single texts take longer. One
// call may always be under way.
type pace struct {
	fixed  int // as configured; 0: not
	slots  int // of all upstreams together; 0: not known
	most   float64
	found  float64
	held   bool   // single texts are delayed: no more
	brisk  bool   // it has never been too many: the width doubles as it goes round
	full   Limits // size of a call that fills its limits
	bulk   trend
	single trend
	peak   float64 // single calls under way in the last second or so
	at     time.Time
	last   time.Time // that a single call was seen
}

// trend follows how long calls of one kind take, a round of calls at a time.
type trend struct {
	base   float64 // seconds
	sum    float64
	seen   int
	rounds int
}

func newPace(c Config) pace {
	p := pace{brisk: true, fixed: c.Parallel, found: float64(firstWidth * len(c.Upstreams)), most: float64(mostWidth * len(c.Upstreams)), full: c.Flush}
	for _, u := range c.Upstreams {
		if u.Slots == 0 {
			p.slots = 0
			return p
		}
		p.slots += u.Slots
	}
	return p
}

// yield enters how many single calls are under way.
func (p *pace) yield(now time.Time, singles int) {
	if p.slots == 0 {
		return
	}
	p.peak = max(p.peak*math.Exp(-now.Sub(p.at).Seconds()), float64(singles))
	p.at = now
	if singles > 0 {
		p.last = now
	}
}

// width returns how many bulk calls may be under way.
func (p *pace) width() int {
	switch {
	case p.fixed > 0:
		return p.fixed
	case p.slots > 0:
		reserve := int(math.Ceil(p.peak - 0.5))
		if p.at.Sub(p.last) < memory {
			reserve = max(reserve, 1) // for the next query, where there are any
		}
		return max(p.slots-reserve, 1)
	}
	return int(p.found)
}

// observe enters how long a call took. Bulk calls are compared if they are about
// full, single calls if they have one text: others differ for their size.
func (p *pace) observe(bulk bool, size Limits, took time.Duration, err error) {
	switch {
	case errors.Is(err, fault.Overloaded):
		p.less(p.found / 2)
	case err != nil:
	case !bulk && size.Inputs == 1:
		if ratio := p.single.enter(took, few); ratio > 0 {
			if p.held = ratio >= delayed; p.held {
				p.less(p.found / 4)
			}
		}
	case bulk && p.full.reached(size.plus(size)):
		p.adjust(p.bulk.enter(took, int(p.found)))
	}
}

// adjust changes the width after a round of calls that took ratio times the base;
// 0: the round goes on.
func (p *pace) adjust(ratio float64) {
	switch {
	case p.bulk.rounds == review: // at half the width, where nothing waits for anything
		p.bulk, p.single = trend{}, trend{}
		p.less(p.found / 2)
		p.brisk = true
	case ratio >= slowed:
		p.less(1)
	case ratio > fast:
		p.brisk = false
	case p.held:
	case ratio > 0 && p.brisk:
		p.found = min(2*p.found, p.most)
	case ratio > 0:
		p.found = min(p.found+1, p.most)
	}
}

func (p *pace) less(by float64) {
	p.found = max(p.found-by, 1)
	p.brisk = false
	p.bulk.sum, p.bulk.seen = 0, 0
}

// enter returns how many times longer the calls of a round took than calls do at
// best, or 0 within a round. The calls of the first half were sent before the
// width was what it is, and count for nothing.
func (t *trend) enter(took time.Duration, round int) float64 {
	if t.seen++; t.seen > round {
		t.sum += took.Seconds()
	}
	if t.seen < 2*round {
		return 0
	}
	mean := t.sum / float64(round)
	t.sum, t.seen = 0, 0
	t.rounds++
	if t.base == 0 || mean < t.base {
		t.base = mean
	}
	if t.base <= 0 { // too fast for the clock
		return 1
	}
	return mean / t.base
}
