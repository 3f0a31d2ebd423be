package sim

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/lanewise/lanewise/balance"
)

// TestGoals_affinity is goal G10: calls of a tenant go to the member that has it
// cached, and nobody is overrun.
func TestGoals_affinity(t *testing.T) {
	skipUnderRace(t)
	base := Tenants{Members: 12, Slots: 8, Cache: 600, Tenants: 5000, Load: 0.5, Calls: 90_000, Affinity: true}
	if *full {
		base.Calls = 500_000
	}
	without, unbounded, calm := base, base, base
	without.Affinity, without.Picker, without.Crowded = false, balance.LeastInflight{}, true
	unbounded.Bound, unbounded.Crowded = 1e6, true
	calm.Load = 0.15
	bounded, least, plain, idle := tenants(t, base), tenants(t, without), tenants(t, unbounded), tenants(t, calm)
	row := func(name string, r tenantFigures) string {
		return fmt.Sprintf("\n     %-30s p99 %.1f ± %.1f ms, home %.1f %%, hits %.1f %%", name,
			r.p99.median(), r.p99.spread(), 100*r.home.median(), 100*r.hits.median())
	}
	t.Log("\nG10  12 members with 8 slots, 5,000 tenants by Zipf's law; a cache hit takes 4 ms, a miss 16 ms" +
		row("50 % load: bounded affinity", bounded) + row("unbounded affinity", plain) +
		row("least in flight", least) + row("15 % load: bounded affinity", idle))
	for _, k := range []check{
		{what: "home at 50 % load", value: constant(bounded.home), asked: 0.88, atLeast: true},
		{what: "home at 15 % load", value: constant(idle.home), asked: 0.99, atLeast: true},
		{what: "hits / hits of unbounded affinity", value: constant(bounded.hits.over(plain.hits)), asked: 0.98, atLeast: true},
		{what: "p99 / p99 of least in flight", value: constant(bounded.p99.over(least.p99)), asked: 0.30},
	} {
		k.quick = k.asked
		t.Log(k.row(t, "G10", nil))
	}
	t.Log("G11  no pick above max(ceil(bound x average), slots): at every pick in balance, TestAffinity_neverFillsAMemberAboveItsBound")
}

// constant is the value of a check that needs no cells.
func constant(f figure) func(cells) figure { return func(cells) figure { return f } }

// tenantFigures are what became of a model at each seed.
type tenantFigures struct{ p99, home, hits figure }

func tenants(t *testing.T, m Tenants) (f tenantFigures) {
	t.Helper()
	_, from := size()
	for _, m.Seed = range from {
		synctest.Test(t, func(t *testing.T) {
			r, err := RunTenants(m)
			if err != nil {
				t.Fatal(err)
			}
			f.p99, f.home, f.hits = append(f.p99, ms(r.P(0.99))), append(f.home, r.Home), append(f.hits, r.Hits)
		})
	}
	return f
}
