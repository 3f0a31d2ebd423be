package router

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTurnstile_drainWaitsForThoseInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g turnstile
		if err := g.drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		early, _ := g.enter(t.Context(), 2)
		var drained atomic.Int32
		for range 2 {
			go func() {
				if g.drain(t.Context()) == nil {
					drained.Add(1)
				}
			}()
			synctest.Wait()
		}
		late, _ := g.enter(t.Context(), 1)
		g.leave(early)
		synctest.Wait()
		if n := drained.Load(); n != 0 {
			t.Errorf("%d drained while one was inside", n)
		}
		g.leave(early)
		synctest.Wait()
		if n := drained.Load(); n != 2 {
			t.Errorf("%d drained, want both: the newcomer does not count", n)
		}
		if _, quiet := g.quiet(); quiet {
			t.Error("quiet while one is inside")
		}
		g.leave(late)
		if n, quiet := g.quiet(); !quiet || n != 2 {
			t.Errorf("%d entered, quiet %v", n, quiet)
		}
	})
}

func TestTurnstile_pauseKeepsNewcomersOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g turnstile
		inside, _ := g.enter(t.Context(), 1)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.pause(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("paused with somebody inside: %v", err)
		}
		time.AfterFunc(time.Second, func() { g.leave(inside) })
		open, err := g.pause(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		gone, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.enter(gone, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("came in while it was shut: %v", err)
		}
		time.AfterFunc(time.Second, open)
		c, err := g.enter(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		g.leave(c)
	})
}

// Whatever comes and goes, nobody is inside while somebody paused.
func TestTurnstile_random(t *testing.T) {
	var g turnstile
	var inside atomic.Int64
	var calls, pauses sync.WaitGroup
	for i := range 8 {
		calls.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			for range 500 {
				n := 1 + rng.IntN(3)
				c, err := g.enter(t.Context(), n)
				if err != nil {
					t.Error(err)
					return
				}
				inside.Add(int64(n))
				for range n {
					inside.Add(-1)
					g.leave(c)
				}
			}
		})
	}
	pauses.Go(func() {
		for range 200 {
			open, err := g.pause(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if n := inside.Load(); n != 0 {
				t.Errorf("%d inside during a pause", n)
			}
			open()
		}
	})
	pauses.Go(func() {
		for range 200 {
			if err := g.drain(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	calls.Wait()
	pauses.Wait()
	if _, quiet := g.quiet(); !quiet {
		t.Error("not quiet at the end")
	}
}
