package balance

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/fault"
)

func states(p *Pool[string]) map[string]State {
	out := map[string]State{}
	for _, m := range p.Snapshot().Members {
		out[m.Name] = m.State
	}
	return out
}

func steered(t *testing.T, names ...string) *Pool[string] {
	t.Helper()
	p, err := NewPool(Config{Picker: RoundRobin{}}, named(names)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func named(names []string) (out []Member[string]) {
	for _, n := range names {
		out = append(out, Member[string]{Name: n, Target: n})
	}
	return out
}

// calls makes calls and counts which members they came to.
func calls(t *testing.T, p *Pool[string], n int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range n {
		name, err := Do(t.Context(), p, Call{}, func(_ context.Context, name string) (string, error) { return name, nil })
		if err != nil {
			t.Fatal(err)
		}
		got[name]++
	}
	return got
}

// TestSteer_drainsAndLetsEnd: the call under way ends, no other one comes, and updates change nothing about it.
func TestSteer_drainsAndLetsEnd(t *testing.T) {
	p := steered(t, "a", "b")
	begun, end := make(chan string), make(chan struct{})
	ended := make(chan error)
	go func() {
		_, err := Do(t.Context(), p, Call{}, func(_ context.Context, name string) (int, error) { begun <- name; <-end; return 0, nil })
		ended <- err
	}()
	busy := <-begun
	other := map[string]string{"a": "b", "b": "a"}[busy]
	if err := p.Steer(busy, Draining); err != nil {
		t.Fatal(err)
	}
	if err := p.Steer(other, Draining); !errors.Is(err, fault.Conflict) {
		t.Errorf("the last one in use: got %v, want a conflict", err)
	}
	if got := calls(t, p, 10); got[busy] != 0 {
		t.Errorf("%d calls came to the member that drains", got[busy])
	}
	if s := p.Snapshot().Members; s[1].Name != busy || s[1].State != Draining || s[1].Inflight != 1 || len(p.Members()) != 2 {
		t.Errorf("got %+v, want %s draining with a call last", s, busy)
	}
	if err := p.Update(named([]string{"a", "b", "c"})); err != nil {
		t.Fatal(err)
	}
	if states(p)[busy] != Draining {
		t.Error("an update has ended the order")
	}
	close(end)
	if err := <-ended; err != nil {
		t.Errorf("the call under way: %v", err)
	}
	if err := p.Steer(busy, Healthy); err != nil || calls(t, p, 12)[busy] == 0 {
		t.Errorf("it gets no calls again: %v", err)
	}
}

// TestSteer_neverEmptiesThePool: where the others leave, the one that drains is used.
func TestSteer_neverEmptiesThePool(t *testing.T) {
	p := steered(t, "a", "b")
	if err := errors.Join(p.Steer("a", Draining), p.Update(named([]string{"a"}))); err != nil {
		t.Fatal(err)
	}
	if calls(t, p, 1)["a"] != 1 {
		t.Error("the last member got no call")
	}
}

func TestSteer_ejectsAndBringsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := steered(t, "a", "b")
		if err := p.Steer("a", Ejected); err != nil || states(p)["a"] != Ejected {
			t.Fatalf("%v, %v", err, states(p))
		}
		if err := p.Steer("b", Ejected); !errors.Is(err, fault.Conflict) {
			t.Errorf("the last one: got %v, want a conflict", err)
		}
		if err := p.Steer("a", Healthy); err != nil || states(p)["a"] != Starting {
			t.Errorf("%v, %v, want it starting", err, states(p))
		}
		_ = p.Steer("a", Ejected)
		time.Sleep(5 * time.Minute)
		calls(t, p, 4)
		if s := states(p)["a"]; s == Ejected {
			t.Error("it is still out of use after five minutes")
		}
	})
}

func TestReweigh(t *testing.T) {
	p := steered(t, "a", "b")
	weights := func() (float64, float64) {
		s := p.Snapshot().Members
		return s[0].Weight, s[1].Weight
	}
	if err := errors.Join(p.Reweigh("a", 3), p.Update(named([]string{"a", "b"}))); err != nil {
		t.Fatal(err)
	}
	if a, b := weights(); a != 3 || b != 1 {
		t.Errorf("weights %v and %v, want 3 and 1", a, b)
	}
	if err := p.Reweigh("a", 0); err != nil {
		t.Fatal(err)
	}
	if a, _ := weights(); a != 1 {
		t.Errorf("weight %v, want the configured one", a)
	}
	for _, w := range []float64{-1, math.NaN(), math.Inf(1)} {
		if err := p.Reweigh("a", w); !errors.Is(err, fault.Invalid) {
			t.Errorf("weight %v: got %v", w, err)
		}
	}
	for _, err := range []error{p.Reweigh("c", 1), p.Steer("c", Draining)} {
		if !errors.Is(err, fault.NotFound) {
			t.Errorf("an unknown member: got %v", err)
		}
	}
	if err := p.Steer("a", Throttled); !errors.Is(err, fault.Invalid) {
		t.Errorf("a state that nobody can order: got %v", err)
	}
}
