package goals_test

import (
	"fmt"
	"testing"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/goals"
)

// Each row says what was asked and what was reached, and whether that is enough.
func TestRecorded_isWhole(t *testing.T) {
	r, err := goals.Recorded()
	if err != nil || r.Schema != bench.Schema || r.Kind != "goals" || r.Started.IsZero() || len(r.Rows) < 10 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, row := range r.Rows {
		if len(row.Figures) != 2 || row.Figures[0].Name != "asked" || row.Figures[1].Name != "reached" {
			t.Fatalf("%s: figures %+v", row.Name, row.Figures)
		}
		asked, reached := row.Figures[0].Median(), row.Figures[1].Median()
		if better := row.Figures[1].Better; better == bench.Lower && reached > asked || better == bench.Higher && reached < asked {
			t.Errorf("%s: %g was reached, %g asked: docs/benchmarks.md must say so", row.Name, reached, asked)
		}
	}
}

func Example() {
	r, err := goals.Recorded()
	fmt.Println(r.Rows[0].Name, err)
	// Output: G1 60 % load, servers abort: p99.9 / unhedged <nil>
}
