//go:build unix

package balance

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/budget"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"
)

// BenchmarkCall is what an attempt costs around a function that answers at once: here
// with pick, lease, limit, hedge timer, latency and health; for failsafe-go with its
// hedge policy alone, and with what it has for the same: a delay by quantile, a
// budget, a bulkhead as lease and a circuit breaker that judges outcomes, though
// nothing that chooses among members; and by hand with no more than a goroutine,
// a context, a timer and a channel. cpu-ns/op is the time of all processors.
func BenchmarkCall(b *testing.B) {
	answer := func(context.Context, int) (int, error) { return 1, nil }
	b.Run("balance", func(b *testing.B) {
		p := benchPool(b)
		measure(b, func(ctx context.Context) error {
			_, err := Do(ctx, p, Call{}, answer)
			return err
		})
	})
	b.Run("balance, waiting for its context", func(b *testing.B) {
		p := benchPool(b)
		measure(b, func(ctx context.Context) error {
			_, err := Do(ctx, p, Call{}, func(ctx context.Context, _ int) (int, error) {
				_ = ctx.Done()
				return 1, nil
			})
			return err
		})
	})
	b.Run("failsafe-go hedge", func(b *testing.B) {
		exec := failsafe.With(hedgepolicy.NewWithDelay[int](30 * time.Millisecond)).WithContext(b.Context())
		measure(b, func(context.Context) error {
			_, err := exec.GetWithExecution(func(e failsafe.Execution[int]) (int, error) { return answer(e.Context(), 0) })
			return err
		})
	})
	b.Run("failsafe-go, doing the same", func(b *testing.B) {
		exec := failsafe.With[int](
			hedgepolicy.NewBuilderWithDelayQuantile[int](0.98, 1000, 200).WithMaxHedges(2).WithBudget(budget.New()).Build(),
			circuitbreaker.NewWithDefaults[int](), bulkhead.New[int](1000))
		measure(b, func(ctx context.Context) error {
			_, err := exec.WithContext(ctx).GetWithExecution(func(e failsafe.Execution[int]) (int, error) { return answer(e.Context(), 0) })
			return err
		})
	})
	b.Run("by hand", func(b *testing.B) {
		measure(b, func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			landed := make(chan error, 2)
			go func() {
				_, err := answer(ctx, 0)
				landed <- err
			}()
			defer time.AfterFunc(30*time.Millisecond, func() { landed <- nil }).Stop()
			select {
			case err := <-landed:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
}

// BenchmarkEach is the fan-out of a search alone: as many calls side by side, of a pool of
// three members each, that answer at once. The rest of a search is router's BenchmarkScale.
func BenchmarkEach(b *testing.B) {
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprint("parts=", n), func(b *testing.B) {
			parts := make([]Part[int], n)
			for i := range parts {
				parts[i].Pool = benchPool(b)
			}
			answer := func(context.Context, int, int) (int, error) { return 1, nil }
			measure(b, func(ctx context.Context) error {
				Each(ctx, parts, answer, func(_, _ int, err error) {
					if err != nil {
						b.Error(err)
					}
				})
				return nil
			})
		})
	}
}

// measure makes calls one after another.
func measure(b *testing.B, call func(context.Context) error) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	start, n := processors(b), 0
	for b.Loop() {
		if err := call(ctx); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64((processors(b)-start).Nanoseconds())/float64(n), "cpu-ns/op")
}

// processors returns the time that this process has used of all processors.
func processors(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
