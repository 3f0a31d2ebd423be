package embed

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// TestPace_findsTheSlots holds that bulk ends near the number of calls that an
// upstream runs at the same time, without being told it.
func TestPace_findsTheSlots(t *testing.T) {
	for _, slots := range []int{1, 4, 16} {
		p := newPace(Config{Upstreams: make([]Upstream, 1), Flush: Limits{Inputs: 64}})
		for range 20_000 { // calls beyond the slots wait for one: all take longer in proportion
			took := 20 * time.Millisecond * time.Duration(max(p.width(), slots)) / time.Duration(slots)
			p.observe(true, Limits{Inputs: 64}, took, nil)
		}
		if got := p.width(); got < slots || got > 2*slots+1 {
			t.Errorf("%d slots: %d calls at the same time", slots, got)
		}
	}
}

func TestPace_slowsDown(t *testing.T) {
	full := Limits{Inputs: 64}
	p := newPace(Config{Upstreams: make([]Upstream, 1), Flush: full})
	for range 100 {
		p.observe(true, full, 20*time.Millisecond, nil)
		p.observe(false, Limits{Inputs: 1}, 5*time.Millisecond, nil)
	}
	before := p.width()
	p.observe(true, full, 0, fault.Busy(time.Second, "full"))
	if got := p.width(); got != before/2 {
		t.Errorf("after a busy answer %d calls, want half of %d", got, before)
	}
	before = p.width()
	for range 80 {
		p.observe(false, Limits{Inputs: 1}, 20*time.Millisecond, nil)
	}
	if got := p.width(); got > before/2 {
		t.Errorf("with slow single texts %d calls, before %d", got, before)
	}
	before = p.width()
	p.observe(true, Limits{Inputs: 3}, time.Second, nil)                               // not a full one
	p.observe(true, full, time.Second, fault.New(fault.Unavailable, "it is not back")) // says nothing about speed
	if got := p.width(); got != before {
		t.Errorf("%d calls for what says nothing, before %d", got, before)
	}
}

func TestPace_leavesASlot(t *testing.T) {
	p := newPace(Config{Upstreams: []Upstream{{Slots: 4}, {Slots: 2}}})
	now := time.Now()
	for _, c := range []struct {
		after   time.Duration
		singles int
		want    int
	}{{0, 0, 6}, {0, 1, 5}, {0, 4, 2}, {100 * time.Millisecond, 0, 2}, {3 * time.Second, 0, 5}, {time.Minute, 0, 6}, {0, 9, 1}} {
		now = now.Add(c.after)
		p.yield(now, c.singles)
		if got := p.width(); got != c.want {
			t.Errorf("with %d single calls, %v later: %d, want %d", c.singles, c.after, got, c.want)
		}
	}
	if got := newPace(Config{Parallel: 7, Upstreams: []Upstream{{Slots: 4}}}); got.width() != 7 {
		t.Errorf("configured 7, got %d", got.width())
	}
}

// TestPace_besideSingles holds that bulk, once it has found the slots, leaves one to
// the single texts, looks again whether there are more, and takes all when they end.
func TestPace_besideSingles(t *testing.T) {
	const slots = 4
	p := newPace(Config{Upstreams: make([]Upstream, 1), Flush: Limits{Inputs: 64}})
	now := time.Now()
	calls := func(n, slots int) (most int) {
		for range n {
			now = now.Add(time.Millisecond)
			p.yield(now, 1)
			most = max(most, p.width())
			took := 20 * time.Millisecond * time.Duration(max(p.width(), slots)) / time.Duration(slots)
			p.observe(true, Limits{Inputs: 64}, took, nil)
		}
		return most
	}
	calls(200, slots)
	if got := p.width(); got != slots-1 {
		t.Errorf("%d calls beside single texts, want %d of %d", got, slots-1, slots)
	}
	calls(20_000, 2*slots)
	if got := p.width(); got < slots+1 || got > 2*slots {
		t.Errorf("%d calls after the slots have become %d", got, 2*slots)
	}
	now = now.Add(2 * memory)
	p.yield(now, 0)
	if got := p.width(); got != int(p.found) {
		t.Errorf("%d calls without single texts, found %v", got, p.found)
	}
}

// TestPace_seldomLooksAgain holds that the look for more slots delays less than one in a
// hundred single texts while nothing changes.
func TestPace_seldomLooksAgain(t *testing.T) {
	const slots, steps = 4, 60_000
	p := newPace(Config{Upstreams: make([]Upstream, 1), Flush: Limits{Inputs: 64}})
	now := time.Now()
	over := 0
	for step := range 2 * steps {
		now = now.Add(time.Millisecond)
		p.yield(now, 1)
		if p.width() >= slots && step >= steps {
			over++
		}
		took := 20 * time.Millisecond * time.Duration(max(p.width(), slots)) / slots
		p.observe(true, Limits{Inputs: 64}, took, nil)
	}
	if over == 0 || over > steps/100 {
		t.Errorf("no slot was left in %d of %d steps", over, steps)
	}
}

// TestTrend holds that calls that all take equally long make no trend, however the
// rounds change while they last.
func TestTrend(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's
	var calls trend
	for range 1000 {
		ratio := calls.enter(10*time.Millisecond, 1+chance.IntN(8))
		if ratio != 0 && (ratio < 0.999 || ratio > 1.001) {
			t.Fatalf("%v times the base", ratio)
		}
	}
	if calls.rounds < 50 {
		t.Errorf("%d rounds", calls.rounds)
	}
}
