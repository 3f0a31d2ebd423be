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
	patience   = 16  // times as many, at most, where that has shown nothing new beside single texts
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
// upstream says that it is busy; and one less when single texts take longer. That
// keeps the upstreams busy, and a short queue before them. While there are single
// texts it is too much for them: then the slots are taken to be the highest rate of
// calls times the least time that one took, as BBR knows its pipe (N. Cardwell et al.,
// ACM Queue 2016), and bulk gets what single texts leave of those. One call may
// always be under way.
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
	rate   float64 // highest rate of full bulk calls, by the second
	known  bool    // it was too many once, so the highest rate is that of all slots
	before int     // slots that were found the last time; 0: not looked for again
	rests  int     // rounds from one look for the slots to the next
	peak   float64 // single calls under way in the last second or so
	at     time.Time
	last   time.Time // that a single call was seen
}

// trend follows how long calls of one kind take, a round of calls at a time.
type trend struct {
	base   float64 // seconds
	sum    float64
	seen   int // in this round
	summed int // of these, in sum
	rounds int
}

// start begins a round.
func (t *trend) start() { t.sum, t.seen, t.summed = 0, 0, 0 }

func newPace(c Config) pace {
	p := pace{brisk: true, rests: review, fixed: c.Parallel, found: float64(firstWidth * len(c.Upstreams)), most: float64(mostWidth * len(c.Upstreams)), full: c.Flush}
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
		return max(p.slots-p.reserve(), 1)
	case p.known && p.mixed():
		return min(int(p.found), max(p.pipe()-p.reserve(), 1))
	}
	return int(p.found)
}

// pipe is how many slots there seem to be.
func (p *pace) pipe() int { return int(math.Round(p.rate * p.bulk.base)) }

// mixed is whether there are single texts.
func (p *pace) mixed() bool { return !p.last.IsZero() && p.at.Sub(p.last) < memory }

// reserve is how many slots are left to single texts.
func (p *pace) reserve() int {
	reserve := int(math.Ceil(p.peak - 0.5))
	if p.mixed() {
		reserve = max(reserve, 1) // for the next query
	}
	return reserve
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
		width := p.width()
		if ratio := p.bulk.enter(took, width); ratio > 0 {
			p.adjust(width, ratio)
		}
	}
}

// adjust changes the width after a round of calls that took ratio times the base.
func (p *pace) adjust(width int, ratio float64) {
	if p.bulk.base > 0 {
		p.rate = max(p.rate, float64(width)/(ratio*p.bulk.base))
	}
	p.known = p.known || ratio > fast
	switch {
	case p.bulk.rounds >= p.rest():
		p.again(width)
	case ratio >= slowed:
		p.found = min(p.found, float64(width))
		p.less(1)
	case ratio > fast:
		p.brisk = false
	case p.held, width < int(p.found):
	case p.brisk:
		p.found = min(2*p.found, p.most)
	default:
		p.found = min(p.found+1, p.most)
	}
}

// rest is after how many rounds the base is measured anew. Where bulk gets less than
// single texts leave it, what was measured does not hold any more, and there is no wait.
func (p *pace) rest() int {
	if int(p.found) < p.pipe()-p.reserve() {
		return review
	}
	return p.rests
}

// again forgets what was measured: at half the width, where nothing waits for
// anything; or, beside single texts, from the width that does not delay them, in
// single steps.
func (p *pace) again(width int) {
	beside, slots := p.known && p.mixed(), p.pipe()
	if beside && slots == p.before {
		p.rests = min(4*p.rests, patience*review)
	} else {
		p.rests = review
	}
	p.before = slots
	p.bulk, p.single, p.rate, p.known = trend{}, trend{}, 0, false
	if beside {
		p.found, p.brisk = float64(width), false
		return
	}
	p.less(p.found / 2)
	p.brisk = true
}

func (p *pace) less(by float64) {
	p.found = max(p.found-by, 1)
	p.brisk = false
	p.bulk.start()
}

// enter returns how many times longer the calls of a round took than calls do at
// best, or 0 within a round. The calls of the first half were sent before the
// width was what it is, and count for nothing.
func (t *trend) enter(took time.Duration, round int) float64 {
	if t.seen++; t.seen > round {
		t.sum += took.Seconds()
		t.summed++
	}
	if t.seen < 2*round {
		return 0
	}
	mean := t.sum / float64(t.summed) // not round: that changes within a round
	t.start()
	t.rounds++
	if t.base == 0 || mean < t.base {
		t.base = mean
	}
	if t.base <= 0 { // too fast for the clock
		return 1
	}
	return mean / t.base
}
