package balance

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// A call that is an extra attempt itself is paid for by the request's allowance, as failovers are.
func TestDo_extraCallsAreInTheAllowance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, server{name: "a"})
		ctx := WithAllowance(t.Context(), 1)
		for i, want := range []error{nil, fault.Unavailable, fault.Unavailable} {
			if _, err := Do(ctx, p, Call{Extra: true}, ask); !errors.Is(err, want) {
				t.Errorf("extra call %d: %v, want %v", i, err, want)
			}
		}
		if _, err := Do(ctx, p, Call{}, ask); err != nil {
			t.Errorf("a call of its own: %v", err)
		}
		if _, err := Do(t.Context(), p, Call{Extra: true}, ask); err != nil {
			t.Errorf("without an allowance: %v", err)
		}
		_ = p.Close()
		idle(t, p)
	})
}

// While the only member has asked to be left alone, a call waits for it; one with NoWait does not.
func TestDo_withoutWaiting(t *testing.T) {
	for _, c := range []struct {
		noWait bool
		took   time.Duration
		want   error
	}{{false, 3 * time.Second, nil}, {true, 0, fault.Overloaded}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, Config{}, server{name: "a"})
			busy := func(context.Context, server) (string, error) { return "", fault.Busy(3*time.Second, "full") }
			_, _ = Do(t.Context(), p, Call{}, busy)
			start := time.Now()
			_, err := Do(t.Context(), p, Call{NoWait: c.noWait}, ask)
			if took := time.Since(start); !errors.Is(err, c.want) || took != c.took {
				t.Errorf("NoWait %v: %v after %v; want %v after %v", c.noWait, err, took, c.want, c.took)
			}
			if c.noWait && fault.RetryAfter(err) != 3*time.Second {
				t.Errorf("asks to wait for %v, want 3s", fault.RetryAfter(err))
			}
			_ = p.Close()
		})
	}
}
