//go:build unix

package outage_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// The only copy of a shard dies and returns: searches fail while it is away, and by
// themselves succeed when it is back. No answer is ever wrong or short.
func TestSearch_whileTheOnlyCopyIsDead(t *testing.T) {
	for name, start := range kinds() {
		t.Run(name, func(t *testing.T) { alone(t, start(t)) })
	}
}

// alone kills a server that nobody stands in for.
func alone(t *testing.T, victim server) {
	t.Helper()
	s := build(t, router.Config{SearchTimeout: patience / 2}, []search.Store{victim.open(t)}, []search.Store{embedded(t)})
	l := s.load(t, 8)
	l.until("at first", nil, right(50))
	victim.signal(t, syscall.SIGKILL)
	l.until("while it is dead", fault.Unavailable, down(50))
	victim.start(t)
	l.until("when it is back", fault.Unavailable, right(200))
}

// One of two copies dies: no search fails. It returns and the other one dies: still
// none does, although the first one was put aside.
func TestSearch_whileOneCopyIsUp(t *testing.T) {
	for name, start := range kinds() {
		t.Run(name, func(t *testing.T) { inTurn(t, start(t), 2) })
	}
}

// inTurn kills a server and the other copy in turn, some rounds.
func inTurn(t *testing.T, first server, rounds int) {
	t.Helper()
	second := newLanewise(t)
	// A copy that has just come back may be slow, and alone: that is no error.
	stores := []search.Store{first.open(t), second.open(t)}
	s := build(t, router.Config{SearchTimeout: patience / 2}, stores)
	l := s.load(t, 8)
	for range rounds {
		for i, victim := range []server{first, second} {
			l.until("with both copies", nil, right(100))
			victim.signal(t, syscall.SIGKILL)
			l.until("with one copy", nil, right(200))
			victim.start(t)
			answers(t, stores[i]) // gRPC waits a moment before it connects again
			l.settle()
		}
	}
}

// A write that a dead copy cannot take is not acknowledged and says who has it. Its
// repetition, when the copy is back, is; and what any reader saw meanwhile is one of the two
// states.
func TestUpsert_whileOneCopyIsDead(t *testing.T) {
	for name, start := range kinds() {
		t.Run(name, func(t *testing.T) {
			victim := start(t)
			s := build(t, router.Config{}, []search.Store{victim.open(t), embedded(t)})
			victim.signal(t, syscall.SIGKILL)
			more := router.Upsert{Collection: docs, Points: []search.Point{{Key: search.Key{ID: "more"}, Dense: make([]float32, dims), Text: "more"}}}
			_, err := s.Upsert(t.Context(), more)
			failed, ok := errors.AsType[*router.WriteError](err)
			if !ok || !slices.Equal(failed.Points["more"], []string{"s0/r1"}) || !errors.Is(err, fault.Unavailable) {
				t.Fatalf("got %v, want a WriteError: s0/r1 has the point", err)
			}
			victim.start(t)
			for {
				_, err := s.Upsert(t.Context(), more)
				if err == nil {
					break
				}
				if !errors.Is(err, fault.Unavailable) {
					t.Fatalf("the repetition: %v", err)
				}
			}
			for _, store := range []search.Getter{victim.open(t), s} {
				got, err := store.Get(t.Context(), docs, []search.Key{{ID: "more"}}, search.Fields{Text: true})
				if err != nil || len(got) != 1 || got[0].Text != "more" {
					t.Errorf("after the acknowledgement: got %+v, %v", got, err)
				}
			}
		})
	}
}

// What a server has acknowledged when it is killed it has when it is back.
func TestWrite_isKeptOverAKill(t *testing.T) {
	for name, start := range kinds() {
		t.Run(name, func(t *testing.T) {
			victim, c := start(t), about()
			store := victim.open(t)
			if _, err := store.Write(t.Context(), search.Batch{Create: &c}); err != nil {
				t.Fatal(err)
			}
			const most = 1 << 14
			acknowledged := make(chan search.Key, most) // nothing holds up the writer
			go func() {
				defer close(acknowledged)
				for _, p := range random(most, 4) {
					p.Version = 1
					if _, err := store.Write(context.Background(), search.Batch{Collection: docs, Upserts: []search.Point{p}}); err != nil {
						return
					}
					acknowledged <- p.Key
				}
			}()
			var keys []search.Key
			for k := range acknowledged {
				if keys = append(keys, k); len(keys) == 50 {
					victim.signal(t, syscall.SIGKILL)
				}
			}
			if len(keys) < 50 {
				t.Fatalf("only %d points were written", len(keys))
			}
			victim.start(t)
			got, err := victim.open(t).Get(t.Context(), docs, keys, search.Fields{})
			if err != nil || len(got) != len(keys) {
				t.Errorf("it has %d points of %d, %v", len(got), len(keys), err)
			}
		})
	}
}

// A replica that hangs is passed over: what it holds up is asked again of the other
// one, it is taken out of use, and no search fails.
func TestSearch_whileACopyHangs(t *testing.T) {
	for name, start := range kinds() {
		t.Run(name, func(t *testing.T) { hangs(t, start) })
	}
}

// hangs stops a server while another one has a copy.
func hangs(t *testing.T, start func(testing.TB) server) {
	t.Helper()
	if testing.Short() {
		t.Skip("a replica is taken out of use after 10 s: not in short mode")
	}
	victim, other := start(t), newLanewise(t)
	w := &watch{}
	s := build(t, router.Config{
		Picker: w, Trace: &balance.Trace{Started: w.started, Ended: w.ended},
		// On a busy machine, calls that are slow without a hang would use up the
		// lane's 5 %, and one that hangs would wait for its deadline.
		Lane: balance.LaneConfig{HedgeShare: 1},
	}, []search.Store{victim.open(t), other.open(t)})
	l := s.load(t, 1)                            // one after another, for watch
	l.until("with both copies", nil, right(300)) // which earn hedges for the pool
	w.mustHave(t, "r0 answered", &w.answered)
	victim.signal(t, syscall.SIGSTOP)
	defer victim.signal(t, syscall.SIGCONT)
	l.until("while it hangs", nil, func(error) bool { return w.out.Load() })
	w.mustHave(t, "a hedge of r1 won", &w.hedged)
	l.until("without it", nil, right(100))
}

// watch sees when the first replica is out of use: a call's first attempt begins while
// it may not be picked. Calls must come one after another.
type watch struct {
	balance.Fastest
	shut                  atomic.Bool // to the latest pick
	answered, hedged, out atomic.Bool
}

// Pick implements balance.Picker. Now and then it is the first replica's turn, which may be the
// slower one and then be asked for hedges only: those are lost, whether it hangs or not.
func (w *watch) Pick(v *balance.View) int {
	open := v.Open(0)
	w.shut.Store(v.Len() == 2 && !open)
	if open && v.Turn()%16 == 0 {
		return 0
	}
	return w.Fastest.Pick(v)
}

func (w *watch) started(a balance.Attempt) {
	if a.Reason == balance.First && w.shut.Load() {
		w.out.Store(true)
	}
}

func (w *watch) ended(a balance.Attempt) {
	switch {
	case a.Member == "r0" && a.Err == nil:
		w.answered.Store(true)
	case a.Member == "r1" && a.Reason == balance.Hedge && a.Won:
		w.hedged.Store(true)
	}
}

func (w *watch) mustHave(t *testing.T, what string, seen *atomic.Bool) {
	t.Helper()
	if !seen.Load() {
		t.Errorf("never: %s", what)
	}
}
