package balance

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// heard is what Each told of its parts.
type heard struct {
	told  []int
	names []string
	errs  []error
	at    []time.Duration
}

// each asks every pool, with f or else as [ask] does.
func each(ctx context.Context, f func(context.Context, int, server) (string, error), pools ...*Pool[server]) *heard {
	h := &heard{make([]int, len(pools)), make([]string, len(pools)), make([]error, len(pools)), make([]time.Duration, len(pools))}
	parts := make([]Part[server], len(pools))
	for i, p := range pools {
		parts[i].Pool = p
	}
	if f == nil {
		f = func(ctx context.Context, _ int, s server) (string, error) { return ask(ctx, s) }
	}
	start := time.Now()
	Each(ctx, parts, f, func(at int, name string, err error) {
		h.told[at]++
		h.names[at], h.errs[at], h.at[at] = name, err, time.Since(start)
	})
	return h
}

// closeIdle closes pools, which must hold no load then.
func closeIdle(t *testing.T, pools ...*Pool[server]) {
	t.Helper()
	for _, p := range pools {
		_ = p.Close()
		idle(t, p)
	}
}

func TestEach_coversForEveryPartAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const msec = time.Millisecond
		pools := []*Pool[server]{
			newPool(t, Config{}, server{name: "quick", after: 2 * msec}),
			newPool(t, Config{}, server{name: "slow", after: time.Hour}, server{name: "hedge", after: 5 * msec}),
			newPool(t, Config{}, server{name: "down", after: 3 * msec, err: errDown}, server{name: "failover", after: msec}),
			newPool(t, Config{}, server{name: "invalid", after: msec, err: fault.New(fault.Invalid, "k is 0")}, server{name: "spare"}),
			newPool(t, Config{}),
		}
		got := each(t.Context(), nil, pools...)
		for i, want := range []struct {
			name string
			err  error
			at   time.Duration
		}{{"quick", nil, 2 * msec}, {"hedge", nil, 35 * msec}, {"failover", nil, 4 * msec}, {"", fault.Invalid, msec}, {"", fault.Unavailable, 0}} {
			if got.told[i] != 1 || got.names[i] != want.name || !errors.Is(got.errs[i], want.err) || got.at[i] != want.at {
				t.Errorf("part %d: told %d times, %q, %v after %v; want %+v", i, got.told[i], got.names[i], got.errs[i], got.at[i], want)
			}
		}
		closeIdle(t, pools...)
	})
}

// TestEach_hedgesEachPartWhenItIsDue: the parts of two lanes have delays of their own.
func TestEach_hedgesEachPartWhenItIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pools []*Pool[server]
		for _, delay := range []time.Duration{70, 20, 50} {
			l := lane(t, LaneConfig{HedgeDelay: delay * time.Millisecond, HedgeShare: 1})
			pools = append(pools, newPool(t, Config{Lane: l}, server{name: "a", after: time.Hour}, server{name: "b", after: time.Hour}, server{name: "c"}))
		}
		got := each(t.Context(), nil, pools...)
		for i, want := range []time.Duration{140, 40, 100} {
			if got.names[i] != "c" || got.at[i] != want*time.Millisecond {
				t.Errorf("part %d: %q after %v, want the second hedge, c, after %dms", i, got.names[i], got.at[i], want)
			}
		}
		closeIdle(t, pools...)
	})
}

func TestEach_losersAreCancelledBeforeTheOthersHaveAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pools := []*Pool[server]{
			newPool(t, Config{}, server{name: "a", after: time.Hour}, server{name: "b"}),
			newPool(t, Config{}, server{name: "c", after: time.Minute}),
		}
		var cause error
		var after time.Duration
		start := time.Now()
		each(t.Context(), func(ctx context.Context, _ int, s server) (string, error) {
			name, err := ask(ctx, s)
			if s.name == "a" {
				cause, after = context.Cause(ctx), time.Since(start)
			}
			return name, err
		}, pools...)
		if !errors.Is(cause, errLost) || after != defaultHedgeDelay {
			t.Errorf("the loser ended with %v after %v, want %v after %v", cause, after, errLost, defaultHedgeDelay)
		}
		closeIdle(t, pools...)
	})
}

func TestEach_returnsOnTimeAndTellsEveryPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("the client left")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, gone)
		defer cancel()
		pools := []*Pool[server]{
			newPool(t, Config{}, server{name: "a", after: time.Millisecond}),
			newPool(t, Config{}, server{name: "deaf", after: time.Second, deaf: true}),
			newPool(t, Config{}, server{name: "b", after: time.Second}),
		}
		start := time.Now()
		got := each(ctx, nil, pools...)
		if took := time.Since(start); took != 20*time.Millisecond {
			t.Errorf("took %v, want 20ms", took)
		}
		if got.names[0] != "a" || !errors.Is(got.errs[1], gone) || !errors.Is(got.errs[2], gone) {
			t.Errorf("heard %+v, want a and twice the context's cause", got)
		}
		if got := each(ctx, nil, pools[0]); got.told[0] != 1 || !errors.Is(got.errs[0], gone) {
			t.Errorf("heard %+v of a caller who has left, want the context's cause", got)
		}
		closeIdle(t, pools...)
	})
}

// TestEach_waitsForAMemberWhileOthersAnswer: a part whose members are all out of use
// for a moment does not hold the others up.
func TestEach_waitsForAMemberWhileOthersAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := newPool(t, Config{}, server{name: "a"})
		busy.set.Load().entries[0].health.throttled.Store(int64(5 * time.Millisecond))
		other := newPool(t, Config{}, server{name: "b", after: time.Millisecond})
		got := each(t.Context(), nil, busy, other)
		if got.names[0] != "a" || got.at[0] != 5*time.Millisecond || got.names[1] != "b" || got.at[1] != time.Millisecond {
			t.Errorf("heard %+v, want a after 5ms and b after 1ms", got)
		}
		closeIdle(t, busy, other)
	})
}

func TestEach_ofNothingReturns(t *testing.T) {
	Each(t.Context(), nil, func(context.Context, int, server) (string, error) { return "", nil }, func(int, string, error) { t.Error("told") })
}

// TestEach_manyAtOnce has real goroutines race for the ends of many calls at once.
func TestEach_manyAtOnce(t *testing.T) {
	var pools []*Pool[server]
	for range 40 {
		pools = append(pools, newPool(t, Config{Picker: RoundRobin{}}, server{name: "a"}, server{name: "b", err: errDown}, server{name: "c"}))
	}
	var answered atomic.Int64
	for round := range 50 {
		got := each(t.Context(), func(_ context.Context, _ int, s server) (string, error) {
			if s.err == nil {
				answered.Add(1)
			}
			return s.name, s.err
		}, pools...)
		for i := range pools {
			if got.told[i] != 1 || got.errs[i] == nil && got.names[i] == "" {
				t.Fatalf("round %d, part %d: told %d times, %q, %v", round, i, got.told[i], got.names[i], got.errs[i])
			}
		}
	}
	if n := answered.Load(); n < 40*50*2/3 {
		t.Errorf("%d answers of 2000", n)
	}
	closeIdle(t, pools...)
}
