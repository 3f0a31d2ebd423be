package balance

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/balance/limit"
)

// All members but one are out of use, and that one fails: a call would rather try an
// ejected member than fail. If it answers, it is back at once; if not, that does not
// prolong its ejection.
func TestHealth_anEjectedMemberIsTheLastResort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{}, "a", "b")
		s.err["a"] = errDown
		s.calls(5)
		until := s.Snapshot().Members[0].Until
		if got := s.state(0); got != Ejected {
			t.Fatalf("%s after 5 failures, want ejected", got)
		}
		s.err["b"] = errDown
		for range 3 {
			if _, err := s.call(t.Context(), Call{}); !errors.Is(err, errDown) {
				t.Fatalf("with both down: got %v", err)
			}
		}
		if m := s.Snapshot().Members[0]; m.State != Ejected || !m.Until.Equal(until) {
			t.Errorf("%s until %v after three last resorts, want ejected until %v", m.State, m.Until, until)
		}
		delete(s.err, "a")
		s.calls(1)
		if got := s.state(0); got != Starting {
			t.Errorf("%s after it answered, want starting", got)
		}
		s.err["a"], s.err["b"] = errDown, nil
		s.calls(1)
		_ = s.Close()
		idle(t, s.Pool)
	})
}

// All members but one are out of use, and that one hangs: a call is hedged on an ejected member, which is
// back at once if it answers.
func TestHealth_anEjectedMemberIsTheLastResortOfAHedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{}, "a", "b")
		s.err["a"] = errDown
		s.calls(5)
		s.after["b"] = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.call(ctx, Call{}); !errors.Is(err, context.DeadlineExceeded) || s.state(0) != Ejected {
			t.Errorf("%v, a is %s; want it ejected while it is down", err, s.state(0))
		}
		delete(s.err, "a")
		start := time.Now()
		s.calls(1)
		if took := time.Since(start); took != defaultHedgeDelay || s.state(0) != Starting {
			t.Errorf("a is %s, and the call took %v, want it starting after the hedge delay", s.state(0), took)
		}
		_ = s.Close()
		idle(t, s.Pool)
	})
}

// While calls wait in line for a full member that hangs, the calls that it has are hedged on an ejected one, which is
// back for those in line as well.
func TestHealth_theLastResortOfAHedgeDoesNotWaitForTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{Limit: limit.Config{Least: 1, Start: 1, Most: 1}}, "a", "b")
		s.err["a"] = errDown
		s.calls(5)
		delete(s.err, "a")
		s.after["b"] = time.Hour
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if got, err := s.call(ctx, Call{}); got != "a" || err != nil {
					t.Errorf("got %q, %v; want the answer of a", got, err)
				}
			})
		}
		wg.Wait()
		_ = s.Close()
		idle(t, s.Pool)
	})
}

// Hedges that hang fill an ejected member no further, and no hedge goes to a backup tier.
func TestHealth_noHedgeOnAFullOrBackupMember(t *testing.T) {
	for name, c := range map[string]struct {
		tier int
		full bool
		want bool
	}{"room": {0, false, true}, "full": {0, true, false}, "backup": {1, false, false}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, Config{Limit: limit.Config{Least: 1, Start: 1, Most: 1}}, server{name: "a"}, server{name: "b"})
			members := p.Members()
			members[1].Tier = c.tier
			if err := p.Update(members); err != nil {
				t.Fatal(err)
			}
			out := p.set.Load().entries[1].member
			out.health.state.Store(ejected)
			out.health.back.Store(int64(time.Hour))
			if c.full {
				out.inflight.Add(1)
			}
			r := raceOf(t.Context(), p)
			for _, why := range []Reason{First, Hedge} {
				a := r.next(why)
				if want := why == First || c.want; (a != nil) != want {
					t.Errorf("%s: an attempt for %s: %v, want %v", name, why, a != nil, want)
				}
				if a != nil {
					defer p.core.tasks.leave()
					defer a.release()
				}
			}
		})
	}
}

// Calls side by side all find the member that is back, not only the first of them.
func TestHealth_theLastResortIsForAllCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{}, "a", "b")
		s.err["a"] = errDown
		s.calls(5)
		delete(s.err, "a")
		s.after["a"], s.err["b"] = time.Millisecond, errDown
		var wg sync.WaitGroup
		for range 4 { // there is a budget for as many failovers
			wg.Go(func() {
				if _, err := s.call(t.Context(), Call{}); err != nil {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
	})
}
