// Package sidebyside measures several ways of doing the same thing in turn, so that
// whatever else the machine does meets all of them alike and their ratio counts.
package sidebyside

import (
	"slices"
	"testing"
	"time"
)

// Way is one way of doing it. Do fails the benchmark itself where it must.
type Way struct {
	Name string
	Do   func()
}

// Medians runs the ways in turn until b has enough, forwards and backwards, since what
// went before is felt too, and returns the median duration of each, by position. It reports
// them as "NAME-p50-us".
func Medians(b *testing.B, ways ...Way) []time.Duration {
	b.Helper()
	took := make([][]time.Duration, len(ways))
	backwards := true
	for b.Loop() {
		backwards = !backwards
		for i := range ways {
			if backwards {
				i = len(ways) - 1 - i
			}
			began := time.Now()
			ways[i].Do()
			took[i] = append(took[i], time.Since(began))
		}
	}
	out := make([]time.Duration, len(ways))
	for i := range ways {
		slices.Sort(took[i])
		out[i] = took[i][len(took[i])/2]
		b.ReportMetric(float64(out[i].Nanoseconds())/1e3, ways[i].Name+"-p50-us")
	}
	b.ReportMetric(0, "ns/op") // of all ways together: it says nothing
	return out
}

// AllocsEach is how many allocations each further piece of work takes: the work of large is
// that of small and n pieces more.
func AllocsEach(n int, small, large func()) float64 {
	const runs = 20
	return (testing.AllocsPerRun(runs, large) - testing.AllocsPerRun(runs, small)) / float64(n)
}
