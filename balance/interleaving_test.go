package balance

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/balance/limit"
	"github.com/lanewise/lanewise/fault"
)

// step is one thing that happens to the pool, some time after the one before.
type step struct {
	Wait   time.Duration
	Kind   string // do, open or update
	Call   Call
	Leave  time.Duration // after which the caller cancels; 0: it stays
	Hold   time.Duration // for which an opened answer is kept
	Fail   bool          // an opened answer is reported as failed
	Acts   []act         // of the attempts, in turn
	Update []Member[int]
}

// act is what an attempt does.
type act struct {
	Kind  string
	After time.Duration
}

func steps() *rapid.Generator[[]step] {
	short := rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.SampledFrom([]int{0, 1, 5, 31, 100, 2000}).Draw(t, "ms")) * time.Millisecond
	})
	acts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) act {
		return act{
			Kind:  rapid.SampledFrom([]string{"answer", "answer", "answer", "down", "busy", "invalid", "deaf", "panic", "exit", "timeout"}).Draw(t, "act"),
			After: short.Draw(t, "after"),
		}
	}), 1, 4)
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			Wait: short.Draw(t, "wait"),
			Kind: rapid.SampledFrom([]string{"do", "do", "do", "open", "update"}).Draw(t, "kind"),
			Call: Call{
				Class:    rapid.SampledFrom([]string{"", "large"}).Draw(t, "class"),
				Cost:     rapid.Int64Range(0, 50).Draw(t, "cost"),
				Affinity: rapid.SampledFrom([]string{"", "tenant"}).Draw(t, "affinity"),
				NoHedge:  rapid.Bool().Draw(t, "no hedge"),
				Seated:   rapid.Bool().Draw(t, "seated"),
			},
			Leave: short.Draw(t, "leave"), Hold: short.Draw(t, "hold"), Fail: rapid.Bool().Draw(t, "fail"),
			Acts: acts.Draw(t, "acts"), Update: memberships(t),
		}
	}), 1, 40)
}

func memberships(t *rapid.T) []Member[int] {
	var out []Member[int]
	for i := range 4 {
		if rapid.Bool().Draw(t, "present") {
			out = append(out, Member[int]{
				Name: fmt.Sprint(i), Target: i, Weight: rapid.Float64Range(0, 4).Draw(t, "weight"), Slots: rapid.IntRange(0, 2).Draw(t, "slots"),
				Tier: rapid.IntRange(0, 1).Draw(t, "tier"), Aborts: rapid.Bool().Draw(t, "aborts"),
			})
		}
	}
	return out
}

// held is an answer that counts how often it is closed.
type held struct{ closes *atomic.Int64 }

func (h *held) Close() error { h.closes.Add(-1); return nil }

// TestPool_everyLeaseComesBack drives random interleavings of calls, hedges,
// failures, cancels, panics, membership changes and a close, and looks for load,
// goroutines (the bubble would not end) and open answers that are left behind.
func TestPool_everyLeaseComesBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		script := steps().Draw(rt, "steps")
		early, narrow := rapid.Bool().Draw(rt, "closed while calls run"), rapid.Bool().Draw(rt, "members are soon full")
		synctest.Test(t, func(t *testing.T) {
			if problem := play(t, script, early, narrow); problem != "" {
				rt.Fatal(problem)
			}
		})
	})
}

// play runs a script and returns what is wrong afterwards.
func play(t *testing.T, script []step, early, narrow bool) string {
	t.Helper()
	lane := lane(t, LaneConfig{HedgeShare: 1})
	limits := limit.Config{Off: true}
	if narrow {
		limits = limit.Config{Least: 1, Start: 1, Most: 2}
	}
	p, err := NewPool(Config{Lane: lane, HedgeShare: 1, FailoverShare: 1, Limit: limits}, memberNamed(0), memberNamed(1), memberNamed(2))
	if err != nil {
		t.Fatal(err)
	}
	every := map[*member]bool{} // that ever was
	var open atomic.Int64
	var wg sync.WaitGroup
	for _, s := range script {
		time.Sleep(s.Wait)
		for _, e := range p.set.Load().entries {
			every[e.member] = true
		}
		if s.Kind == "update" {
			if err := p.Update(s.Update); err != nil {
				t.Fatal(err)
			}
			continue
		}
		wg.Go(func() { s.run(p, &open) })
		for m := range every {
			if n := m.inflight.Load(); narrow && n > 2*homeFactor {
				return fmt.Sprintf("member %s has %d attempts at a time, its limit is 2, or 8 for those at home, at most", m.name, n)
			}
		}
	}
	if !early {
		wg.Wait()
	}
	_ = p.Close()
	wg.Wait()
	for m := range every {
		if n, load := m.inflight.Load(), m.load.Load(); n != 0 || load != 0 {
			return fmt.Sprintf("member %s is left with %d attempts and load %d", m.name, n, load)
		}
	}
	if n := open.Load(); n != 0 {
		return fmt.Sprintf("%d answers are still open", n)
	}
	if s := p.Snapshot(); s.Running != 0 || s.Charged != 0 || s.Waiting != 0 {
		return fmt.Sprintf("%d attempts run, %d are charged, %d calls wait", s.Running, s.Charged, s.Waiting)
	}
	if n := p.core.line.seats.Load(); n != 0 {
		return fmt.Sprintf("%d seats are taken", n)
	}
	return ""
}

func memberNamed(i int) Member[int] { return Member[int]{Name: fmt.Sprint(i), Target: i} }

// run makes the step's call.
func (s step) run(p *Pool[int], open *atomic.Int64) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if s.Leave > 0 {
		defer time.AfterFunc(s.Leave, cancel).Stop()
	}
	if s.Call.Seated && p.Seat(0) != nil {
		return
	}
	var nth atomic.Int64
	attempt := func(ctx context.Context, _ int) (*held, error) {
		if err := s.Acts[int(nth.Add(1)-1)%len(s.Acts)].play(ctx); err != nil {
			return nil, err
		}
		Settle(ctx, 7)
		return &held{open}, nil
	}
	if s.Kind == "do" {
		_, _ = Do(ctx, p, s.Call, attempt)
		return
	}
	w, err := Open(ctx, p, s.Call, func(ctx context.Context, target int) (*held, error) {
		h, err := attempt(ctx, target)
		if err == nil {
			open.Add(1)
		}
		return h, err
	})
	if err != nil {
		return
	}
	time.Sleep(s.Hold)
	if s.Fail {
		w.Done(3, errDown)
	}
	_ = w.Close()
}

// play does what an attempt does.
func (a act) play(ctx context.Context) error {
	if a.Kind == "deaf" {
		time.Sleep(a.After)
		return nil
	}
	select {
	case <-time.After(a.After):
	case <-ctx.Done():
		return ctx.Err()
	}
	switch a.Kind {
	case "down":
		return errDown
	case "busy":
		return fault.Busy(a.After, "full")
	case "invalid":
		return fault.New(fault.Invalid, "k is 0")
	case "panic":
		panic(errors.New("a defect"))
	case "exit":
		runtime.Goexit()
	case "timeout":
		return context.DeadlineExceeded
	}
	return nil
}
