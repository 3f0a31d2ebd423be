package scaling_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/kubernetes/scaling"
)

func TestRead(t *testing.T) {
	got := scaling.Read([]balance.Snapshot{{
		Lane: "llm", Pool: "chat", Calls: 9, Waiting: 2, MeanCost: 100,
		Members: []balance.MemberState{
			{Slots: 4, Inflight: 3, Load: 300, Good: 2, Bad: 1, Latency: map[string]time.Duration{"": 0, "short": 10 * time.Millisecond}},
			{Slots: 4, Inflight: 1, Load: 50, Good: 2, Unknown: 1, Slow: 1, Busy: 1, Latency: map[string]time.Duration{"short": 30 * time.Millisecond}},
		},
	}, {Lane: "shard", Pool: "s0", Members: []balance.MemberState{{Slots: 4}, {}}}})
	want := []scaling.Reading{
		{Lane: "llm", Pool: "chat", Calls: 9, Ended: 8, Waiting: 2, Inflight: 4, Load: 350, MeanCost: 100, Members: 2, Slots: 8, FirstMS: 20},
		{Lane: "shard", Pool: "s0", Members: 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// plant is a pool that is observed every two seconds.
type plant struct {
	tracker *scaling.Tracker
	now     time.Time
	reading scaling.Reading
}

func newPlant(target scaling.Target) *plant {
	return &plant{
		tracker: scaling.NewTracker(func(string, string) scaling.Target { return target }),
		now:     time.Unix(1000, 0), reading: scaling.Reading{Lane: "llm", Pool: "chat", Members: 2, Slots: 8, MeanCost: 10},
	}
}

// run lets the pool go on for a while at calls a second, all of which end.
func (p *plant) run(d time.Duration, calls uint64, inflight int64) scaling.Figure {
	for end := p.now.Add(d); p.now.Before(end); {
		p.now = p.now.Add(2 * time.Second)
		p.reading.Calls += 2 * calls
		p.reading.Ended += 2 * calls
		p.reading.Inflight, p.reading.Load = inflight, 10*inflight
		p.tracker.Observe(p.now, map[string][]scaling.Reading{"r": {p.reading}})
	}
	return p.tracker.Figures()[0]
}

func TestTracker_measuresTheRateOfAMember(t *testing.T) {
	p := newPlant(scaling.Target{Utilisation: 0.6})
	// Half of the slots give 4 calls a second: a full member is good for 4.
	if got := p.run(10*time.Minute, 4, 4); got.Desired != 2 {
		t.Errorf("%d members wanted for 4 calls a second, want 2", got.Desired)
	}
	if got := p.run(10*time.Minute, 8, 8); got.Desired != 4 {
		t.Errorf("%d members wanted for 8 calls a second, want 4", got.Desired)
	}
}

func TestTracker_gaugesRiseFastAndFallSlowly(t *testing.T) {
	p := newPlant(scaling.Target{})
	p.run(2*time.Second, 0, 0)
	up := p.run(10*time.Second, 0, 8).Inflight
	if up < 6 || up > 8 {
		t.Errorf("10 s after a rise to 8: %v", up)
	}
	if down := p.run(10*time.Second, 0, 0).Inflight; down < 0.6*up || down > 0.9*up {
		t.Errorf("10 s after a fall from %v to 0: %v", up, down)
	}
}

func TestTracker_needsNobodyWhenIdle(t *testing.T) {
	p := newPlant(scaling.Target{Idle: time.Minute})
	p.run(5*time.Minute, 4, 4)
	if got := p.run(50*time.Second, 0, 0).Desired; got < 1 {
		t.Errorf("%d members wanted before the pool counts as idle", got)
	}
	if got := p.run(20*time.Second, 0, 0).Desired; got != 0 {
		t.Errorf("%d members wanted by an idle pool", got)
	}
	p.reading.Members, p.reading.Slots, p.reading.Waiting = 0, 0, 1
	if got := p.run(2*time.Second, 0, 0).Desired; got < 1 {
		t.Errorf("%d members wanted where a call waits and nobody is there", got)
	}
}

func TestTracker_unknownSlots(t *testing.T) {
	p := newPlant(scaling.Target{})
	p.reading.Slots = 0
	if got := p.run(time.Minute, 4, 4); got.Desired != -1 || math.Round(got.SlotsUsed) != 4 {
		t.Errorf("without slots: %d members wanted, %v in use", got.Desired, got.SlotsUsed)
	}
	p = newPlant(scaling.Target{Slots: 4})
	p.reading.Slots = 0
	if got := p.run(time.Minute, 4, 4); got.Desired < 1 {
		t.Errorf("with slots from the target: %d members wanted", got.Desired)
	}
}

func TestTracker_sumsOverRouters(t *testing.T) {
	tracker, now := scaling.NewTracker(nil), time.Unix(1000, 0)
	one := scaling.Reading{Lane: "llm", Pool: "chat", Members: 2, Slots: 4, Inflight: 1, Load: 10, Waiting: 3, Calls: 1, FirstMS: 10, MeanCost: 5}
	two := one
	two.Calls, two.FirstMS = 3, 50
	both := map[string][]scaling.Reading{"a": {one}, "b": {two}}
	observe := func(told map[string][]scaling.Reading) scaling.Figure {
		for range 60 {
			now = now.Add(2 * time.Second)
			tracker.Observe(now, told)
		}
		return tracker.Figures()[0]
	}
	got := observe(both)
	near(t, "outstanding", got.Outstanding, 20+6*5)
	near(t, "queue", got.Queue, 6)
	near(t, "slots used", got.SlotsUsed, 2)
	near(t, "first", got.FirstMS, 40)
	delete(both, "b")
	tracker.Observe(now.Add(30*time.Second), both)
	near(t, "queue while b is silent", tracker.Figures()[0].Queue, 6)
	now = now.Add(2 * time.Minute)
	near(t, "queue when b is gone", observe(both).Queue, 3)
}

func TestTracker_aRouterThatBeginsAnewIsNoArrival(t *testing.T) {
	p := newPlant(scaling.Target{Idle: time.Second})
	p.run(time.Minute, 4, 4)
	p.run(time.Minute, 0, 0)
	p.reading.Calls, p.reading.Ended = 5, 5
	if got := p.run(2*time.Second, 0, 0).Desired; got != 0 {
		t.Errorf("%d members wanted after a router's restart", got)
	}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.1*want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// A router that starts again has another name: what it told under the old one, calls that nobody makes any more, ages out.
func TestTracker_aRouterThatRestarts(t *testing.T) {
	tracker, now := scaling.NewTracker(nil), time.Unix(1000, 0)
	busy := scaling.Reading{Lane: "llm", Pool: "chat", Members: 2, Slots: 8, Inflight: 6, Waiting: 9, Calls: 100, Ended: 94, MeanCost: 1}
	idle := scaling.Reading{Lane: "llm", Pool: "chat", Members: 2, Slots: 8, Calls: 1, Ended: 1, MeanCost: 1}
	observe := func(d time.Duration, told map[string][]scaling.Reading) scaling.Figure {
		for end := now.Add(d); now.Before(end); {
			now = now.Add(2 * time.Second)
			tracker.Observe(now, told)
		}
		return tracker.Figures()[0]
	}
	before := observe(2*time.Minute, map[string][]scaling.Reading{"a": {idle}, "b": {busy}})
	near(t, "queue before", before.Queue, 9)
	after := map[string][]scaling.Reading{"a": {idle}, "b again": {idle}}
	near(t, "queue soon after", observe(30*time.Second, after).Queue, 9)
	gone := observe(5*time.Minute, after)
	if gone.Queue > 0.1 || gone.SlotsUsed > 0.1 || gone.Desired > before.Desired {
		t.Errorf("minutes later %.2f calls wait, %.2f slots are used, and %d members are wanted after %d", gone.Queue, gone.SlotsUsed, gone.Desired, before.Desired)
	}
}
