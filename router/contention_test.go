package router_test

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/router"
)

// BenchmarkContention has 16 goroutines make calls as fast as they can and counts, from the
// mutex profile, how often one had to wait for a lock that another held: waits/op. With -v it names
// the functions that gave such a lock back.
func BenchmarkContention(b *testing.B) {
	b.Run("call of one pool", func(b *testing.B) {
		p, err := balance.NewPool(balance.Config{}, balance.Member[int]{Name: "a"}, balance.Member[int]{Name: "b"}, balance.Member[int]{Name: "c"})
		if err != nil {
			b.Fatal(err)
		}
		defer p.Close() //nolint:errcheck // nothing is left to lose
		contend(b, func(ctx context.Context) error {
			_, err := balance.Do(ctx, p, balance.Call{}, func(context.Context, int) (int, error) { return 1, nil })
			return err
		})
	})
	b.Run("search of 16 shards", func(b *testing.B) {
		r := instantRouter(b, 16, 10)
		q := router.Request{Collection: "docs", Vector: []float32{1, 0}, K: 10}
		contend(b, func(ctx context.Context) error {
			_, err := r.Retrieve(ctx, q)
			return err
		})
	})
}

// contend makes b.N calls on 16 goroutines and reports how often they waited for each other.
func contend(b *testing.B, call func(context.Context) error) {
	b.Helper()
	defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
	before := waits()
	b.SetParallelism(max(1, 16/runtime.GOMAXPROCS(0)))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context())) // of its own, as every request has
		defer cancel()
		for pb.Next() {
			if err := call(ctx); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	sum := int64(0)
	for who, n := range waits() {
		if n -= before[who]; n > 0 {
			sum += n
			b.Logf("%d waits of %d calls: %s", n, b.N, who)
		}
	}
	b.ReportMetric(float64(sum)/float64(b.N), "waits/op")
}

// waits counts the waits for locks of package sync since the process began, by
// the function that held the lock.
func waits() map[string]int64 {
	records := make([]runtime.BlockProfileRecord, 10_000)
	n, _ := runtime.MutexProfile(records)
	out := map[string]int64{}
	for _, r := range records[:n] {
		frames, locks := runtime.CallersFrames(r.Stack()), false
		for {
			f, more := frames.Next()
			if strings.Contains(f.Function, "sync.(*") {
				locks = true
			} else if f.Function != "runtime.deferreturn" {
				if locks {
					out[f.Function] += r.Count
				}
				break
			}
			if !more {
				break
			}
		}
	}
	return out
}
