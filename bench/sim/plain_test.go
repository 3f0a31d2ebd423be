package sim

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// TestRunPlain_isTheModel compares the rules with the balancer's own pickers, in the
// model: where nothing is left to chance every latency must be the same.
func TestRunPlain_isTheModel(t *testing.T) {
	skipUnderRace(t)
	for _, m := range []Model{healthy(0.9, Drop), oneSlow(0.6, Abort), oneSlow(0.6, Drop), oneSlow(0.6, Ignore)} {
		m.Queries, m.Deadline = 1500, 300*time.Millisecond
		what := fmt.Sprintf("load %v, slow %v, %s", m.Load, m.Slow, m.Server)
		a, b := simulate(t, m.by(robin)), simulate(t, m.by(robinPicks))
		if a.Failed == 0 || !slices.Equal(a.Latencies, b.Latencies) || a.Failed != b.Failed || a.SlowShare != b.SlowShare {
			t.Errorf("%s, round-robin: p50 %v and %v, failed %v and %v", what, a.P(0.5), b.P(0.5), a.Failed, b.Failed)
		}
		for rule, picks := range map[*Policy]Policy{&twoOf: twoOfPicks, &oracle: oraclePicks} {
			a, b := simulate(t, m.by(*rule)), simulate(t, m.by(picks))
			if off := float64(a.P(0.5))/float64(b.P(0.5)) - 1; math.Abs(off) > 0.15 {
				t.Errorf("%s, %s: p50 %v and %v", what, rule.Name, a.P(0.5), b.P(0.5))
			}
		}
	}
}
