//go:build unix

package outage_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// BenchmarkSearch_across is how long searches take around the death of one of two
// copies, and around its hanging: four callers, 400 searches before and 1,000 after the
// signal. The worst ones are those that it met on their way.
func BenchmarkSearch_across(b *testing.B) {
	signals := map[string]syscall.Signal{"SIGKILL": syscall.SIGKILL, "SIGSTOP": syscall.SIGSTOP}
	for _, sig := range slices.Sorted(maps.Keys(signals)) {
		for _, kind := range slices.Sorted(maps.Keys(everyKind())) {
			b.Run(sig+"/"+kind, func(b *testing.B) {
				victim, other := everyKind()[kind](b), newLanewise(b)
				s := build(b, router.Config{SearchTimeout: patience / 2}, []search.Store{victim.open(b), other.open(b)})
				s.timed(b, 400) // learns what is usual
				for b.Loop() {
					before := s.timed(b, 400)
					victim.signal(b, signals[sig])
					after := s.timed(b, 1000)
					if signals[sig] == syscall.SIGSTOP {
						victim.signal(b, syscall.SIGCONT)
					} else {
						victim.start(b)
					}
					for name, d := range map[string]time.Duration{
						"before-p50-ms": at(before, 0.5), "before-max-ms": at(before, 1),
						"p50-ms": at(after, 0.5), "p99-ms": at(after, 0.99), "max-ms": at(after, 1),
					} {
						b.ReportMetric(float64(d.Microseconds())/1000, name)
					}
				}
			})
		}
	}
}

// timed makes n searches by four callers and returns how long each took, sorted.
func (s *system) timed(b *testing.B, n int) []time.Duration {
	b.Helper()
	const callers = 4
	took := make([]time.Duration, n)
	var working sync.WaitGroup
	for c := range callers {
		working.Go(func() {
			pace := time.NewTicker(5 * time.Millisecond)
			defer pace.Stop()
			for i := c; i < n; i += callers {
				began := time.Now()
				if err := s.once(context.Background()); err != nil {
					b.Error(err)
				}
				took[i] = time.Since(began)
				<-pace.C
			}
		})
	}
	working.Wait()
	slices.Sort(took)
	return took
}

// at is a quantile of sorted durations.
func at(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
