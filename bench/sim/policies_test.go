package sim

import "github.com/lanewise/lanewise/balance"

// The policies that are compared.
var (
	lanewise = Policy{Name: "lanewise", Hedged: true}
	unhedged = Policy{Name: "lanewise unhedged"}
	admitted = Policy{Name: "lanewise", Hedged: true, Gated: true}
	oracle   = Policy{Name: "omniscient", Oracle: true}
	random   = Policy{Name: "random", Picker: balance.Random{}, Plain: true}
	robin    = Policy{Name: "round-robin", Picker: balance.RoundRobin{}, Plain: true}
	twoOf    = Policy{Name: "power of two", Picker: balance.TwoChoices{}, Plain: true}
)

func policies() []Policy {
	return []Policy{lanewise, unhedged, oracle, random, robin, twoOf,
		{Name: "least in flight", Picker: balance.LeastInflight{}, Plain: true},
		{Name: "peak EWMA", Picker: balance.PeakEWMA{}, Plain: true},
		{Name: "hot-cold", Picker: balance.HotCold{}, Plain: true},
	}
}
