// Package goals holds what the balancer reached in simulations that take hours, as a report with the date of its making.
// Package bench/sim is what makes them.
package goals

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/lanewise/lanewise/bench"
)

//go:embed recorded.json
var recorded []byte

// Recorded returns the report.
func Recorded() (*bench.Report, error) {
	r := &bench.Report{}
	if err := json.Unmarshal(recorded, r); err != nil {
		return nil, fmt.Errorf("the recorded goals: %w", err)
	}
	return r, nil
}
