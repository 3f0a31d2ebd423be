package admit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// fed is a limiter with a clock of its own.
type fed struct {
	limiter
	now time.Time
}

func newFed(c Config) *fed { return &fed{newLimiter(c.withDefaults()), time.Unix(1e9, 0)} }

// feed enters 1,000 calls a second, which take what took says at the present limit.
func (f *fed) feed(calls int, held bool, took func(limit float64) time.Duration) {
	for range calls {
		f.now = f.now.Add(time.Millisecond)
		f.observe(ended{at: f.now, took: took(f.limit), busy: int(f.limit), held: held})
	}
}

// byLittle is the latency where as many calls as may be are at work.
func byLittle(limit float64) time.Duration {
	return time.Duration(limit / 1000 * float64(time.Second))
}

func TestLimiter_findsWhatKeepsTheTarget(t *testing.T) {
	for _, start := range []int{4, 64, 4000} {
		l := newFed(Config{Target: 100 * time.Millisecond, Start: start})
		l.feed(200_000, true, byLittle)
		if l.limit < 80 || l.limit > 110 {
			t.Errorf("limit %v from %d, want about 100", l.limit, start)
		}
		fast := func(float64) time.Duration { return time.Millisecond }
		l.feed(1000, false, fast) // the window from before ends
		before := l.limit
		l.feed(10_000, false, fast)
		if l.limit != before {
			t.Errorf("limit %v, was %v: it must not grow where it holds nobody back", l.limit, before)
		}
	}
}

// What takes long whatever the limit is not the limit's doing: it stays, and still
// protects from a load that is.
func TestLimiter_isNotToBlameForWhatItCannotChange(t *testing.T) {
	l := newFed(Config{Target: 100 * time.Millisecond, Start: 400})
	l.feed(200_000, false, func(float64) time.Duration { return 300 * time.Millisecond })
	if l.limit < 400 {
		t.Errorf("limit %v, was 400: calls take as long with half of it", l.limit)
	}
	l.feed(200_000, true, func(limit float64) time.Duration { return 300*time.Millisecond + 10*byLittle(limit) })
	if l.limit > 60 {
		t.Errorf("limit %v, want what keeps calls near the 300ms that they take at least", l.limit)
	}
	l.feed(200_000, true, byLittle)
	if l.limit < 80 || l.limit > 110 {
		t.Errorf("limit %v, want about 100 again: calls are fast now", l.limit)
	}
}

// Patience is 100 ms: a limit that grows more slowly refuses what there is room for.
func TestLimiter_growsWithinAFewRoundTrips(t *testing.T) {
	l := newFed(Config{Target: 500 * time.Millisecond, Start: 64})
	l.feed(200, true, func(float64) time.Duration { return 25 * time.Millisecond })
	if l.limit < 300 {
		t.Errorf("limit %v after 200ms of calls that take 25ms", l.limit)
	}
}

// A call that was cut off says only how long it took at least.
func TestLimiter_doesNotTrustATrialOfCallsThatWereCutOff(t *testing.T) {
	l := newFed(Config{Target: 100 * time.Millisecond, Start: 4000})
	for range 100_000 {
		l.now = l.now.Add(time.Millisecond)
		took := min(byLittle(l.limit), 200*time.Millisecond)
		l.observe(ended{at: l.now, took: took, busy: int(l.limit), held: true, late: took == 200*time.Millisecond})
	}
	if l.limit > 110 {
		t.Errorf("limit %v, want about 100", l.limit)
	}
}

// shop has counters, at each of which a customer takes 5 ms in the mean, and a walk
// of 50 ms to them.
type shop struct {
	counters chan struct{}
	gate     *Gate
	deadline time.Duration
}

const (
	counters = 8
	service  = 5 * time.Millisecond
	walk     = 50 * time.Millisecond
	warmUp   = 3 * time.Second
)

// visit returns fault.Overloaded where the gate refuses the customer.
func (s shop) visit(service time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.deadline)
	defer cancel()
	pass, err := s.gate.Enter(ctx, "", 0)
	if err != nil {
		return err
	}
	time.Sleep(walk)
	select {
	case s.counters <- struct{}{}:
		time.Sleep(service)
		<-s.counters
		err = ctx.Err()
	case <-ctx.Done():
		err = ctx.Err()
	}
	pass.Leave(err)
	return err
}

// open has customers come by chance for a while, at a share of what the counters can do. Of those that
// come after the warm-up it returns the share that the gate refused, and what was
// served in time, of the capacity.
func (s shop) open(load float64, d time.Duration) (refused, good float64) {
	rng := rand.New(rand.NewPCG(1, 2))
	var wg sync.WaitGroup
	var mu sync.Mutex
	n := 0.0
	gap := float64(service) / counters / load
	begun := time.Now()
	for time.Since(begun) < d {
		time.Sleep(time.Duration(rng.ExpFloat64() * gap))
		work := time.Duration(rng.ExpFloat64() * float64(service))
		counts := 0.0
		if time.Since(begun) > warmUp {
			counts = 1
		}
		n += counts
		wg.Go(func() {
			err := s.visit(work)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				good += counts
			case fault.Of(err) == fault.Overloaded:
				refused += counts
			}
		})
	}
	wg.Wait()
	return refused / n, good * float64(service) / counters / float64(d-warmUp)
}

// TestGate_shedsWhatCannotBeServedAndNothingElse opens a gate that knows nothing: about 90 calls must be
// at work at a time, six times as many as it begins with, and of the shortest deadline the walk takes
// more than half.
func TestGate_shedsWhatCannotBeServedAndNothingElse(t *testing.T) {
	for _, deadline := range []time.Duration{90 * time.Millisecond, 250 * time.Millisecond, time.Second} {
		for _, load := range []float64{0.7, 0.95, 1.05, 2} {
			t.Run(fmt.Sprint(deadline, " at ", load), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g, err := New(Config{Start: 16, Target: deadline / 2, Patience: min(100*time.Millisecond, deadline/4)})
					if err != nil {
						t.Fatal(err)
					}
					refused, good := shop{make(chan struct{}, counters), g, deadline}.open(load, 6*time.Second)
					t.Logf("%.2f %% refused, %.1f %% of the capacity served in time", 100*refused, 100*good)
					if load < 1 && refused > 0.02 {
						t.Errorf("%.2f %% were refused, and there was room for all", 100*refused)
					}
					if want := 0.9 * min(load, 1); good < want {
						t.Errorf("%.3f of the capacity, want %.3f", good, want)
					}
				})
			})
		}
	}
}
