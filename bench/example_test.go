package bench_test

import (
	"context"
	"fmt"
	"time"

	"github.com/lanewise/lanewise/bench"
)

// A load of a thousand calls a second, and the promise that 99 % of them are answered within a second.
func Example() {
	load := bench.Load{Rate: 1000, Constant: true, Duration: 100 * time.Millisecond}
	result, err := load.Run(context.Background(), func(context.Context, bench.Turn) error { return nil })
	if err != nil {
		fmt.Println(err)
		return
	}
	slo, err := bench.ParseSLO("p99=1s")
	fmt.Println(result.Calls() >= 99, result.Failed(), slo.Met(result), err)
	// Output: true 0 true <nil>
}
