package sim_test

import (
	"fmt"
	"time"

	"github.com/lanewise/lanewise/bench/sim"
)

// A small model, in real time: outside of a bubble of testing/synctest a run
// takes as long as it says.
func Example() {
	result, err := sim.Run(sim.Model{
		Shards: 2, Replicas: 2, Slots: 2, Routers: 1, Load: 0.2, Slow: 1,
		Server: sim.Drop, Queries: 20, Deadline: time.Minute, Policy: sim.Policy{Hedged: true},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d latencies, %.0f %% failed\n", len(result.Latencies), 100*result.Failed)
	// Output: 18 latencies, 0 % failed
}
