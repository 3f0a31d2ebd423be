package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// goal is one row of the table: a claim of the design about the balancer.
type goal struct {
	id, claim string
	main      Model                // lanewise
	metric    func(Result) float64 // shown for lanewise and for the policies beside it
	unit      string
	beside    []Model // random, round-robin and power of two, unhedged, in the same model
	also      []Model // that bound and checks need
	bound     func(c cells) figure
	boundName string
	checks    []check
}

// check is one ratio or count that must hold.
type check struct {
	what    string
	value   func(c cells) figure
	asked   float64
	quick   float64 // asked in quick mode, where a tail rests on a few queries
	atLeast bool
}

func (k check) limit() float64 {
	if *full {
		return k.asked
	}
	return k.quick
}

func (k check) holds(v float64) bool {
	if k.atLeast {
		return v >= k.limit()
	}
	return v <= k.limit()
}

// TestGoals simulates every goal, prints its row as soon as its models have run,
// and fails where a ratio is missed.
func TestGoals(t *testing.T) {
	skipUnderRace(t)
	n, from := size()
	t.Logf("%d queries a cell, seeds %d to %d, medians ± half the range; tails at p%v", n, from[0], from[len(from)-1], 100*tail())
	begun, c := time.Now(), cells{}
	for _, g := range goals() {
		t.Run(g.id, func(t *testing.T) {
			c.run(t, g.models()...)
			if !t.Failed() {
				t.Log("\n" + g.row(t, c))
			}
		})
	}
	t.Logf("%d cells in %v", len(c)*len(from), time.Since(begun).Round(time.Second))
}

func (g goal) models() []Model { return slices.Concat([]Model{g.main}, g.beside, g.also) }

// row is what the table says of a goal. It fails the test where a check does not hold.
func (g goal) row(t *testing.T, c cells) string {
	t.Helper()
	var row strings.Builder
	fmt.Fprintf(&row, "%-4s %s\n     lanewise %s", g.id, g.claim, g.show(c, g.main))
	for _, m := range g.beside {
		fmt.Fprintf(&row, " | %s %s", m.Policy.Name, g.show(c, m))
	}
	if g.bound != nil {
		fmt.Fprintf(&row, " | %s %.4g%s", g.boundName, g.bound(c).median(), g.unit)
	}
	row.WriteString("\n")
	for _, k := range g.checks {
		fmt.Fprintf(&row, "     %s\n", k.row(t, g.id, c))
	}
	return row.String()
}

// row is what the table says of a check.
func (k check) row(t *testing.T, id string, c cells) string {
	t.Helper()
	v, word, relation := k.value(c), "reached", "<="
	if k.atLeast {
		relation = ">="
	}
	if !k.holds(v.median()) {
		word = "MISSED "
		t.Errorf("%s: %s is %.4g ± %.2g, asked %s %.4g", id, k.what, v.median(), v.spread(), relation, k.limit())
	}
	return fmt.Sprintf("%s %-58s asked %s %-7.4g got %-8.4g ± %.2g", word, k.what, relation, k.limit(), v.median(), v.spread())
}

func (g goal) show(c cells, m Model) string {
	return fmt.Sprintf("%.4g%s", c.each(m, g.metric).median(), g.unit)
}

// tail is the quantile that stands for the tail: quick runs have too few queries for p99.9.
func tail() float64 {
	if *full {
		return 0.999
	}
	return 0.99
}

// beside returns a model under the policies that every goal is shown next to.
func beside(m Model) []Model { return []Model{m.by(random), m.by(robin), m.by(twoOf)} }

// floorOf is the floor of a model for each seed.
func floorOf(m Model, q float64) func(cells) figure {
	return func(cells) figure {
		_, from := size()
		var out figure
		for _, s := range from {
			m.Seed = s
			out = append(out, ms(floor(m, q)))
		}
		return out
	}
}

// ratio compares a metric of two models, seed by seed.
func ratio(metric func(Result) float64, a, b Model) func(cells) figure {
	return func(c cells) figure { return c.each(a, metric).over(c.each(b, metric)) }
}

func value(metric func(Result) float64, m Model) func(cells) figure {
	return func(c cells) figure { return c.each(m, metric) }
}
