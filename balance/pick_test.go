package balance

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// viewOf returns a view of members in the given states, at pool time now, in
// which chance always says the same.
func viewOf(now time.Duration, candidates ...Candidate) *View {
	v := &View{now: now, mean: 1, bound: defaultBound, cost: 1, rand: func(int) int { return 0 }}
	for i, c := range candidates {
		m := &member{name: fmt.Sprint(i), hash: hash(fmt.Sprint(i))}
		m.load.Store(int64(c.Queue))
		m.inflight.Store(int64(c.Queue))
		if c.Latency > 0 {
			m.latency.observe(&sample{took: c.Latency, at: now - c.Age})
		}
		m.health.penalty.Store(math.Float64bits(float64(c.Penalty)))
		m.health.penalised.Store(int64(now))
		v.entries = append(v.entries, entry{member: m, weight: max(c.Weight, 0.01)})
	}
	return v
}

func TestFastest_comparesWhenMembersWillAnswer(t *testing.T) {
	const msec = time.Millisecond
	for name, c := range map[string]struct {
		candidates []Candidate
		want       int
	}{
		"the lower latency":             {[]Candidate{{Weight: 1, Latency: 9 * msec}, {Weight: 1, Latency: 5 * msec}}, 1},
		"the shorter queue":             {[]Candidate{{Weight: 1, Queue: 3, Latency: 5 * msec}, {Weight: 1, Queue: 1, Latency: 5 * msec}}, 1},
		"a queue outweighs speed":       {[]Candidate{{Weight: 1, Queue: 3, Latency: 5 * msec}, {Weight: 1, Latency: 15 * msec}}, 1},
		"the larger weight":             {[]Candidate{{Weight: 1, Latency: 5 * msec}, {Weight: 2, Latency: 5 * msec}}, 1},
		"no penalty":                    {[]Candidate{{Weight: 1, Latency: 5 * msec, Penalty: 25 * msec}, {Weight: 1, Latency: 20 * msec}}, 1},
		"a long queue before a penalty": {[]Candidate{{Weight: 1, Latency: 5 * msec, Queue: 9}, {Weight: 1, Latency: 5 * msec, Penalty: 25 * msec}}, 1},
		"a newcomer over a queue":       {[]Candidate{{Weight: 1, Latency: 5 * msec, Queue: 1}, {Weight: 1}}, 1},
		"a starting one after a queue":  {[]Candidate{{Weight: 0.1}, {Weight: 1, Latency: 5 * msec, Queue: 1}}, 1},
		"one that was slow long ago":    {[]Candidate{{Weight: 1, Latency: 5 * msec, Queue: 1}, {Weight: 1, Latency: 50 * msec, Age: 3 * time.Second}}, 1},
		"not one that was slow lately":  {[]Candidate{{Weight: 1, Latency: 50 * msec, Age: time.Second}, {Weight: 1, Latency: 5 * msec, Queue: 1}}, 1},
		"not past a penalty":            {[]Candidate{{Weight: 1, Latency: 13 * msec, Queue: 3, Age: 100 * msec}, {Weight: 1, Latency: 5 * msec, Penalty: 50 * msec}}, 1},
		"long silence hides no queue":   {[]Candidate{{Weight: 1, Latency: 5 * msec, Queue: 9, Age: time.Hour}, {Weight: 1, Latency: 5 * msec}}, 1},
	} {
		if got := (Fastest{}).Pick(viewOf(2*time.Hour, c.candidates...)); got != c.want {
			t.Errorf("%s: picked %d, want %d", name, got, c.want)
		}
	}
}

func TestPickers_skipWhatIsNotOpen(t *testing.T) {
	for _, n := range []int{1, 2, 3, 8, 9, 40} {
		for name, p := range pickers() {
			v := viewOf(time.Hour, make([]Candidate, n)...)
			v.rand = nil
			for i := range n {
				v.entries[i].weight = 1
				if i != n/2 {
					v.entries[i].health.back.Store(int64(2 * time.Hour))
					v.entries[i].health.state.Store(ejected)
				}
			}
			for range 20 {
				v.turn++
				if got := p.Pick(v); got != n/2 {
					t.Fatalf("%s picked %d of %d, only %d is open", name, got, n, n/2)
				}
			}
			v.tried = []int{n / 2}
			if got := p.Pick(v); got != -1 {
				t.Errorf("%s picked %d of %d, none is open", name, got, n)
			}
		}
	}
	for name, p := range pickers() {
		if got := p.Pick(&View{}); got != -1 {
			t.Errorf("%s picked %d of no members", name, got)
		}
	}
}

func TestPickers_breakTiesEvenly(t *testing.T) {
	for name, p := range pickers() {
		v := viewOf(time.Hour, Candidate{Weight: 1}, Candidate{Weight: 1}, Candidate{Weight: 1})
		v.rand = nil
		var got [3]int
		for range 3000 {
			v.turn++
			got[p.Pick(v)]++
		}
		for i, n := range got {
			if n < 850 || n > 1150 {
				t.Errorf("%s picked member %d %d of 3000 times, want about 1000", name, i, n)
			}
		}
	}
}

func pickers() map[string]Picker {
	return map[string]Picker{
		"fastest": Fastest{}, "round-robin": RoundRobin{}, "random": Random{}, "least in flight": LeastInflight{},
		"two choices": TwoChoices{}, "peak EWMA": PeakEWMA{}, "hot-cold": HotCold{},
	}
}

// TestPickers_neverPreferAMemberForBeingWorse makes a member that was not picked
// slower, fuller, lighter or more faulty, and looks whether it is picked now.
func TestPickers_neverPreferAMemberForBeingWorse(t *testing.T) {
	for name, p := range pickers() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				before := rapid.SliceOfN(candidate(), 2, 12).Draw(t, "members")
				throws := rapid.SliceOfN(rapid.IntRange(0, 1<<20), 64, 64).Draw(t, "chance")
				turn := rapid.Uint64Range(0, 100).Draw(t, "turn")
				i := rapid.IntRange(0, len(before)-1).Draw(t, "which")
				if p.Pick(chance(viewOf(time.Hour, before...), throws, turn)) == i {
					return
				}
				after := slices.Clone(before)
				after[i] = worse(t, after[i])
				if p.Pick(chance(viewOf(time.Hour, after...), throws, turn)) == i {
					t.Fatalf("%d is picked since %+v became %+v", i, before[i], after[i])
				}
			})
		})
	}
}

func candidate() *rapid.Generator[Candidate] {
	return rapid.Custom(func(t *rapid.T) Candidate {
		return Candidate{
			Weight:  rapid.SampledFrom([]float64{0.1, 1, 1, 2}).Draw(t, "weight"),
			Queue:   float64(rapid.IntRange(0, 5).Draw(t, "queue")),
			Latency: time.Duration(rapid.IntRange(1, 20).Draw(t, "latency")) * time.Millisecond,
			Age:     time.Duration(rapid.SampledFrom([]int{0, 0, 100, 1000, 5000}).Draw(t, "age")) * time.Millisecond,
			Penalty: time.Duration(rapid.SampledFrom([]int{0, 0, 5, 50}).Draw(t, "penalty")) * time.Millisecond,
		}
	})
}

// worse changes one thing about a member for the worse.
func worse(t *rapid.T, c Candidate) Candidate {
	switch rapid.SampledFrom([]string{"latency", "queue", "penalty", "weight"}).Draw(t, "worse by") {
	case "latency":
		c.Latency *= 3
	case "queue":
		c.Queue += 2
	case "penalty":
		c.Penalty += 100 * time.Millisecond
	case "weight":
		c.Weight /= 2
	}
	return c
}

func TestLane_seedRepeatsThePicks(t *testing.T) {
	picks := func(seed uint64, pool string) string {
		var out strings.Builder
		p := newPool(t, Config{Name: pool, Picker: Random{}, Lane: lane(t, LaneConfig{Seed: seed})},
			server{name: "a"}, server{name: "b"}, server{name: "c"})
		for range 60 {
			got, err := Do(t.Context(), p, Call{NoHedge: true}, func(_ context.Context, s server) (string, error) { return s.name, nil })
			if err != nil {
				t.Fatal(err)
			}
			out.WriteString(got)
		}
		_ = p.Close()
		return out.String()
	}
	first := picks(7, "s0")
	if again := picks(7, "s0"); again != first {
		t.Errorf("picks %s and then %s at the same seed", first, again)
	}
	for _, other := range []string{picks(8, "s0"), picks(7, "s1"), picks(0, "s0")} {
		if other == first {
			t.Errorf("another seed, another pool or none picks the same %s", first)
		}
	}
	for _, member := range []string{"a", "b", "c"} {
		if n := strings.Count(first, member); n < 8 {
			t.Errorf("%s is picked %d of 60 times", member, n)
		}
	}
}

// chance makes v throw the given numbers.
func chance(v *View, throws []int, turn uint64) *View {
	v.turn = turn
	next := 0
	v.rand = func(n int) int {
		next++
		return throws[next%len(throws)] % n
	}
	return v
}

func TestTiers_areUsedOnlyWithoutHealthyCapacityBefore(t *testing.T) {
	v := viewOf(time.Hour, Candidate{Weight: 1}, Candidate{Weight: 1}, Candidate{Weight: 1})
	v.entries[1].tier, v.entries[2].tier = 1, 2
	v.entries[0].slots, v.entries[1].slots = 1, 1
	m := &members{entries: v.entries, tiers: tiersOf(v.entries)}
	pick := func(why Reason) int { v.tier = m.tier(v, why); return LeastInflight{}.Pick(v) }

	if got := pick(First); got != 0 {
		t.Errorf("picked %d, want the first tier", got)
	}
	v.entries[0].inflight.Store(1)
	if got := pick(First); got != 1 {
		t.Errorf("picked %d while tier 0 is full, want 1", got)
	}
	v.entries[1].inflight.Store(1)
	v.entries[2].slots = 1
	v.entries[2].inflight.Store(1)
	if got := pick(First); got != 0 {
		t.Errorf("picked %d while all are full, want the first tier", got)
	}
	v.tried = []int{0}
	if got := pick(Hedge); got != -1 {
		t.Errorf("hedged to %d, want none: a backup is not for slow answers", got)
	}
	if got := pick(Failover); got != 1 {
		t.Errorf("failed over to %d, want tier 1", got)
	}
	v.entries[1].health.throttled.Store(int64(2 * time.Hour))
	if got := pick(Failover); got != 2 {
		t.Errorf("failed over to %d, want tier 2 while tier 1 is not healthy", got)
	}
}

func TestMedianOf_isTheMedianOfTheLast31(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m medianOf
		all := rapid.SliceOfN(rapid.IntRange(1, 50), 1, 100).Draw(t, "latencies")
		for _, d := range all {
			m.add(time.Duration(d), 0)
		}
		last := slices.Clone(all[max(0, len(all)-window):])
		slices.Sort(last)
		if got := int(m.median.Load()); got != last[len(last)/2] {
			t.Fatalf("median %d, want %d", got, last[len(last)/2])
		}
	})
}

func TestLane_boundsItsClasses(t *testing.T) {
	l := lane(t, LaneConfig{})
	for i := range 2 * maxClasses {
		l.class(strings.Repeat("x", i))
	}
	if n := len(*l.classes.Load()); n != maxClasses {
		t.Errorf("%d classes, want %d", n, maxClasses)
	}
	if l.class("one too many") != l.class("") {
		t.Error("a class beyond the bound has a record of its own")
	}
}
