package balance

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// crewed is how many goroutines the crew of a pool has.
func crewed[T any](p *Pool[T]) int { return bits.OnesCount64(p.core.crew.taken.Load()) }

func TestCrew_callsOneAfterAnotherShareAGoroutineThatEndsWhenNobodyCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, server{name: "a", after: time.Millisecond}, server{name: "b"})
		for range 2 {
			for i := range 50 {
				if name, err := Do(t.Context(), p, Call{}, ask); name != "a" || err != nil {
					t.Fatalf("call %d: %q, %v", i, name, err)
				}
				synctest.Wait() // until the goroutine is back
			}
			if n := crewed(p); n != 1 {
				t.Errorf("%d goroutines for calls one after another, want 1", n)
			}
			time.Sleep(crewIdle)
			synctest.Wait()
			if n := crewed(p); n != 0 {
				t.Errorf("%d goroutines are left where nobody calls", n)
			}
		}
	})
}

func TestCrew_attemptsBeyondItsPlacesWaitForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{HedgeShare: -1}, server{name: "a", after: time.Second})
		start := time.Now()
		var wg sync.WaitGroup
		for range crewMost + 20 {
			wg.Go(func() {
				if _, err := Do(t.Context(), p, Call{}, ask); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if running, n := p.Snapshot().Running, crewed(p); running != crewMost+20 || n != crewMost {
			t.Errorf("%d attempts run and %d have a place, want %d and %d", running, n, crewMost+20, crewMost)
		}
		wg.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v, want 1s", took)
		}
		closeIdle(t, p)
		if n := crewed(p); n != 0 {
			t.Errorf("%d goroutines are left by Close", n)
		}
	})
}

// TestCrew_losesNoPlace: neither a panic nor a goroutine that is left costs a place.
func TestCrew_losesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Health: Health{Bad: -1}, FailoverShare: -1}, server{name: "a"})
		for i := range 3 * crewMost {
			_, err := Do(t.Context(), p, Call{}, func(context.Context, server) (int, error) {
				if i%2 == 0 {
					runtime.Goexit()
				}
				panic("a defect")
			})
			if err == nil {
				t.Fatal("no error")
			}
			synctest.Wait()
			if n := crewed(p); n > 1 {
				t.Fatalf("%d goroutines have a place after call %d, want 1 at most", n, i)
			}
		}
	})
}

// TestDo_stateThatIsUsedAgainBelongsToOneCallAtATime: calls that fail, that are
// hedged and that are plain take turns, and each gets its own answer.
func TestDo_stateThatIsUsedAgainBelongsToOneCallAtATime(t *testing.T) {
	p := newPool(t, Config{Picker: RoundRobin{}, Health: Health{Bad: -1}, FailoverShare: 1}, server{name: "a"}, server{name: "b"}, server{name: "c", err: errDown})
	var wg sync.WaitGroup
	for caller := range 8 {
		wg.Go(func() {
			for i := range 300 {
				mine := fmt.Sprint(caller, "/", i)
				var scopes []context.Context
				var mu sync.Mutex
				got, err := Do(t.Context(), p, Call{Affinity: mine}, func(ctx context.Context, s server) (string, error) {
					mu.Lock()
					defer mu.Unlock()
					scopes = append(scopes, ctx)
					return mine, s.err
				})
				if got != mine && err == nil {
					t.Errorf("call %s got the answer of %s", mine, got)
				}
				mu.Lock()
				for _, ctx := range scopes {
					if !errors.Is(ctx.Err(), context.Canceled) {
						t.Errorf("the context of an attempt of %s, which is over, says %v", mine, ctx.Err())
					}
					Settle(ctx, 1000) // too late
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	closeIdle(t, p)
}

// TestBell_ofAnEarlierCallRingsForALaterOne: a timer that was set for a call which
// is over rings too early for the next one, which is hedged on time all the same.
func TestBell_ofAnEarlierCallRingsForALaterOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Lane: lane(t, LaneConfig{HedgeShare: 1}), HedgeShare: 1}, server{name: "a"}, server{name: "b"})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		quick := func(context.Context, server) (string, error) { return "quick", nil }
		slow := func(ctx context.Context, s server) (string, error) {
			if s.name == "a" {
				<-ctx.Done()
			}
			return s.name, ctx.Err()
		}
		for gap := range 40 * time.Millisecond / (5 * time.Millisecond) {
			if _, err := Do(ctx, p, Call{}, quick); err != nil {
				t.Fatal(err)
			}
			time.Sleep(gap * 5 * time.Millisecond)
			start := time.Now()
			name, err := Do(ctx, p, Call{}, slow)
			if took := time.Since(start); name != "b" || err != nil || took != defaultHedgeDelay {
				t.Errorf("%v after an earlier call: %q, %v after %v; want b after %v", gap*5*time.Millisecond, name, err, took, defaultHedgeDelay)
			}
		}
	})
}
