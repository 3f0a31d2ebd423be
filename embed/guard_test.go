package embed_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

// TestGuard_fromTheStart holds that an upstream of another model is never used,
// where the vector is known from before, and that the error says why.
func TestGuard_fromTheStart(t *testing.T) {
	var changed atomic.Bool
	e := lane(t, embed.Config{Watch: time.Hour}, model2(&changed))
	if got := e.Canary(); got != nil {
		t.Errorf("a canary of %v before anybody was asked", got)
	}
	if _, err := e.Embed(t.Context(), query("a")); err != nil {
		t.Fatal(err)
	}
	kept := e.Canary()
	changed.Store(true)
	_, err := lane(t, embed.Config{Watch: time.Hour, Canary: kept}, model2(&changed)).Embed(t.Context(), query("a"))
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), `upstream "a" embeds into another space than "fake-4"`) {
		t.Errorf("error %v", err)
	}
	near := slices.Clone(kept) // another number format
	for i := range near {
		near[i] *= 1 + 0.001*float32(i%2)
	}
	if _, err := lane(t, embed.Config{Watch: time.Hour, Canary: near}, &fake{}).Embed(t.Context(), query("a")); err != nil {
		t.Errorf("rounding took an upstream out: %v", err)
	}
	_, err = embed.New(embed.Config{Canary: []float32{1}, Upstreams: []embed.Upstream{{Name: "a", Provider: &fake{}}}})
	if fault.Field(err) != "/canary" {
		t.Errorf("a canary of other dims: %v", err)
	}
}
