package bench_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/fault"
)

func run(t *testing.T, l bench.Load, call bench.Call) bench.Result {
	t.Helper()
	r, err := l.Run(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The generator against calls whose latencies are known: what it reports is within 2 % of them.
func TestLoad_reportsAKnownDistribution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var drawn []time.Duration
		rng := rand.New(rand.NewPCG(1, 2))
		r := run(t, bench.Load{Rate: 500, Duration: 60 * time.Second, Warmup: time.Second, Seed: 3}, func(_ context.Context, turn bench.Turn) error {
			mu.Lock()
			d := time.Duration(5e6 * math.Exp(0.5*rng.NormFloat64()))
			if turn.Recorded {
				drawn = append(drawn, d)
			}
			mu.Unlock()
			time.Sleep(d)
			return nil
		})
		slices.Sort(drawn)
		for _, q := range []float64{0.5, 0.9, 0.99, 0.999} {
			want := drawn[int(q*float64(len(drawn)))]
			if got := r.Latency.Quantile(q); math.Abs(float64(got)/float64(want)-1) > 0.02 {
				t.Errorf("quantile %g: %s, want %s", q, got, want)
			}
		}
		if n := r.Latency.Count(); n != len(drawn) || n < 29_000 || n > 31_000 {
			t.Errorf("%d calls recorded, %d made, want about 30,000", n, len(drawn))
		}
		if r.Lateness.Max() != 0 || r.Invalid() != "" {
			t.Errorf("the generator was late by %s in virtual time: %s", r.Lateness.Max(), r.Invalid())
		}
	})
}

// A server that stands still for a second holds up all calls that are due meanwhile. A closed loop would make
// one call for each of its callers and see nothing of it.
func TestLoad_seesAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		pause, until := start.Add(30*time.Second), start.Add(31*time.Second)
		r := run(t, bench.Load{Rate: 100, Constant: true, Duration: time.Minute}, func(context.Context, bench.Turn) error {
			if now := time.Now(); now.After(pause) && now.Before(until) {
				time.Sleep(until.Sub(now))
			}
			time.Sleep(time.Millisecond)
			return nil
		})
		if got := r.Latency.Quantile(0.999); got < 900*time.Millisecond {
			t.Errorf("p99.9 is %s after a pause of 1 s in 60 s", got)
		}
		if got := r.Latency.Quantile(0.98); got > 2*time.Millisecond {
			t.Errorf("p98 is %s: just 1/60 of the calls met the pause", got)
		}
		if got := r.Series[30].P99; got < 900*time.Millisecond {
			t.Errorf("second 30 has a p99 of %s", got)
		}
	})
}

func TestLoad_ramp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, bench.Load{Rate: 100, To: 300, Constant: true, Duration: 100 * time.Second}, func(context.Context, bench.Turn) error { return nil })
		first, last := r.Series[0].Rate, r.Series[len(r.Series)-1].Rate
		if math.Abs(first-101) > 2 || math.Abs(last-299) > 2 || math.Abs(float64(r.Calls())-20_000) > 10 {
			t.Errorf("%d calls, %g a second at first and %g at last, want 20,000, 101 and 299", r.Calls(), first, last)
		}
	})
}

// A limit of calls under way makes the generator late, and the run says so.
func TestLoad_lateIsInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, bench.Load{Rate: 100, Constant: true, Duration: 10 * time.Second, Limit: 1}, func(context.Context, bench.Turn) error {
			time.Sleep(20 * time.Millisecond)
			return nil
		})
		if !strings.Contains(r.Invalid(), "late") {
			t.Errorf("one call of 20 ms at a time cannot do 100 a second: %q", r.Invalid())
		}
		if got := r.Latency.Quantile(0.5); got < 4*time.Second {
			t.Errorf("p50 is %s: latencies must count from when the calls were due", got)
		}
	})
}

func TestLoad_countsErrorsByClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, bench.Load{Rate: 10, Constant: true, Duration: 40*time.Second + 50*time.Millisecond}, func(_ context.Context, turn bench.Turn) error {
			return []error{nil, fault.New(fault.Overloaded, "busy"), context.DeadlineExceeded, errors.New("strange")}[turn.Index%4]
		})
		if r.Latency.Count() != 100 || r.Failed() != 300 || r.Errors["overloaded"] != 100 || r.Errors["timeout"] != 100 || r.Errors["other"] != 100 {
			t.Errorf("%d answers, errors %v", r.Latency.Count(), r.Errors)
		}
		if got, want := r.ErrorNote(), "100 other, 100 overloaded, 100 timeout"; got != want {
			t.Errorf("note %q, want %q", got, want)
		}
	})
}

// A run that is cut returns what it has; calls that were cancelled by it are not errors of the target.
func TestLoad_cut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r, err := bench.Load{Rate: 10, Constant: true, Duration: time.Hour}.Run(ctx, func(ctx context.Context, _ bench.Turn) error {
			select {
			case <-time.After(150 * time.Millisecond):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil || !r.Cut || r.Failed() != 0 || r.Calls() < 47 || r.Calls() > 49 {
			t.Errorf("cut %t, %d calls, %d failed, %v", r.Cut, r.Calls(), r.Failed(), err)
		}
	})
}

func TestLoad_refuses(t *testing.T) {
	for field, l := range map[string]bench.Load{
		"/rate":     {Duration: time.Second},
		"/to":       {Rate: 1, To: -1, Duration: time.Second},
		"/duration": {Rate: 1},
		"/warmup":   {Rate: 1, Duration: time.Second, Warmup: -1},
		"/limit":    {Rate: 1, Duration: time.Second, Limit: -1},
	} {
		if _, err := l.Run(t.Context(), nil); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestSLO_highest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := make(chan struct{}, 1) // answers one call at a time, in 10 ms: 100 a second
		probes := 0
		slo := bench.SLO{Quantile: 0.99, Limit: 40 * time.Millisecond}
		rate, best, err := slo.Highest(t.Context(), bench.Load{Rate: 10, Constant: true, Duration: 10 * time.Second}, func(context.Context, bench.Turn) error {
			server <- struct{}{}
			defer func() { <-server }()
			time.Sleep(10 * time.Millisecond)
			return nil
		}, func(bench.Probe) { probes++ })
		if err != nil || rate < 95 || rate > 101 || !slo.Met(best) {
			t.Errorf("highest rate %g after %d probes, want about 100 (%v)", rate, probes, err)
		}
	})
}

func TestParseSLO(t *testing.T) {
	got, err := bench.ParseSLO("p99.9=50ms")
	if err != nil || got.String() != "p99.9=50ms" || got.Limit != 50*time.Millisecond {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "p99", "99=50ms", "p100=1s", "p0=1s", "p99=50", "p99=-1s", "px=1s"} {
		if _, err := bench.ParseSLO(bad); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestRecorder_allocatesNothing(t *testing.T) {
	r := bench.NewRecorder(time.Minute)
	busy := fault.New(fault.Overloaded, "busy")
	r.Outcome(0, 0, busy)
	if n := testing.AllocsPerRun(1000, func() {
		r.Record(3*time.Second, 40*time.Millisecond)
		r.Outcome(time.Hour, 2*time.Hour, nil)
	}); n != 0 {
		t.Errorf("%g allocations a sample", n)
	}
}
