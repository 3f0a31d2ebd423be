package embed_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/embed"
)

// mill is an upstream that gets so many tokens done in a second, one call after the other, and needs a
// millisecond for each call beside.
type mill struct {
	speed float64
	slot  chan struct{}
}

func newMill(speed float64) *mill { return &mill{speed, make(chan struct{}, 1)} }

func (*mill) Space() embed.Space { return embed.Space{Model: "model", Dims: dims} }

func (m *mill) Embed(_ context.Context, b embed.Batch) (embed.Vectors, error) {
	v := vectors(b)
	v.Tokens = 0
	for _, text := range b.Texts {
		v.Tokens += len(text) / 4
	}
	m.work(v.Tokens)
	return v, nil
}

func (m *mill) work(tokens int) {
	m.slot <- struct{}{}
	defer func() { <-m.slot }()
	time.Sleep(ms + time.Duration(float64(tokens)/m.speed*float64(time.Second)))
}

// The snapshot says how many tokens a second each upstream gets done.
func TestEmbedder_snapshotHasSpeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := over(t, 1, newMill(20_000), newMill(5_000))
		if s := lane.Snapshot().Members[0].Speed; s != 0 {
			t.Errorf("%.0f tokens a second before the first call", s)
		}
		var callers sync.WaitGroup
		for i := range 200 {
			time.Sleep(20 * ms)
			callers.Go(func() {
				if _, err := lane.Embed(t.Context(), query(fmt.Sprint(i, strings.Repeat("word", 200)))); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		for i, want := range []float64{200 / (200/20_000.0 + 0.001), 200 / (200/5_000.0 + 0.001)} {
			if s := lane.Snapshot().Members[i].Speed; s < 0.95*want || s > 1.05*want {
				t.Errorf("upstream %d: %.0f tokens a second, want %.0f", i, s, want)
			}
		}
	})
}

// Upstreams of different speeds are told apart by their tokens a second: calls of all sizes wait shorter than by the
// median latency of each size, which has the waiting of earlier calls in it.
func TestPool_tokensASecondAgainstMedians(t *testing.T) {
	for _, load := range []float64{0.3, 0.6} {
		for name, speeds := range map[string][]float64{"1:1:1": {10_000, 10_000, 10_000}, "1:2:4": {5_000, 10_000, 20_000}} {
			by := func(picker balance.Picker) [2]time.Duration {
				return inBubble(t, func(t *testing.T) [2]time.Duration { t.Helper(); return mixed(t, load, speeds, picker) })
			}
			medians, speed := by(nil), by(embed.Soonest{})
			t.Logf("load %.1f, %s: single texts and bulk took %v by medians, %v by tokens a second", load, name, medians, speed)
			if single, bulk := float64(speed[0])/float64(medians[0]), float64(speed[1])/float64(medians[1]); name == "1:2:4" && (single > 0.95 || bulk > 1) {
				t.Errorf("load %.1f: single texts take %.2f times as long, bulk %.2f times", load, single, bulk)
			}
		}
	}
}

// mixed sends calls of one text and of many at random times, and returns the mean time of each kind. Without a
// picker the pool has its default, which goes by medians.
func mixed(t *testing.T, load float64, speeds []float64, picker balance.Picker) (mean [2]time.Duration) {
	t.Helper()
	lane, err := balance.NewLane(balance.LaneConfig{Name: "embed"})
	if err != nil {
		t.Fatal(err)
	}
	var members []balance.Member[*mill]
	sum := 0.0
	for i, speed := range speeds {
		members = append(members, balance.Member[*mill]{Name: fmt.Sprint(i), Target: newMill(speed)})
		sum += speed
	}
	pool, err := balance.NewPool(balance.Config{Name: "embed", Lane: lane, Picker: picker}, members...)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close() //nolint:errcheck // in a test
	var mu sync.Mutex
	var took [2][]time.Duration
	var callers sync.WaitGroup
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable
	for range 6000 {
		kind, tokens := 0, 10+rng.IntN(30)
		if rng.IntN(10) == 0 {
			kind, tokens = 1, 500+rng.IntN(1500)
		}
		gap := (0.9*25 + 0.1*1250) / sum / load // seconds
		time.Sleep(time.Duration(rng.ExpFloat64() * gap * float64(time.Second)))
		callers.Go(func() {
			start := time.Now()
			call := balance.Call{Class: [...]string{"1", "<=64"}[kind], Cost: int64(tokens), NoHedge: true}
			_, err := balance.Do(t.Context(), pool, call, func(_ context.Context, m *mill) (int, error) { m.work(tokens); return 0, nil })
			mu.Lock()
			defer mu.Unlock()
			if took[kind] = append(took[kind], time.Since(start)); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	for kind := range took {
		var all time.Duration
		for _, d := range took[kind] {
			all += d
		}
		mean[kind] = (all / time.Duration(len(took[kind]))).Round(100 * time.Microsecond)
	}
	return mean
}
