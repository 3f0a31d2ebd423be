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

// TestReport_addsAndFades holds that a report adds the calls of others to a
// member's load, less and less, and that the pool's own are not counted twice.
func TestReport_addsAndFades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := NewPool(Config{Picker: LeastInflight{}}, Member[string]{Name: "a", Target: "a"}, Member[string]{Name: "b", Target: "b"})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close() //nolint:errcheck // never fails
		foreign := func() float64 { return p.Snapshot().Members[0].Foreign }
		where := func() string {
			got, err := Do(t.Context(), p, Call{}, func(_ context.Context, target string) (string, error) { return target, nil })
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		if err := p.Report("a", 8, 4*time.Second); err != nil || foreign() != 8 {
			t.Errorf("%v, %v calls, want 8", err, foreign())
		}
		for range 20 {
			if got := where(); got != "b" {
				t.Fatalf("a call went to %q, which is busy for others", got)
			}
		}
		time.Sleep(3 * time.Second)
		if foreign() != 2 {
			t.Errorf("after 3 s of 4 %v calls count, want 2", foreign())
		}
		time.Sleep(2 * time.Second)
		if foreign() != 0 {
			t.Errorf("a report that is over counts as %v", foreign())
		}
		_, _ = Do(t.Context(), p, Call{}, func(_ context.Context, target string) (string, error) {
			if err := p.Report(target, 3, time.Second); err != nil {
				t.Error(err)
			}
			return "", nil
		})
		s := p.Snapshot()
		if got := s.Members[0].Foreign + s.Members[1].Foreign; got != 2 {
			t.Errorf("3 calls of which 1 is ours count as %v of others, want 2", got)
		}
	})
}

// TestReport_absurd holds that a report that cannot be true changes nothing.
func TestReport_absurd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := NewPool(Config{}, Member[int]{Name: "a"})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close() //nolint:errcheck // never fails
		if err := p.Report("a", 5, time.Minute); err != nil {
			t.Fatal(err)
		}
		for _, calls := range []float64{math.NaN(), -1, 1e18, math.Inf(1)} {
			if err := p.Report("a", calls, time.Minute); !errors.Is(err, fault.Invalid) {
				t.Errorf("%v calls: %v", calls, err)
			}
		}
		if err := p.Report("a", 1, 0); !errors.Is(err, fault.Invalid) {
			t.Errorf("a report for no time: %v", err)
		}
		if err := p.Report("z", 1, time.Second); !errors.Is(err, fault.NotFound) {
			t.Errorf("an unknown member: %v", err)
		}
		if got := p.Snapshot().Members[0].Foreign; got != 5 {
			t.Errorf("%v calls count, want 5", got)
		}
	})
}
