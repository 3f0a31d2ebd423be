package admit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// one returns a gate that lets one call work at a time.
func one(t *testing.T, c Config) *Gate {
	t.Helper()
	c.Least, c.Start, c.Most = 1, 1, 1
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// line sends calls of the given tenants to a gate that is taken, in order and
// gap apart, and lets each work for one millisecond. It returns the indices of
// those that were admitted, in the order of their admission, and the errors.
func line(t *testing.T, g *Gate, gap time.Duration, tenants ...string) (order []int, errs []error) {
	t.Helper()
	first, err := g.Enter(t.Context(), "first", 0)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	errs = make([]error, len(tenants))
	for i, tenant := range tenants {
		wg.Go(func() {
			p, err := g.Enter(context.Background(), tenant, 100)
			mu.Lock()
			errs[i] = err
			if err == nil {
				order = append(order, i)
			}
			mu.Unlock()
			if err == nil {
				time.Sleep(time.Millisecond)
				p.Leave(nil)
				p.Leave(nil)
			}
		})
		time.Sleep(gap)
		synctest.Wait()
	}
	first.Leave(nil)
	wg.Wait()
	if s := g.State(); s.Busy != 0 || s.Queued != 0 || s.QueuedBytes != 0 {
		t.Errorf("%+v is left behind", s)
	}
	return order, errs
}

func TestGate_isFairBetweenTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := one(t, Config{Weights: map[string]float64{"heavy": 2}})
		order, _ := line(t, g, 0, "a", "a", "a", "a", "b", "b", "heavy", "heavy", "heavy", "heavy")
		var got strings.Builder
		for _, i := range order[:8] {
			got.WriteString([]string{"a", "a", "a", "a", "b", "b", "h", "h", "h", "h"}[i])
		}
		if c := func(s string) int { return strings.Count(got.String(), s) }; c("a") != 2 || c("b") != 2 || c("h") != 4 {
			t.Errorf("admitted %s, want two of a, two of b and four of the heavy one", got.String())
		}
	})
}

func TestGate_newestFirstWhileTheQueueDoesNotDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := one(t, Config{Patience: 50 * time.Millisecond, Urgent: 20 * time.Millisecond})
		order, errs := line(t, g, 6*time.Millisecond, "a", "a", "a", "a", "a", "a", "a", "a", "a", "a")
		for i := range 6 {
			if !errors.Is(errs[i], fault.Overloaded) {
				t.Errorf("call %d: %v, want refused: it waited for more than 20ms", i, errs[i])
			}
		}
		if fmt.Sprint(order) != "[9 8 7]" {
			t.Errorf("order %v, want the newest first", order)
		}
	})
}

// A tenant that asks for less than its share does not pay for one that asks for more.
func TestGate_isUrgentOnlyForTheTenantThatDoesNotDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := one(t, Config{Patience: 50 * time.Millisecond, Urgent: 10 * time.Millisecond})
		var tenants []string
		for range 20 {
			tenants = append(tenants, "heavy")
		}
		tenants = append(tenants, "light", "heavy")
		order, errs := line(t, g, 6*time.Millisecond, tenants...)
		if !errors.Is(errs[0], fault.Overloaded) || errs[20] != nil || len(order) != 2 {
			t.Errorf("admitted %v: want the light tenant's call, which waited for 12ms, and the newest of the heavy one", order)
		}
	})
}

func TestGate_oldestFirstOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if order, _ := line(t, one(t, Config{}), time.Millisecond, "a", "a", "a"); fmt.Sprint(order) != "[0 1 2]" {
			t.Errorf("order %v, want the oldest first", order)
		}
	})
}

func TestGate_nobodyWaitsForLongerThanItsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := one(t, Config{})
		p, _ := g.Enter(t.Context(), "a", 0)
		start := time.Now()
		if _, err := g.Enter(t.Context(), "b", 0); !errors.Is(err, fault.Overloaded) || time.Since(start) != 100*time.Millisecond {
			t.Errorf("%v after %v, want refused after 100ms", err, time.Since(start))
		}
		p.Leave(nil)
	})
}

func TestGate_aFullQueueTakesFromTheHeaviestTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]Config{"calls": {Queue: 3}, "bytes": {QueueBytes: 350}} {
			_, errs := line(t, one(t, c), 0, "a", "a", "a", "b", "a", "b")
			for i, refused := range []bool{true, false, false, false, true, true} { // b may not take more than a has
				if got := errors.Is(errs[i], fault.Overloaded); got != refused {
					t.Errorf("%s: call %d: %v, want refused: %v", name, i, errs[i], refused)
				}
			}
		}
	})
}

func TestGate_aCallThatNeverFitsPushesNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := one(t, Config{QueueBytes: 350})
		large := make(chan error, 1)
		time.AfterFunc(2500*time.Microsecond, func() { // all of a wait
			_, err := g.Enter(context.Background(), "b", 351)
			large <- err
		})
		_, errs := line(t, g, time.Millisecond, "a", "a", "a")
		if err := <-large; !errors.Is(err, fault.Overloaded) {
			t.Errorf("a call of more than the queue holds: %v, want overloaded", err)
		}
		for i, err := range errs {
			if err != nil {
				t.Errorf("call %d was pushed out: %v", i, err)
			}
		}
	})
}

func TestGate_saysTruthfullyWhenToRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := one(t, Config{Queue: 5, Patience: time.Hour, Urgent: time.Hour})
		for range 1000 { // the gate learns that a call is admitted every 10 ms
			p, err := g.Enter(t.Context(), "a", 0)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
			p.Leave(nil)
		}
		_, errs := line(t, g, 0, "a", "a", "a", "a", "a", "a")
		if wait := fault.RetryAfter(errs[5]); wait < 59*time.Millisecond || wait > 61*time.Millisecond {
			t.Errorf("retry after %v, want the 60ms that five waiting calls and this one need", wait)
		}
	})
}

func TestGate_aCallerWhoLeavesTakesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := one(t, Config{})
		p, _ := g.Enter(t.Context(), "a", 0)
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Millisecond, func() { cancel(gone) })
		if _, err := g.Enter(ctx, "a", 7); !errors.Is(err, gone) {
			t.Errorf("error %v, want the context's cause", err)
		}
		if s := g.State(); s.Queued != 0 || s.QueuedBytes != 0 || s.Shed != 0 {
			t.Errorf("%+v after the caller left", s)
		}
		p.Leave(nil)
	})
}

func TestNew_namesWrongFields(t *testing.T) {
	for want, c := range map[string]Config{
		"target":            {Target: -1},
		"least":             {Least: 10, Start: 5},
		"queue":             {Queue: -1},
		"urgent":            {Urgent: time.Second, Patience: time.Millisecond},
		`weights["tenant"]`: {Weights: map[string]float64{"tenant": math.NaN()}},
	} {
		if _, err := New(c); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want an invalid %s", c, err, want)
		}
	}
}

// TestGate_nothingIsLeftBehind drives random arrivals, departures and cancels.
func TestGate_nothingIsLeftBehind(t *testing.T) {
	type call struct {
		Wait, Work, Leave time.Duration
		Tenant            string
	}
	rapid.Check(t, func(rt *rapid.T) {
		millis := func(t *rapid.T, what string, most int) time.Duration {
			return time.Duration(rapid.IntRange(0, most).Draw(t, what)) * time.Millisecond
		}
		calls := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) call {
			return call{millis(t, "wait", 5), millis(t, "work", 50), millis(t, "leave", 200), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "tenant")}
		}), 1, 60).Draw(rt, "calls")
		synctest.Test(t, func(t *testing.T) {
			g, err := New(Config{Least: 1, Start: 2, Most: 4, Queue: 5, QueueBytes: 600})
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for _, c := range calls {
				time.Sleep(c.Wait)
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), c.Leave)
					defer cancel()
					if p, err := g.Enter(ctx, c.Tenant, 100); err == nil {
						time.Sleep(c.Work)
						p.Leave(nil)
					}
				})
				if s := g.State(); s.Busy > 4 || s.Queued > 5 || s.QueuedBytes > 600 {
					rt.Fatalf("%+v is above the bounds", s)
				}
			}
			wg.Wait()
			if s := g.State(); s.Busy != 0 || s.Queued != 0 || s.QueuedBytes != 0 || len(g.queue.tenants) != 0 {
				rt.Fatalf("%+v is left behind", s)
			}
		})
	})
}

func Example() {
	gate, err := New(Config{Target: 200 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	pass, err := gate.Enter(context.Background(), "tenant-a", 2048)
	if err != nil {
		fmt.Println("retry after", fault.RetryAfter(err))
		return
	}
	defer pass.Leave(nil)
	fmt.Println(gate.State().Busy, "at work")
	// Output: 1 at work
}

func BenchmarkGate(b *testing.B) {
	g, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		p, err := g.Enter(b.Context(), "a", 0)
		if err != nil {
			b.Fatal(err)
		}
		p.Leave(nil)
	}
}

func TestGate_aClockThatStandsStillOrJumpsBreaksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5000 {
			if i%1000 == 999 {
				time.Sleep(50 * 365 * 24 * time.Hour)
			}
			p, err := g.Enter(t.Context(), "a", 1)
			if err != nil {
				t.Fatal(err)
			}
			p.Leave(nil)
		}
		if s := g.State(); s.Limit < 4 || s.Busy != 0 || s.Shed != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestGate_losesNobodyWithoutALock has calls pass and queue side by side: never
// more than the limit are at work, and whoever waits is let in.
func TestGate_losesNobodyWithoutALock(t *testing.T) {
	const most = 3
	g, err := New(Config{Least: most, Start: most, Most: most, Patience: time.Minute, Urgent: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	var atWork atomic.Int64
	var wg sync.WaitGroup
	for range 2 * most {
		wg.Go(func() {
			for range 500 {
				p, err := g.Enter(t.Context(), "a", 1)
				if err != nil {
					t.Error(err)
					return
				}
				if n := atWork.Add(1); n > most {
					t.Errorf("%d calls are at work, %d may be", n, most)
				}
				runtime.Gosched()
				atWork.Add(-1)
				p.Leave(nil)
			}
		})
	}
	wg.Wait()
	if s := g.State(); s.Busy != 0 || s.Queued != 0 || s.QueuedBytes != 0 || s.Shed != 0 {
		t.Errorf("%+v is left behind", s)
	}
}
