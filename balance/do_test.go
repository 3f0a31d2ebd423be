package balance

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/fault"
)

func TestDo_hedgesAfterTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, server{name: "a", after: time.Second}, server{name: "b", after: 5 * time.Millisecond})
		start := time.Now()
		got, err := Do(t.Context(), p, Call{}, ask)
		if took := time.Since(start); got != "b" || err != nil || took != 35*time.Millisecond {
			t.Errorf("got %q, %v after %v; want b after 35ms", got, err, took)
		}
		_ = p.Close()
		idle(t, p)
	})
}

func TestDo_withoutHedging(t *testing.T) {
	never, err := NewLane(LaneConfig{HedgeDelay: -1})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config Config
		call   Call
	}{
		"the call forbids it":      {Config{}, Call{NoHedge: true}},
		"the lane forbids it":      {Config{Lane: never}, Call{}},
		"the pool has no budget":   {Config{HedgeShare: -1}, Call{}},
		"no extra attempt is left": {Config{}, Call{}},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, c.config, server{name: "a", after: time.Second}, server{name: "b"})
			ctx := t.Context()
			if strings.HasPrefix(name, "no extra") {
				ctx = WithAllowance(WithAllowance(ctx, 0), 5) // the outer one holds
			}
			start := time.Now()
			got, err := Do(ctx, p, c.call, ask)
			if took := time.Since(start); got != "a" || err != nil || took != time.Second {
				t.Errorf("%s: got %q, %v after %v; want a after 1s", name, got, err, took)
			}
			_ = p.Close()
		})
	}
}

func TestDo_failsOverAtOnce(t *testing.T) {
	timedOut := fault.Wrap(fault.Unavailable, "read", context.DeadlineExceeded)
	for _, err := range []error{errDown, fault.New(fault.Refused, "key"), fault.Busy(0, "full"), timedOut} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, Config{}, server{name: "a", err: err, after: time.Millisecond}, server{name: "b"})
			start := time.Now()
			got, failed := Do(t.Context(), p, Call{}, ask)
			if took := time.Since(start); got != "b" || failed != nil || took != time.Millisecond {
				t.Errorf("%v: got %q, %v after %v; want b after 1ms", err, got, failed, took)
			}
			_ = p.Close()
		})
	}
}

func TestDo_returnsABadQueryAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, server{name: "a", err: fault.BadField("/k", "is 0")}, server{name: "b"})
		if got, err := Do(t.Context(), p, Call{}, ask); !errors.Is(err, fault.Invalid) || fault.Field(err) != "/k" {
			t.Errorf("got %q, %v; want the invalid field /k", got, err)
		}
		_ = p.Close()
	})
}

func TestDo_namesEveryMemberThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Name: "s0"}, server{name: "a", err: errDown}, server{name: "b", err: context.Canceled})
		_, err := Do(t.Context(), p, Call{}, ask)
		if !errors.Is(err, errDown) || !errors.Is(err, fault.Unavailable) || errors.Is(err, context.Canceled) {
			t.Errorf("error %v; want both failures, without a context's end", err)
		}
		if text := err.Error(); !strings.Contains(text, "s0/a: connection refused; s0/b: timed out") {
			t.Errorf("error %q does not name the members", text)
		}
		_ = p.Close()
	})
}

func TestDo_emptyPoolIsUnavailable(t *testing.T) {
	p := newPool(t, Config{})
	if _, err := Do(t.Context(), p, Call{}, ask); !errors.Is(err, fault.Unavailable) {
		t.Errorf("error %v, want unavailable", err)
	}
}

func TestDo_closedPoolIsUnavailable(t *testing.T) {
	p := newPool(t, Config{}, server{name: "a"})
	_ = p.Close()
	_ = p.Close()
	if _, err := Do(t.Context(), p, Call{}, ask); !errors.Is(err, fault.Unavailable) {
		t.Errorf("error %v, want unavailable", err)
	}
}

func TestDo_returnsOnTimeFromADeafMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("the client left")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, gone)
		defer cancel()
		p := newPool(t, Config{}, server{name: "a", after: time.Second, deaf: true})
		start := time.Now()
		_, err := Do(ctx, p, Call{}, ask)
		if took := time.Since(start); took != 20*time.Millisecond || !errors.Is(err, gone) {
			t.Errorf("%v after %v; want the context's cause after 20ms", err, took)
		}
		_ = p.Close() // waits for the member
		if took := time.Since(start); took != time.Second {
			t.Errorf("closed after %v, before the member had returned", took)
		}
		idle(t, p)
	})
}

func TestDo_makesNoAttemptForACallerWhoHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("the client left")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(gone)
		p := newPool(t, Config{}, server{name: "a"})
		_, err := Do(ctx, p, Call{}, func(context.Context, server) (string, error) {
			t.Error("a member was asked")
			return "", nil
		})
		if !errors.Is(err, gone) {
			t.Errorf("%v, want the context's cause", err)
		}
		idle(t, p) // no load is left, not even for a while
		_ = p.Close()
	})
}

func TestDo_aPanicIsTheAttemptsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, server{name: "a"}, server{name: "b"})
		got, err := Do(t.Context(), p, Call{}, func(ctx context.Context, s server) (string, error) {
			if s.name == "a" {
				panic("no vector")
			}
			return ask(ctx, s)
		})
		if got != "b" || err != nil {
			t.Errorf("got %q, %v; want b", got, err)
		}
		_, err = Do(t.Context(), p, Call{}, func(context.Context, server) (string, error) { panic("no vector") })
		var panicked *Panic
		if !errors.As(err, &panicked) || !errors.Is(err, fault.Unavailable) || len(panicked.Stack) == 0 {
			t.Errorf("error %v, want a panic with its stack", err)
		}
		if strings.Contains(err.Error(), ".go:") {
			t.Errorf("the text shows the stack: %q", err)
		}
		_, err = Do(t.Context(), p, Call{}, func(context.Context, server) (string, error) { runtime.Goexit(); return "", nil })
		if !errors.Is(err, fault.Unavailable) {
			t.Errorf("error %v after Goexit, want unavailable", err)
		}
		_ = p.Close()
		idle(t, p)
	})
}

func TestSettle_replacesTheEstimate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, server{name: "a"})
		m := p.set.Load().entries[0].member
		var late context.Context
		_, err := Do(t.Context(), p, Call{Cost: 100}, func(ctx context.Context, _ server) (string, error) {
			inner, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			if load := m.load.Load(); load != 100 {
				t.Errorf("load %d, want the estimate of 100", load)
			}
			Settle(inner, 40)
			if load := m.load.Load(); load != 40 {
				t.Errorf("load %d, want the real 40", load)
			}
			late = ctx
			return "", nil
		})
		if err != nil {
			t.Fatal(err)
		}
		Settle(late, 7)
		Settle(context.Background(), 7)
		_ = p.Close()
		idle(t, p)
	})
}

// stream is an answer that stays open.
type stream struct {
	ctx    context.Context
	name   string
	closed *atomic.Int32
}

func (s *stream) Close() error { s.closed.Add(1); return io.ErrClosedPipe }

func TestOpen_winnerLivesUntilCloseAndLosersAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, server{name: "a", after: 50 * time.Millisecond, deaf: true}, server{name: "b", after: time.Millisecond})
		var closed atomic.Int32
		w, err := Open(t.Context(), p, Call{}, func(ctx context.Context, s server) (*stream, error) {
			name, err := ask(ctx, s)
			return &stream{ctx, name, &closed}, err
		})
		if err != nil || w.Value.name != "b" || w.Member() != "b" {
			t.Fatalf("won %+v, %v; want b", w, err)
		}
		time.Sleep(time.Second) // the loser has come and gone
		if n := closed.Load(); n != 1 {
			t.Errorf("%d answers closed, want the loser's", n)
		}
		b := p.set.Load().entries[1].member
		if w.Value.ctx.Err() != nil || b.inflight.Load() != 1 {
			t.Errorf("the winner's context or lease has ended before Close")
		}
		w.Done(3, nil)
		if b.load.Load() != 3 {
			t.Errorf("load %d after Done, want the real 3", b.load.Load())
		}
		if err := w.Close(); !errors.Is(err, io.ErrClosedPipe) || !errors.Is(w.Close(), io.ErrClosedPipe) {
			t.Errorf("Close = %v, want the answer's error", err)
		}
		if w.Value.ctx.Err() == nil || closed.Load() != 2 {
			t.Error("the winner is not closed")
		}
		_ = p.Close()
		idle(t, p)
	})
}

func TestTrace_seesEveryAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pool, outer, inner []Attempt
		into := func(list *[]Attempt) *Trace { return &Trace{Ended: func(a Attempt) { *list = append(*list, a) }} }
		p := newPool(t, Config{Name: "s0", Trace: into(&pool)}, server{name: "a", err: errDown}, server{name: "b", after: time.Millisecond})
		ctx := WithTrace(WithTrace(WithTrace(t.Context(), into(&outer)), nil), into(&inner))
		if _, err := Do(ctx, p, Call{}, ask); err != nil {
			t.Fatal(err)
		}
		for _, got := range [][]Attempt{pool, outer, inner} {
			if len(got) != 2 {
				t.Fatalf("attempts %+v, want 2", got)
			}
			a, b := got[0], got[1]
			if a.Member != "a" || a.Reason != First || a.Won || !errors.Is(a.Err, errDown) || a.Pool != "s0" {
				t.Errorf("first attempt %+v", a)
			}
			if b.Member != "b" || b.Reason != Failover || !b.Won || b.Err != nil || b.Took != time.Millisecond {
				t.Errorf("second attempt %+v", b)
			}
		}
		_ = p.Close()
	})
}

// TestDo_anAnswerThatComesSecondIsNoFailure holds the winner back between its
// victory and the word to its call, until the loser's answer is there.
func TestDo_anAnswerThatComesSecondIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := &Trace{Ended: func(a Attempt) {
			if a.Won {
				time.Sleep(time.Second)
			}
		}}
		p := newPool(t, Config{Trace: late}, server{name: "a", after: 50 * time.Millisecond}, server{name: "b", after: 5 * time.Millisecond})
		start := time.Now()
		got, err := Do(t.Context(), p, Call{}, ask)
		if took := time.Since(start); got != "b" || err != nil || took != 1035*time.Millisecond {
			t.Errorf("got %q, %v after %v; want the winner, b, after 1.035s", got, err, took)
		}
		if s := p.Snapshot(); s.Failovers != 0 {
			t.Errorf("%d failovers, want none for an answer", s.Failovers)
		}
		_ = p.Close()
		idle(t, p)
	})
}

func TestDo_asksThePreferredMemberFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, server{name: "a"}, server{name: "b"})
		for prefer, want := range map[string]string{"": "a", "b": "b", "gone": "a"} {
			if got, err := Do(t.Context(), p, Call{Prefer: prefer}, ask); got != want || err != nil {
				t.Errorf("prefer %q: got %q, %v; want %s", prefer, got, err, want)
			}
		}
		p.core.eject(p.set.Load().entries[1].member, judgement{})
		if got, err := Do(t.Context(), p, Call{Prefer: "b"}, ask); got != "a" || err != nil {
			t.Errorf("got %q, %v; want a while b is ejected", got, err)
		}
		_ = p.Close()
	})
}
