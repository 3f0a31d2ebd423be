package embed_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
)

// model2 answers with vectors of another model while other is set. Probes ask it
// from goroutines of their own.
func model2(other *atomic.Bool) *fake {
	return &fake{answer: func(b embed.Batch) (embed.Vectors, error) {
		v := vectors(b)
		if other.Load() {
			for i := range v.Data {
				v.Data[i] = float32(i%dims) - 1.5
			}
		}
		return v, nil
	}}
}

// TestGuard_changeOfModel holds that an upstream whose model changes behind its
// name is out of use at the next look, and back when it is right again.
func TestGuard_changeOfModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changed atomic.Bool
		first, second := model2(&changed), &fake{}
		e := lane(t, embed.Config{Watch: time.Minute, CacheBytes: -1}, first, second)
		ask(t, e, 0, query("a"))()
		if got := first.asked(); got != 2 || second.asked() != 0 {
			t.Fatalf("asked %d and %d times, want the canary and the text of the first", got, second.asked())
		}
		changed.Store(true)
		<-time.After(2 * time.Minute)
		for range 8 {
			ask(t, e, 0, query("a"))() // right vectors only
		}
		if second.texts() < 8 {
			t.Errorf("the second upstream embedded %d texts", second.texts())
		}
		changed.Store(false)
		<-time.After(10 * time.Minute)
		before := second.texts()
		for range 4 {
			ask(t, e, 0, query("a"))()
		}
		if second.texts() != before {
			t.Error("the first upstream is not back in use")
		}
	})
}

// canary asks a lane for the vector that it is held to.
func canary(t *testing.T, e *embed.Embedder) []float32 {
	t.Helper()
	v, err := e.Canary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestGuard_anotherRun holds that an upstream of another model than in an earlier
// run is never used, and that the error says why.
func TestGuard_anotherRun(t *testing.T) {
	var changed atomic.Bool
	first := model2(&changed)
	kept := canary(t, lane(t, embed.Config{Watch: time.Hour}, first))
	if first.asked() != 1 || len(kept) != dims {
		t.Fatalf("a canary of %v after %d calls", kept, first.asked())
	}
	changed.Store(true)
	e := lane(t, embed.Config{Watch: time.Hour}, model2(&changed))
	if err := e.Hold(kept); err != nil {
		t.Fatal(err)
	}
	_, err := e.Embed(t.Context(), query("a"))
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), `upstream "a" embeds into another space than "fake-4"`) {
		t.Errorf("error %v", err)
	}
	near := slices.Clone(kept) // another number format
	for i := range near {
		near[i] *= 1 + 0.001*float32(i%2)
	}
	e = lane(t, embed.Config{Watch: time.Hour}, &fake{})
	if err := e.Hold(near); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Embed(t.Context(), query("a")); err != nil {
		t.Errorf("rounding took an upstream out: %v", err)
	}
	if err := e.Hold([]float32{1}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a canary of other dims: %v", err)
	}
}

// TestGuard_heldLate holds that an upstream which is trusted already is asked again
// where another vector is to be held to.
func TestGuard_heldLate(t *testing.T) {
	e := lane(t, embed.Config{Watch: time.Hour, CacheBytes: -1}, &fake{})
	if _, err := e.Embed(t.Context(), query("a")); err != nil {
		t.Fatal(err)
	}
	if err := e.Hold([]float32{0, 0, 0, -1}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Embed(t.Context(), query("a")); !errors.Is(err, fault.Unavailable) {
		t.Errorf("error %v", err)
	}
}

func TestGuard_noCanary(t *testing.T) {
	never := &fake{}
	if got := canary(t, lane(t, embed.Config{}, never)); got != nil || never.asked() != 0 {
		t.Errorf("unwatched: %v after %d calls", got, never.asked())
	}
	zeros := &fake{answer: func(embed.Batch) (embed.Vectors, error) {
		return embed.Vectors{Dims: dims, Data: make([]float32, dims)}, nil
	}}
	if got, err := lane(t, embed.Config{Watch: time.Hour}, zeros).Canary(t.Context()); !errors.Is(err, fault.Unavailable) || got != nil {
		t.Errorf("zeros: %v, %v", got, err)
	}
}

// TestGuard_onceForAll holds that calls which come together wait for one look.
func TestGuard_onceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		slow := &fake{answer: func(b embed.Batch) (embed.Vectors, error) {
			if len(b.Texts) == 1 && strings.Contains(b.Texts[0], "canary") {
				looks++
			}
			<-time.After(time.Second)
			return vectors(b), nil
		}}
		e := lane(t, embed.Config{Watch: time.Hour, CacheBytes: -1, Wait: -1}, slow)
		var waits []func() time.Duration
		for _, text := range []string{"a", "b", "c"} {
			waits = append(waits, ask(t, e, 0, query(text)))
		}
		for _, wait := range waits {
			wait()
		}
		if looks != 1 {
			t.Errorf("%d looks", looks)
		}
	})
}

// TestGuard_hang holds that bulk, which has no deadline of its own, is not held up
// for ever by an upstream that never answers about the canary.
func TestGuard_hang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := lane(t, embed.Config{Watch: time.Hour}, &silent{}, &fake{})
		start := time.Now()
		v, err := e.Embed(t.Context(), embed.Batch{Texts: []string{"a"}, Bulk: true})
		if err != nil {
			t.Fatal(err)
		}
		check(t, v, []string{"a"}, embed.DocumentTask)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v, want the timeout of one call", took)
		}
	})
}

// silent never answers.
type silent struct{}

func (*silent) Space() embed.Space { return (&fake{}).Space() }

func (*silent) Embed(ctx context.Context, _ embed.Batch) (embed.Vectors, error) {
	<-ctx.Done()
	return embed.Vectors{}, ctx.Err()
}

// TestGuard_withinTheQuota holds that looks are paid for, and that an upstream
// without quota for one keeps its good name.
func TestGuard_withinTheQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := quota.New(quota.Limit{Requests: 6}) // one at once, six by the minute
		if err != nil {
			t.Fatal(err)
		}
		calls := 0
		e, err := embed.New(embed.Config{CacheBytes: -1, Watch: 2 * time.Second, Upstreams: []embed.Upstream{{Name: "paid", Provider: metered{&calls, 7}, Quota: b}}})
		if err != nil {
			t.Fatal(err)
		}
		if canary(t, e) == nil {
			t.Error("no canary")
		}
		<-time.After(time.Minute)
		if calls > 7 {
			t.Errorf("%d looks in a minute of six calls", calls)
		}
		if s := e.Snapshot(); s.Members[0].State != balance.Healthy {
			t.Errorf("the upstream is %s", s.Members[0].State)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
}
