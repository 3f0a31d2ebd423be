package config_test

import (
	"fmt"

	"github.com/lanewise/lanewise/config"
)

// A file with two mistakes: both are reported, each at its place.
func ExampleLoad() {
	_, err := config.Load("testdata/mistakes.yaml")
	fmt.Println(err)
	// Output:
	// testdata/mistakes.yaml:3:5: shards[0].replica: unknown key; did you mean replicas?
	// testdata/mistakes.yaml:6:3: timeouts.search: 2 has no unit: write 2s or 2ms
}
