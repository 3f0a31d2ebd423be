package sim

import "github.com/lanewise/lanewise/balance"

// The policies that are compared.
var (
	lanewise = Policy{Name: "lanewise", Hedged: true}
	unhedged = Policy{Name: "lanewise unhedged"}
	admitted = Policy{Name: "lanewise with admission", Hedged: true, Gated: true}
	oracle   = Policy{Name: "omniscient", rule: leastOf}
	random   = Policy{Name: "random", rule: anyOf}
	robin    = Policy{Name: "round-robin", rule: inTurn}
	twoOf    = Policy{Name: "power of two", rule: shorterOfTwo}
)

// The same by the balancer's pickers.
var (
	oraclePicks = Policy{Name: "omniscient", Oracle: true}
	randomPicks = Policy{Name: "random", Picker: balance.Random{}, Plain: true}
	robinPicks  = Policy{Name: "round-robin", Picker: balance.RoundRobin{}, Plain: true}
	twoOfPicks  = Policy{Name: "power of two", Picker: balance.TwoChoices{}, Plain: true}
)

func policies() []Policy {
	return []Policy{lanewise, unhedged, oraclePicks, randomPicks, robinPicks, twoOfPicks,
		{Name: "least in flight", Picker: balance.LeastInflight{}, Plain: true},
		{Name: "peak EWMA", Picker: balance.PeakEWMA{}, Plain: true},
		{Name: "hot-cold", Picker: balance.HotCold{}, Plain: true},
	}
}
