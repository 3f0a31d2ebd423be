package data_test

import (
	"fmt"

	"github.com/lanewise/lanewise/bench/data"
	"github.com/lanewise/lanewise/search"
)

// A drawn set, and what an exact search for its first point finds.
func Example() {
	points, err := data.Spec{Kind: "clustered", N: 1000, Dims: 16, Seed: 1}.Points()
	if err != nil {
		fmt.Println(err)
		return
	}
	best, err := data.Truth(search.Cosine, points, [][]float32{points[0].Dense}, 1)
	fmt.Println(best, err)
	// Output: [[p0]] <nil>
}
