package balance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/balance/limit"
)

// TestUpdate_underLoadLosesNoCall adds, removes, re-adds and reweighs members every
// few milliseconds while calls go on, and some of them wait in line.
func TestUpdate_underLoadLosesNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(7, 7))
		all := make([]Member[server], 5)
		for i := range all {
			all[i] = Member[server]{Name: fmt.Sprint(i), Target: server{name: fmt.Sprint(i), after: time.Duration(2+i) * time.Millisecond}}
		}
		p, err := NewPool(Config{Limit: limit.Config{Least: 2, Start: 2, Most: 2}}, all...)
		if err != nil {
			t.Fatal(err)
		}
		ever := map[*member]bool{}
		var lost atomic.Int64
		var wg sync.WaitGroup
		for range 4000 {
			time.Sleep(time.Duration(rng.ExpFloat64() * float64(time.Millisecond)))
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				if _, err := Do(ctx, p, Call{}, ask); err != nil {
					t.Logf("lost: %v", err)
					lost.Add(1)
				}
			})
			if rng.IntN(5) > 0 {
				continue
			}
			rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			for i := range all {
				all[i].Weight = 0.5 + rng.Float64()
			}
			if err := p.Update(all[:1+rng.IntN(len(all))]); err != nil {
				t.Fatal(err)
			}
			for _, m := range p.known {
				ever[m] = true
			}
		}
		wg.Wait()
		if n := lost.Load(); n > 0 {
			t.Errorf("%d of 4000 calls were lost", n)
		}
		_ = p.Close()
		for m := range ever {
			if n, load := m.inflight.Load(), m.load.Load(); n != 0 || load != 0 {
				t.Errorf("member %s is left with %d attempts and load %d", m.name, n, load)
			}
		}
		if s := p.Snapshot(); s.Waiting != 0 || s.Running != 0 || s.Charged != 0 {
			t.Errorf("%+v is left", s)
		}
	})
}

// TestClock_thatStandsStillBreaksNothing: everything happens in one moment.
func TestClock_thatStandsStillBreaksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := NewPool(Config{Health: Health{Bad: -1}}, memberNamed(0), memberNamed(1), memberNamed(2))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		failures := 0
		for i := range 5000 {
			_, err := Do(t.Context(), p, Call{}, func(_ context.Context, member int) (int, error) {
				if member == 0 && i%2 == 0 {
					return 0, errDown
				}
				return member, nil
			})
			if err != nil {
				failures++
			}
		}
		if took := time.Since(start); took != 0 {
			t.Fatalf("the clock has moved by %v", took)
		}
		s := p.Snapshot()
		if failures > 0 || s.Hedges != 0 || s.Members[1].Good == 0 || s.Members[2].Good == 0 {
			t.Errorf("%d failures; %+v", failures, s)
		}
		if s.Members[0].Good+s.Members[0].Bad > 2500 {
			t.Errorf("%d calls on the member that fails, and it has two others", s.Members[0].Good+s.Members[0].Bad)
		}
		_ = p.Close()
		idle(t, p)
	})
}

// TestClock_thatJumpsBreaksNothing: a machine sleeps for years between two calls.
func TestClock_thatJumpsBreaksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, Config{Limit: limit.Config{Least: 1, Start: 1, Most: 1}}, "a", "b")
		s.after["a"], s.after["b"] = 10*time.Millisecond, 10*time.Millisecond
		for i := range 40 {
			if i%4 == 3 {
				time.Sleep(20 * 365 * 24 * time.Hour)
			}
			s.err["a"] = nil
			if i < 12 {
				s.err["a"] = errDown
			}
			start := time.Now()
			if _, err := s.call(t.Context(), Call{}); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
			if took := time.Since(start); took > 100*time.Millisecond {
				t.Errorf("call %d took %v", i, took)
			}
		}
		_ = s.Close()
		idle(t, s.Pool)
		for _, m := range s.Snapshot().Members {
			if m.State == Ejected || m.Limit != 1 {
				t.Errorf("%+v: want it healthy again", m)
			}
		}
	})
}
