package balance

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestHedge_atMostTwiceAndToUntriedMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{}, "a", "b", "c", "d")
		for _, name := range []string{"a", "b", "c"} {
			s.after[name] = time.Second
		}
		start := time.Now()
		s.calls(1)
		if took := time.Since(start); took != time.Second || s.asks("b") != 1 || s.asks("c") != 1 || s.asks("d") != 0 {
			t.Errorf("took %v, want 1s over a, b and c", took)
		}
		_ = s.Close()
	})
}

func TestHedge_bothBucketsMustAdmit(t *testing.T) {
	for name, c := range map[string]struct {
		lane LaneConfig
		pool Config
		want int // hedges in 100 slow calls
	}{
		"the pool's is smaller": {LaneConfig{HedgeShare: 1, Hedges: 1}, Config{HedgeShare: 0.1}, poolStart + 10},
		"the lane's is smaller": {LaneConfig{HedgeShare: 0.05, Hedges: 1}, Config{HedgeShare: 1}, laneStart + 5},
	} {
		synctest.Test(t, func(t *testing.T) {
			c.pool.Lane = lane(t, c.lane)
			c.pool.Health.Slow = -1
			s := newScript(t, c.pool, "a", "b")
			s.after["a"] = 100 * time.Millisecond
			s.calls(100)
			if got := s.asks("b"); got != c.want {
				t.Errorf("%s: %d hedges, want %d", name, got, c.want)
			}
			if got := s.Snapshot(); got.Hedges != uint64(c.want) || got.Calls != 100 {
				t.Errorf("%s: snapshot %+v, want %d hedges of 100 calls", name, got, c.want)
			}
			_ = s.Close()
		})
	}
}

func TestHedge_delayIsTheQuantileOfFirstAttemptsOverAllPools(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := lane(t, LaneConfig{HedgeQuantile: 0.9})
		one, other := newScript(t, Config{Lane: shared}, "a", "b"), newScript(t, Config{Lane: shared}, "c", "d")
		for i := range 400 {
			one.after["a"] = time.Duration(i%10+1) * time.Millisecond
			one.calls(1)
		}
		got := other.Snapshot().HedgeDelay[""]
		if got < 9*time.Millisecond || got > 9100*time.Microsecond {
			t.Errorf("delay %v, want the 9ms that 90%% need", got)
		}
		if _, err := other.call(t.Context(), Call{Class: "k<=1000"}); err != nil {
			t.Fatal(err)
		}
		if got := other.Snapshot().HedgeDelay["k<=1000"]; got != defaultHedgeDelay {
			t.Errorf("delay %v of a class without samples, want the fixed %v", got, defaultHedgeDelay)
		}
		_, _ = one.Close(), other.Close()
	})
}

func TestHedge_delayFollowsAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lane(t, LaneConfig{}).class("")
		for range 10_000 {
			c.observe(time.Millisecond)
		}
		for range 2 * half {
			c.observe(8 * time.Millisecond)
		}
		if got := c.hedgeDelay(); got < 7900*time.Microsecond {
			t.Errorf("delay %v, want 8ms: the old samples should be gone", got)
		}
	})
}

func TestHedge_staysWithinAQuarterOfTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{}, "a", "b")
		s.after["a"] = time.Second
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Millisecond)
		defer cancel()
		start := time.Now()
		if got, err := s.call(ctx, Call{}); got != "b" || err != nil || time.Since(start) != 10*time.Millisecond {
			t.Errorf("%q, %v after %v; want b after 10ms", got, err, time.Since(start))
		}
		_ = s.Close()
	})
}

// TestHedge_waitsLongerWhereTheWholePoolIsSlow: a pool whose members need 50 ms is
// hedged after three times that, and not after the 30 ms of its lane.
func TestHedge_waitsLongerWhereTheWholePoolIsSlow(t *testing.T) {
	for name, c := range map[string]struct {
		usual, deadline, want time.Duration
	}{
		"all members are quick": {time.Millisecond, time.Minute, defaultHedgeDelay},
		"all members are slow":  {50 * time.Millisecond, time.Minute, 150 * time.Millisecond},
		"and time is short":     {50 * time.Millisecond, 400 * time.Millisecond, 100 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t, Config{}, "a", "b", "c")
			for _, member := range []string{"a", "b", "c"} {
				s.after[member] = c.usual
				if _, err := s.call(t.Context(), Call{Prefer: member, NoHedge: true}); err != nil {
					t.Fatal(err)
				}
			}
			s.after["a"], s.after["b"] = time.Hour, 0
			ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
			defer cancel()
			start := time.Now()
			if got, err := s.call(ctx, Call{}); got != "b" || err != nil || time.Since(start) != c.want {
				t.Errorf("%s: %q, %v after %v; want b after %v", name, got, err, time.Since(start), c.want)
			}
			_ = s.Close()
		})
	}
}

func TestHedge_isSkippedWhenItCouldNotAnswerInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{Lane: lane(t, LaneConfig{HedgeQuantile: 0.5})}, "a", "b")
		s.after["a"] = 80 * time.Millisecond
		for range 300 {
			if _, err := s.call(t.Context(), Call{NoHedge: true}); err != nil {
				t.Fatal(err)
			}
		}
		s.after["a"] = time.Second
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Millisecond)
		defer cancel()
		if got, err := s.call(ctx, Call{}); err == nil || s.asks("b") != 0 {
			t.Errorf("%q, %v; want no hedge with 68ms left where half of the answers need 80ms", got, err)
		}
		_ = s.Close()
	})
}

func TestHedge_thisProcesssOwnStallHedgesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{}, "a", "b")
		start, r := time.Now(), raceOf(t.Context(), s.Pool)
		a := r.next(First)
		if r.hedge(r.due.Add(stall)) {
			t.Error("a timer that fired late hedged at once")
		}
		if due := r.due.Sub(start); due != 30*time.Millisecond+stall+r.delay || r.late() != stall {
			t.Errorf("next hedge at %v after a stall of %v, want as long again", due, r.late())
		}
		time.Sleep(40 * time.Millisecond)
		a.land(nil, false)
		if got := s.Snapshot().Members[0].Latency[""]; got != 20*time.Millisecond {
			t.Errorf("latency %v, want 40ms without the stall of 20ms", got)
		}
		s.core.tasks.leave()
		_ = s.Close()
	})
}

func TestLoser_entersWithThreeTimesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{}, "a", "b")
		s.after["a"], s.after["b"] = time.Hour, 5*time.Millisecond
		s.calls(1)
		synctest.Wait()
		members := s.Snapshot().Members
		if got := members[0].Latency[""]; got != 105*time.Millisecond {
			t.Errorf("latency %v of the loser, want 3 x 35ms", got)
		}
		if got := members[1].Latency[""]; got != 5*time.Millisecond {
			t.Errorf("latency %v of the winner, want 5ms", got)
		}
		_ = s.Close()
	})
}

func TestLoser_staysChargedWhereItsEndIsNotSeen(t *testing.T) {
	for _, aborts := range []bool{false, true} {
		t.Run(fmt.Sprintf("aborts=%v", aborts), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t, Config{}, "a", "b")
				members := s.Members()
				members[0].Aborts = aborts
				if err := s.Update(members); err != nil {
					t.Fatal(err)
				}
				s.after["a"] = time.Hour
				s.calls(1)
				synctest.Wait()
				want := int64(1)
				if aborts {
					want = 0
				}
				time.Sleep(chargeFactor*defaultHedgeDelay - time.Nanosecond)
				if got := s.Snapshot(); got.Members[0].Inflight != want || got.Charged != int(want) {
					t.Errorf("%d in flight, %d charged; want %d", got.Members[0].Inflight, got.Charged, want)
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				idle(t, s.Pool)
				s.calls(1)
				_ = s.Close() // ends charges
				idle(t, s.Pool)
			})
		})
	}
}

func TestCaller_whoLeavesEarlySaysNothingAboutTheMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{}, "a")
		s.after["a"] = time.Hour
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			if _, err := s.call(ctx, Call{}); err == nil {
				t.Fatal("no error")
			}
		}
		synctest.Wait()
		if m := s.Snapshot().Members[0]; m.Latency[""] != 0 || m.Unknown != 20 {
			t.Errorf("%+v, want 20 unknown outcomes and no latency", m)
		}
		_ = s.Close()
		idle(t, s.Pool)
	})
}

func TestHedge_delayLearnsFromFirstAttemptsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{HedgeShare: 1, Lane: lane(t, LaneConfig{HedgeShare: 1, HedgeQuantile: 0.4}), Health: Health{Slow: -1}}, "a", "b")
		s.after["a"], s.after["b"] = time.Second, time.Millisecond
		s.calls(minSamples)
		if got := s.Snapshot().HedgeDelay[""]; got < defaultHedgeDelay {
			t.Errorf("delay %v, want no less than the %v that every first attempt ran before it was cut off: hedges would shrink it", got, defaultHedgeDelay)
		}
		_ = s.Close()
	})
}

func TestHedge_theTimerStopsWhenEverybodyIsTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, server{name: "a"}, server{name: "b"})
		r := raceOf(t.Context(), p)
		for _, why := range []Reason{First, Hedge} {
			a := r.next(why)
			if a == nil {
				t.Fatalf("no %s attempt", why)
			}
			defer p.core.tasks.leave()
			defer a.release()
		}
		if !r.pending() {
			t.Error("nothing is due in a call that may be hedged")
		}
		if r.hedge(r.due) {
			t.Error("a hedge without a member that is left")
		}
		if r.pending() {
			t.Error("something is due although nobody is left")
		}
	})
}

// raceOf returns a call of p that has not begun.
func raceOf[T any](ctx context.Context, p *Pool[T]) *race {
	f := &fan{races: []race{{call: &Call{}}}}
	r := &f.races[0]
	r.begin(f, 0, p.core, &p.set.Load().members)
	f.begin(ctx, nil, 0)
	return r
}

// At ten calls a second a member that is a hundred times slower is looked at every few seconds, which is more than
// one call in twenty: the lane's delay, of a quantile of 0.95, is as long as its answers.
func TestHedge_aLookAtASlowMemberCostsNobodyItsLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{Picker: Fastest{}, Health: Health{Slow: -1}, Lane: lane(t, LaneConfig{HedgeQuantile: 0.95})}, "slow", "fast")
		s.after["slow"], s.after["fast"] = 500*time.Millisecond, 5*time.Millisecond
		call := func() time.Duration {
			start := time.Now()
			s.calls(1)
			took := time.Since(start)
			time.Sleep(100*time.Millisecond - took%(100*time.Millisecond))
			return took
		}
		for range 300 {
			call()
		}
		looks := s.asks("slow")
		for range 1000 {
			if took := call(); took > 20*time.Millisecond {
				t.Errorf("a call took %v, want three times the fast member's 5ms and those at most", took)
			}
		}
		if looks = s.asks("slow") - looks; looks < 10 {
			t.Errorf("the slow member was asked %d times in 1,000 calls, so that it would never be back", looks)
		}
		s.after["slow"] = 5 * time.Millisecond
		for range 2000 {
			call()
		}
		before := s.asks("slow")
		for range 1000 {
			call()
		}
		if share := s.asks("slow") - before; share < 300 {
			t.Errorf("%d of 1,000 calls went to the member that has recovered", share)
		}
		_ = s.Close()
	})
}
