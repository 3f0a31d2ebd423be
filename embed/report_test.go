package embed_test

import (
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
)

// A server of embeddings counts texts, and those of the lane itself are none of others.
func TestReport_countsTextsOfOthersAsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := lane(t, embed.Config{CacheBytes: -1}, &paced{takes: time.Second})
		foreign := func(texts float64) float64 {
			if err := e.Report("a", texts, time.Hour); err != nil {
				t.Fatal(err)
			}
			return e.Snapshot().Members[0].Foreign
		}
		if got := foreign(3); got != 3 {
			t.Errorf("3 texts before any call count as %v calls", got)
		}
		var caller sync.WaitGroup
		caller.Go(func() {
			if _, err := e.Embed(t.Context(), embed.Batch{Texts: strings.Fields("a b c d e f g h"), Bulk: true}); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait() // 8 texts are under way
		for told, want := range map[float64]float64{0: 0, 8: 0, 24: 2, 88: 10} {
			if got := foreign(told); got != want {
				t.Errorf("%v texts with 8 of the lane's count as %v calls of others, want %v", told, got, want)
			}
		}
		caller.Wait()
		if got := foreign(16); got != 2 {
			t.Errorf("16 texts after the call count as %v calls, want 2", got)
		}
	})
}

func TestReport_refusesWhatCannotBe(t *testing.T) {
	e := lane(t, embed.Config{}, newModel())
	for _, texts := range []float64{-1, math.NaN(), math.Inf(1)} {
		if err := e.Report("a", texts, time.Second); !errors.Is(err, fault.Invalid) {
			t.Errorf("%v texts: %v", texts, err)
		}
	}
	if err := e.Report("x", 1, time.Second); !errors.Is(err, fault.NotFound) {
		t.Errorf("an unknown upstream: %v", err)
	}
	if got := e.Snapshot().Members[0].Foreign; got != 0 {
		t.Errorf("%v calls of others", got)
	}
}
