package balance

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// script is a pool of members whose behaviour the test changes as it goes.
type script struct {
	*Pool[string]
	t     *testing.T
	after map[string]time.Duration
	err   map[string]error

	mu    sync.Mutex
	asked map[string]int
}

// asks is how often a member was asked.
func (s *script) asks(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[name]
}

// newScript makes a pool of named members that answer at once, to be used in a
// bubble, one call at a time.
func newScript(t *testing.T, c Config, names ...string) *script {
	t.Helper()
	members := make([]Member[string], len(names))
	for i, name := range names {
		members[i] = Member[string]{Name: name, Target: name}
	}
	if c.Picker == nil {
		c.Picker = inOrder{}
	}
	p, err := NewPool(c, members...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return &script{Pool: p, t: t, after: map[string]time.Duration{}, err: map[string]error{}, asked: map[string]int{}}
}

// call makes one call and returns its answer.
func (s *script) call(ctx context.Context, c Call) (string, error) {
	after, err := maps.Clone(s.after), maps.Clone(s.err) // attempts that lose outlive the call
	return Do(ctx, s.Pool, c, func(ctx context.Context, name string) (string, error) {
		s.mu.Lock()
		s.asked[name]++
		s.mu.Unlock()
		return ask(ctx, server{name: name, after: after[name], err: err[name]})
	})
}

// calls makes n calls, which must succeed.
func (s *script) calls(n int) {
	s.t.Helper()
	for range n {
		if _, err := s.call(s.t.Context(), Call{}); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *script) state(i int) State { return s.Snapshot().Members[i].State }

func TestHealth_ejectsAfterFiveFailuresAndTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{}, "a", "b")
		s.err["a"] = errDown
		s.calls(4)
		if got := s.state(0); got != Healthy {
			t.Errorf("%s after 4 failures, want healthy", got)
		}
		s.calls(10)
		if got := s.state(0); got != Ejected || s.asks("a") != 5 {
			t.Errorf("%s after %d calls, want ejected after 5", got, s.asks("a"))
		}
		time.Sleep(30*time.Second - time.Nanosecond)
		s.calls(3)
		if s.asks("a") != 5 {
			t.Error("a was asked before its 30s were over")
		}
		time.Sleep(time.Nanosecond)
		s.calls(3) // one trial, which fails: ejected for 60 s
		if s.asks("a") != 6 || s.state(0) != Ejected {
			t.Errorf("a asked %d times and %s, want one trial and ejected", s.asks("a"), s.state(0))
		}
		s.err["a"] = nil
		time.Sleep(59 * time.Second)
		s.calls(1)
		if s.asks("a") != 6 {
			t.Error("the second ejection was not longer than the first")
		}
		time.Sleep(time.Second)
		s.calls(1)
		if got := s.state(0); got != Starting {
			t.Errorf("%s after a good trial, want starting", got)
		}
		time.Sleep(30 * time.Second)
		if got := s.state(0); got != Healthy {
			t.Errorf("%s 30s after its return, want healthy", got)
		}
		_ = s.Close()
		idle(t, s.Pool)
	})
}

func TestHealth_aSuccessInBetweenForgives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{FailoverShare: 1}, "a", "b")
		for i := range 20 {
			s.err["a"] = nil
			if i%5 != 0 {
				s.err["a"] = errDown
			}
			s.calls(1)
		}
		if got := s.state(0); got != Healthy {
			t.Errorf("%s, want healthy: never five in a row", got)
		}
		_ = s.Close()
	})
}

func TestHealth_badQueriesAndPanicsEjectNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{}, "a", "b")
		for range 20 {
			_, _ = Do(t.Context(), s.Pool, Call{}, func(context.Context, string) (int, error) { panic("odd query") })
			_, _ = Do(t.Context(), s.Pool, Call{}, func(context.Context, string) (int, error) { return 0, fault.New(fault.NotFound, "x") })
		}
		for i, m := range s.Snapshot().Members {
			if m.State != Healthy || m.Bad != 0 {
				t.Errorf("member %d: %+v, want healthy", i, m)
			}
		}
		_ = s.Close()
	})
}

func TestHealth_theCallersDeadlineIsNobodysFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{}, "a", "b")
		for range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			_, err := Do(ctx, s.Pool, Call{NoHedge: true}, func(context.Context, string) (int, error) {
				s.mu.Lock()
				s.asked["any"]++
				s.mu.Unlock()
				time.Sleep(10 * time.Millisecond) // the upstream's own timer, for the same deadline
				return 0, errors.New("i/o timeout")
			})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want the deadline's", err)
			}
			cancel()
			synctest.Wait()
		}
		if m := s.Snapshot().Members[0]; m.Bad != 0 || m.State != Healthy || s.asks("any") != 50 {
			t.Errorf("%+v after %d attempts, want no failure and no failover", m, s.asks("any"))
		}
		_ = s.Close()
	})
}

func TestHealth_keepsTheLastMemberInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{FailoverShare: 1}, "a", "b", "c")
		for _, name := range []string{"a", "b", "c"} {
			s.err[name] = errDown
		}
		for range 50 {
			_, _ = s.call(t.Context(), Call{})
		}
		if s.state(0) != Ejected || s.state(1) != Ejected || s.state(2) != Healthy || s.asks("c") != 50 {
			t.Errorf("states %s %s %s, c asked %d times; want all but the last ejected", s.state(0), s.state(1), s.state(2), s.asks("c"))
		}
		if err := s.Update(s.Members()[:2]); err != nil { // only ejected ones stay
			t.Fatal(err)
		}
		s.err["a"] = nil
		s.calls(1)
		_ = s.Close()
	})
}

func TestHealth_aHungMemberIsEjectedThoughEveryCallEndsByCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{HedgeShare: 1, Lane: lane(t, LaneConfig{HedgeShare: 1})}, "a", "b")
		s.after["b"] = 5 * time.Millisecond
		s.calls(10)
		s.after["a"] = time.Hour
		start := time.Now()
		for s.state(0) == Healthy && time.Since(start) < time.Minute {
			s.calls(1)
			time.Sleep(500 * time.Millisecond)
		}
		if took := time.Since(start); s.state(0) != Ejected || took < 10*time.Second || took > 11*time.Second {
			t.Errorf("%s after %v, want ejected after 10s of slow calls", s.state(0), took)
		}
		_ = s.Close()
		idle(t, s.Pool)
	})
}

func TestHealth_throttledMemberIsLeftAloneAndWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{}, "a", "b")
		s.err["a"] = fault.Busy(3*time.Second, "quota")
		s.calls(2)
		if s.state(0) != Throttled || s.asks("a") != 1 {
			t.Errorf("a is %s and was asked %d times, want throttled after 1", s.state(0), s.asks("a"))
		}
		s.err["a"], s.err["b"] = nil, fault.Busy(10*time.Second, "quota")
		start := time.Now()
		if _, err := s.call(t.Context(), Call{}); !errors.Is(err, fault.Overloaded) {
			t.Errorf("error %v, want overloaded", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.call(ctx, Call{})
		if wait := fault.RetryAfter(err); !errors.Is(err, fault.Overloaded) || wait != 3*time.Second || time.Since(start) != 0 {
			t.Errorf("error %v after %v, want at once that a is back in 3s, said %v", err, time.Since(start), wait)
		}
		if got, err := s.call(t.Context(), Call{}); got != "a" || err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("%q, %v after %v; want a after 3s", got, err, time.Since(start))
		}
		_ = s.Close()
	})
}

func TestHealth_waitsForTheTrialOfAnotherCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{}, "a", "b")
		a, b := s.set.Load().entries[0].member, s.set.Load().entries[1].member
		s.core.eject(a, judgement{})
		b.health.throttled.Store(int64(time.Hour))
		time.Sleep(30 * time.Second)
		s.after["a"] = 15 * time.Millisecond
		done := make(chan error)
		go func() { _, err := s.call(t.Context(), Call{}); done <- err }()
		synctest.Wait()
		start := time.Now()
		if got, err := s.call(t.Context(), Call{}); got != "a" || err != nil || time.Since(start) != 35*time.Millisecond {
			t.Errorf("%q, %v after %v; want a, after the trial", got, err, time.Since(start))
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = s.Close()
	})
}

func TestHealth_aTrialThatTellsNothingIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{}, "a", "b")
		s.core.eject(s.set.Load().entries[0].member, judgement{})
		time.Sleep(30 * time.Second)
		s.err["a"] = fault.New(fault.Invalid, "bad query")
		if _, err := s.call(t.Context(), Call{}); !errors.Is(err, fault.Invalid) || s.state(0) != Ejected {
			t.Errorf("%v, a is %s; want the bad query's error and a ejected", err, s.state(0))
		}
		s.err["a"] = nil
		s.calls(1)
		if s.state(0) != Starting {
			t.Errorf("a is %s, want starting after the next call", s.state(0))
		}
		_ = s.Close()
	})
}

func TestUpdate_neitherForgetsNorHealsAnEjectedMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{}, "a", "b")
		s.core.eject(s.set.Load().entries[0].member, judgement{})
		all := s.Members()
		for _, members := range [][]Member[string]{all[1:], all} {
			if err := s.Update(members); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.state(0); got != Ejected {
			t.Errorf("%s after it came back, want ejected still", got)
		}
		_ = s.Close()
	})
}

func TestSlowStart_growsToTheFullWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{}, "a", "b")
		if err := s.Update(append(s.Members(), Member[string]{Name: "new", Target: "new", Weight: 2})); err != nil {
			t.Fatal(err)
		}
		v := View{entries: s.set.Load().entries, mean: 1, slowStart: 30 * time.Second}
		for _, c := range []struct{ at, want float64 }{{0, 0.2}, {1.5, 0.2}, {15, 1}, {30, 2}, {100, 2}} {
			v.now = time.Duration(c.at*float64(time.Second)) + 1
			if got := v.At(2).Weight; got != c.want {
				t.Errorf("weight %v after %vs, want %v", got, c.at, c.want)
			}
		}
		if got := v.At(0).Weight; got != 1 {
			t.Errorf("weight %v of a first member, want 1", got)
		}
		_ = s.Close()
	})
}

func TestProbe_bringsAnEjectedMemberBackEarlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{}, "a", "b")
		s.core.eject(s.set.Load().entries[0].member, judgement{})
		if err := s.Probe(time.Second, func(context.Context, string) error { return nil }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1200 * time.Millisecond)
		s.calls(1)
		if s.state(0) != Starting || s.asks("a") != 1 {
			t.Errorf("a is %s and was asked %d times, want a good trial", s.state(0), s.asks("a"))
		}
		_ = s.Close()
	})
}

func TestProbe_ejectsAMemberThatFailsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{}, "a", "b", "c")
		err := s.Probe(time.Second, func(ctx context.Context, name string) error {
			switch name {
			case "a":
				panic("a defect")
			case "b":
				<-ctx.Done() // hangs
				return ctx.Err()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(12 * time.Second)
		if s.state(0) != Ejected || s.state(1) != Ejected || s.state(2) != Healthy {
			t.Errorf("states %s %s %s, want the first two ejected", s.state(0), s.state(1), s.state(2))
		}
		_ = s.Close()
		if err := s.Probe(time.Second, nil); !errors.Is(err, fault.Unavailable) {
			t.Errorf("Probe after Close = %v, want unavailable", err)
		}
		if err := s.Probe(0, nil); !errors.Is(err, fault.Invalid) {
			t.Errorf("Probe every 0 = %v, want invalid", err)
		}
	})
}

func lane(tb testing.TB, c LaneConfig) *Lane {
	tb.Helper()
	l, err := NewLane(c)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}
