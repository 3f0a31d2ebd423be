package embed_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/embed"
)

// model is an upstream that needs 5 ms a call and 0.2 ms a text, and runs four
// calls at a time.
type model struct {
	slots chan struct{}
	calls atomic.Int64
}

func newModel() *model { return &model{slots: make(chan struct{}, 4)} }

func (*model) Space() embed.Space { return embed.Space{Model: "model", Dims: dims} }

func (m *model) Embed(_ context.Context, b embed.Batch) (embed.Vectors, error) {
	m.slots <- struct{}{}
	<-time.After(5*ms + time.Duration(len(b.Texts))*ms/5)
	<-m.slots
	m.calls.Add(1)
	return vectors(b), nil
}

// over returns a lane over upstreams without a cache.
func over(t *testing.T, slots int, providers ...embed.Provider) *embed.Embedder {
	t.Helper()
	c := embed.Config{CacheBytes: -1}
	for i, p := range providers {
		c.Upstreams = append(c.Upstreams, embed.Upstream{Name: fmt.Sprint(i), Provider: p, Slots: slots})
	}
	e, err := embed.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { finish(t, e) })
	return e
}

// inBubble returns what f returns in virtual time.
func inBubble[T any](t *testing.T, f func(t *testing.T) T) (out T) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { out = f(t) })
	return out
}

// closedLoop is how long it takes 256 callers to embed 10 texts each, one after
// the other.
func closedLoop(t *testing.T, p embed.Provider) time.Duration {
	t.Helper()
	start := time.Now()
	var callers sync.WaitGroup
	for c := range 256 {
		callers.Go(func() {
			for i := range 10 {
				if _, err := p.Embed(t.Context(), query(fmt.Sprint(c, " ", i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	return time.Since(start)
}

// TestTarget_coalescing: 256 callers of single texts get at least 8 times the
// throughput of calls that are not batched.
func TestTarget_coalescing(t *testing.T) {
	unbatched := inBubble(t, func(t *testing.T) time.Duration {
		t.Helper()
		return closedLoop(t, newModel())
	})
	for _, slots := range []int{0, 4} {
		batched := inBubble(t, func(t *testing.T) time.Duration {
			t.Helper()
			return closedLoop(t, over(t, slots, newModel()))
		})
		ratio := unbatched.Seconds() / batched.Seconds()
		t.Logf("slots %d: %v unbatched, %v batched: %.1fx", slots, unbatched, batched, ratio)
		if ratio < 8 {
			t.Errorf("slots %d: %.1fx, want 8x", slots, ratio)
		}
	}
}

// TestTarget_loneCaller: one caller pays at most 5 % over a direct call. Virtual
// time shows waits only; BenchmarkEmbed shows what the path costs.
func TestTarget_loneCaller(t *testing.T) {
	took := inBubble(t, func(t *testing.T) time.Duration {
		t.Helper()
		e := over(t, 0, newModel())
		start := time.Now()
		for i := range 100 {
			if _, err := e.Embed(t.Context(), query(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		}
		return time.Since(start) / 100
	})
	if direct := 5*ms + ms/5; took > direct*105/100 {
		t.Errorf("%v a call, direct %v", took, direct)
	}
}

// latencies are those of n single texts that come at random, 40 a second.
func latencies(t *testing.T, e *embed.Embedder, n int) []time.Duration {
	t.Helper()
	chance := rand.New(rand.NewPCG(1, 2))
	took := make([]time.Duration, n)
	var callers sync.WaitGroup
	for i := range took {
		<-time.After(time.Duration(chance.ExpFloat64() * float64(25*ms)))
		callers.Go(func() {
			start := time.Now()
			if _, err := e.Embed(t.Context(), query(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
			took[i] = time.Since(start)
		})
	}
	callers.Wait()
	slices.Sort(took)
	return took
}

// TestTarget_bulkBeside: with bulk at saturation p99 of single texts is at most
// 1.3 times what it is without, whether the upstream's slots are known or, for 20
// seconds, have been looked for.
func TestTarget_bulkBeside(t *testing.T) {
	const search, measured = 800, 600 // texts
	p99 := func(took []time.Duration) time.Duration { return took[len(took)*99/100] }
	for _, slots := range []int{4, 0} {
		alone := inBubble(t, func(t *testing.T) time.Duration {
			t.Helper()
			return p99(latencies(t, over(t, slots, newModel()), measured))
		})
		var rate float64
		beside := inBubble(t, func(t *testing.T) time.Duration {
			t.Helper()
			e := over(t, slots, newModel())
			texts, stop := saturate(t, e)
			defer stop()
			latencies(t, e, search)
			before, start := texts.Load(), time.Now()
			took := latencies(t, e, measured)
			rate = float64(texts.Load()-before) / time.Since(start).Seconds()
			return p99(took)
		})
		ratio := beside.Seconds() / alone.Seconds()
		t.Logf("slots %d: p99 %v alone, %v beside %.0f bulk texts a second: %.2fx", slots, alone, beside, rate, ratio)
		if ratio > 1.3 {
			t.Errorf("slots %d: %.2fx, want 1.3x", slots, ratio)
		}
		if rate < 8000 { // three slots do 10,800
			t.Errorf("slots %d: %.0f bulk texts a second", slots, rate)
		}
	}
}

// saturate has 16 callers embed in bulk until they are stopped, and counts the texts.
func saturate(t *testing.T, e *embed.Embedder) (texts *atomic.Int64, stop func()) {
	t.Helper()
	texts = new(atomic.Int64)
	ctx, cancel := context.WithCancel(t.Context())
	var bulk sync.WaitGroup
	for range 16 {
		bulk.Go(func() {
			for ctx.Err() == nil {
				if _, err := e.Embed(ctx, embed.Batch{Texts: make([]string, 256), Bulk: true}); err == nil {
					texts.Add(256)
				}
			}
		})
	}
	return texts, func() { cancel(); bulk.Wait() }
}

// TestTarget_threeUpstreams: 10,000 texts over three upstreams take at most a
// 2.7th of the time that they take over one.
func TestTarget_threeUpstreams(t *testing.T) {
	job := func(t *testing.T, upstreams, slots int) time.Duration {
		t.Helper()
		return inBubble(t, func(t *testing.T) time.Duration {
			t.Helper()
			var all []embed.Provider
			for range upstreams {
				all = append(all, newModel())
			}
			e := over(t, slots, all...)
			texts := make([]string, 10_000)
			start := time.Now()
			if _, err := e.Embed(t.Context(), embed.Batch{Texts: texts, Bulk: true}); err != nil {
				t.Error(err)
			}
			return time.Since(start)
		})
	}
	for slots, want := range map[int]float64{4: 2.7, 0: 2.4} { // not known: a short job is mostly the search for them
		one, three := job(t, 1, slots), job(t, 3, slots)
		ratio := one.Seconds() / three.Seconds()
		t.Logf("slots %d: %v over one, %v over three: %.2fx", slots, one, three, ratio)
		if ratio < want {
			t.Errorf("slots %d: %.2fx, want %.1fx", slots, ratio, want)
		}
	}
}

// heap is what lives on the heap after a collection, in bytes.
func heap() float64 {
	runtime.GC()
	runtime.GC() // what finalizers let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// lookUps asks a lane with a full cache n times for a text that is in it or, one time
// in a hundred, for a new one, and returns by how much the heap has grown.
func lookUps(tb testing.TB, n int) (grown float64) {
	tb.Helper()
	const texts = 4096
	e := lane(tb, embed.Config{CacheBytes: 4 << 20}, &quick{})
	ask := func(i int) {
		if _, err := e.Embed(tb.Context(), query(strconv.Itoa(i))); err != nil {
			tb.Fatal(err)
		}
	}
	for i := range 3 * texts { // more than it holds
		ask(i)
	}
	before := heap()
	for i := range n {
		if i%100 == 0 {
			ask(3*texts + i)
		} else {
			ask(i % 2000)
		}
	}
	grown = heap() - before
	runtime.KeepAlive(e)
	return grown
}

// TestTarget_flatHeap: look-ups leave the heap as it is. BenchmarkFlatHeap does ten
// million of them.
func TestTarget_flatHeap(t *testing.T) {
	if grown := lookUps(t, 50_000); grown > 1<<20 {
		t.Errorf("the heap has grown by %.0f bytes in 50,000 look-ups", grown)
	}
}

// BenchmarkFlatHeap makes as many look-ups as -benchtime says, such as 10000000x, and
// reports by how much the heap has grown.
func BenchmarkFlatHeap(b *testing.B) {
	grown := lookUps(b, b.N)
	b.ReportMetric(grown, "grown-bytes")
}
