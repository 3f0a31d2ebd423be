package sim

import (
	"testing"
	"testing/synctest"

	"github.com/lanewise/lanewise/balance"
)

// TestGoals_affinity is goal G10: calls of a tenant go to the member that has it
// cached, and nobody is overrun.
func TestGoals_affinity(t *testing.T) {
	skipUnderRace(t)
	base := Tenants{Seed: *seed, Members: 12, Slots: 8, Cache: 600, Tenants: 5000, Load: 0.5, Calls: 90_000, Affinity: true}
	if *full {
		base.Calls = 500_000
	}
	without, unbounded, calm := base, base, base
	without.Affinity, without.Picker = false, balance.LeastInflight{}
	unbounded.Bound = 1e6
	calm.Load = 0.15
	bounded, least, plain, idle := tenants(t, base), tenants(t, without), tenants(t, unbounded), tenants(t, calm)

	t.Logf("G10  12 members with 8 slots, 5,000 tenants by Zipf's law, a cache hit takes 4 ms and a miss 16 ms\n"+
		"     50 %% load:  bounded affinity p99 %.1f ms, home %.1f %%, hits %.1f %% | unbounded p99 %.1f ms, hits %.1f %% | least in flight p99 %.1f ms, hits %.1f %%\n"+
		"     15 %% load:  bounded affinity p99 %.1f ms, home %.1f %%",
		ms(bounded.P(0.99)), 100*bounded.Home, 100*bounded.Hits, ms(plain.P(0.99)), 100*plain.Hits, ms(least.P(0.99)), 100*least.Hits,
		ms(idle.P(0.99)), 100*idle.Home)
	for what, k := range map[string]struct{ got, asked float64 }{
		"home at 50 % load":                   {bounded.Home, 0.88},
		"home at 15 % load":                   {idle.Home, 0.99},
		"hits / hits of unbounded affinity":   {bounded.Hits / plain.Hits, 0.98},
		"0.30 x p99 of least in flight / p99": {0.30 * ms(least.P(0.99)) / ms(bounded.P(0.99)), 1},
	} {
		if k.got < k.asked {
			t.Errorf("G10: %s is %.4g, asked >= %.4g", what, k.got, k.asked)
		}
	}
}

func tenants(t *testing.T, m Tenants) (r TenantsResult) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		if r, err = RunTenants(m); err != nil {
			t.Fatal(err)
		}
	})
	return r
}
