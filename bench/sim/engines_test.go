package sim

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/lanewise/lanewise/balance"
)

// enginesFigures are what became of a model at each seed.
type enginesFigures struct{ p50, p95, hits, best, skew figure }

func engines(t *testing.T, m Engines) (f enginesFigures) {
	t.Helper()
	_, from := size()
	for _, m.Seed = range from {
		synctest.Test(t, func(t *testing.T) {
			r, err := RunEngines(m)
			if err != nil {
				t.Fatal(err)
			}
			f.p50, f.p95 = append(f.p50, ms(r.P(0.5))), append(f.p95, ms(r.P(0.95)))
			f.hits, f.best, f.skew = append(f.hits, r.Hits), append(f.best, r.Best), append(f.skew, r.Skew)
		})
	}
	return f
}

func enginesRow(name string, f enginesFigures) string {
	return fmt.Sprintf("\n     %-22s first token p50 %.0f ms, p95 %.0f ± %.0f ms; hits %.1f %% (best possible %.1f %%); work max/avg %.2f",
		name, f.p50.median(), f.p95.median(), f.p95.spread(), 100*f.hits.median(), 100*f.best.median(), f.skew.median())
}

// TestGoals_promptLengths holds that engines are balanced by the tokens that they
// have to read and write, not by calls: prompts of very different lengths.
func TestGoals_promptLengths(t *testing.T) {
	skipUnderRace(t)
	base := Engines{Engines: 4, Slots: 16, Load: 0.7, Calls: 6000}
	if *full {
		base.Calls = 20_000
	}
	turns, least := base, base
	turns.Picker, least.Picker = balance.RoundRobin{}, balance.LeastInflight{}
	ours, robin, fewest := engines(t, base), engines(t, turns), engines(t, least)
	t.Log("\nLLM  4 engines, prompts of 400 tokens (log-normal, sigma 1.3), 70 % load" +
		enginesRow("lanewise", ours) + enginesRow("round-robin", robin) + enginesRow("least requests", fewest))
	for _, k := range []check{
		{what: "p95 to the first token / of round-robin", value: constant(ours.p95.over(robin.p95)), asked: 0.60, quick: 0.65},
		{what: "p95 to the first token / of least requests", value: constant(ours.p95.over(fewest.p95)), asked: 1, quick: 1},
	} {
		t.Log(k.row(t, "LLM", nil))
	}
}

// TestGoals_sharedPrefixes holds that questions about the same passages find them
// in a prefix cache, and no engine is overrun.
func TestGoals_sharedPrefixes(t *testing.T) {
	skipUnderRace(t)
	base := Engines{Engines: 4, Slots: 16, Load: 0.7, Calls: 8000, Topics: 250, Cache: 200_000}
	if *full {
		base.Calls = 12_000
	}
	least, tight := base, base
	tight.Topics = 400
	least.Picker = balance.LeastInflight{}
	ours, fewest := engines(t, base), engines(t, least)
	brim := ""
	if *full {
		brim = enginesRow("lanewise, 400 sets", engines(t, tight))
	}
	t.Log("\nLLM  4 engines, 250 sets of 4 passages by Zipf's law, each engine's cache holds 100 of them, 70 % load" +
		enginesRow("lanewise", ours) + enginesRow("least requests", fewest) + brim)
	for _, k := range []check{
		{what: "hits / best possible", value: constant(ours.hits.over(ours.best)), asked: 0.95, quick: 0.93, atLeast: true},
		{what: "work of the busiest engine / mean", value: constant(ours.skew), asked: 1.25, quick: 1.28},
	} {
		t.Log(k.row(t, "LLM", nil))
	}
}
