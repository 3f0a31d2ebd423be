package balance

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"
)

// TestHistogram_agreesWithHdrHistogram holds buckets and quantiles against the
// library whose layout it has.
func TestHistogram_agreesWithHdrHistogram(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := hdrhistogram.New(1, highest, 2)
		var got latest
		values := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(1, 1000), rapid.Int64Range(1, highest)), 1, half-1).Draw(t, "µs")
		for _, us := range values {
			if n := got.enter(time.Duration(us) * time.Microsecond); n > int64(len(values)) {
				t.Fatalf("%d entered, at most %d were", n, len(values))
			}
			_ = want.RecordValue(us)
		}
		for _, share := range []float64{0.01, 0.5, 0.98, 0.999} {
			us := want.ValueAtQuantile(100 * share)
			if q := got.quantile(share); q != time.Duration(us)*time.Microsecond {
				t.Errorf("quantile %v: %v, want %dµs", share, q, us)
			}
		}
	})
}

func TestHistogram_bucketsAreNarrowAndInOrder(t *testing.T) {
	for _, took := range []time.Duration{-time.Second, 0, 999, time.Microsecond, time.Hour, 1000 * time.Hour} {
		if b := bucketOf(took); b < 0 || b >= buckets {
			t.Errorf("%v is in bucket %d of %d", took, b, buckets)
		}
	}
	for b := 1; b <= bucketOf(time.Hour); b++ {
		from, to := valueOf(b-1)+time.Microsecond, valueOf(b)
		if bucketOf(from) != b || bucketOf(to) != b {
			t.Fatalf("bucket %d is from %v to %v, which are in %d and %d", b, from, to, bucketOf(from), bucketOf(to))
		}
		if width := to - from; width > from/128 {
			t.Fatalf("bucket %d from %v is %v wide", b, from, width)
		}
	}
}

// TestLatest_holdsOneToTwoHalves enters ever larger latencies, of which only the
// last ones may count.
func TestLatest_holdsOneToTwoHalves(t *testing.T) {
	var l latest
	for i := 1; i <= 10*half; i++ {
		l.enter(time.Duration(i) * time.Millisecond)
		if i%97 != 0 && i%half > 1 {
			continue
		}
		kept := i
		if i >= half {
			kept = half + i%half
		}
		least := time.Duration(i-kept+1) * time.Millisecond
		if q := l.quantile(1e-9); q < least || q > least+least/100 {
			t.Fatalf("after %d: the least is %v, want %v of the last %d", i, q, least, kept)
		}
	}
}

// TestObserve_losesNothing has many goroutines enter latencies at once.
func TestObserve_losesNothing(t *testing.T) {
	const callers, each = 16, 100
	var l latencies
	c := lane(t, LaneConfig{}).class("")
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				took := time.Duration(i*each+j+1) * time.Microsecond
				l.observe(&sample{took: took, at: took})
				c.observe(took)
			}
		})
	}
	wg.Wait()
	if l.waiting.Load() != nil {
		t.Error("a latency was left waiting")
	}
	if w := l.of(0); w.n != window || w.median.Load() == 0 || !slices.IsSorted(w.sorted[:]) {
		t.Errorf("window %+v, want %d latencies in order", w, window)
	}
	if n := c.latest.Load().entered.Load(); n != callers*each {
		t.Errorf("%d latencies of %d are counted", n, callers*each)
	}
	if m := time.Duration(c.median.Load()); m < 700*time.Microsecond || m > 900*time.Microsecond {
		t.Errorf("median %v, want about 800µs", m)
	}
}

// TestObserve_entersInOrder: what waits for somebody at work comes in the order
// in which it was handed in.
func TestObserve_entersInOrder(t *testing.T) {
	var l latencies
	l.mu.Lock()
	for i := range 2 * window {
		l.observe(&sample{took: time.Duration(i + 1), at: time.Duration(i)})
	}
	if l.of(0) != nil {
		t.Fatal("entered by two at once")
	}
	l.mu.Unlock()
	l.observe(&sample{took: 1000, at: 1000})
	w := l.of(0)
	if got := time.Duration(w.median.Load()); got != window+1+window/2+1 || w.seen.Load() != 1000 {
		t.Errorf("median %v, seen at %d; want that of the last %d", got, w.seen.Load(), window)
	}
}
