package sim

import (
	"slices"
	"testing"
)

// TestRun_repeatsAtTheSameSeed runs models twice and compares every latency.
func TestRun_repeatsAtTheSameSeed(t *testing.T) {
	skipUnderRace(t)
	for _, p := range policies() {
		t.Run(p.Name, func(t *testing.T) {
			m := healthy(0.6, Drop).by(p)
			m.Queries = 800
			a, b := simulate(t, m), simulate(t, m)
			if !slices.Equal(a.Latencies, b.Latencies) || a.Extra != b.Extra || a.SlowShare != b.SlowShare {
				t.Errorf("two runs differ: p50 %v and %v, p99 %v and %v, extra %v and %v",
					a.P(0.5), b.P(0.5), a.P(0.99), b.P(0.99), a.Extra, b.Extra)
			}
		})
	}
}
