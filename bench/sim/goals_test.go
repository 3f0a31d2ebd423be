package sim

import (
	"fmt"
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
	bound     func(c *cells) figure
	boundName string
	checks    []check
}

// check is one ratio or count that must hold.
type check struct {
	what    string
	value   func(c *cells) figure
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

// TestGoals simulates every goal, prints the table and fails where a ratio is missed.
func TestGoals(t *testing.T) {
	skipUnderRace(t)
	begun := time.Now()
	c := &cells{models: map[string]Model{}, results: map[string][]Result{}}
	all := goals()
	for _, g := range all {
		c.want(g.main)
		c.want(g.beside...)
	}
	c.want(more()...)
	c.run(t)
	if t.Failed() {
		return
	}
	var table strings.Builder
	for _, g := range all {
		g.print(t, &table, c)
	}
	n, from := size()
	t.Logf("%d queries a cell, %d cells, %d seeds, %v; tails at p%v\n%s",
		n, len(c.models), len(from), time.Since(begun).Round(time.Second), 100*tail(), table.String())
}

// print writes the row of a goal and fails the test where a check does not hold.
func (g goal) print(t *testing.T, table *strings.Builder, c *cells) {
	t.Helper()
	fmt.Fprintf(table, "%-4s %s\n", g.id, g.claim)
	fmt.Fprintf(table, "     lanewise %s", g.show(c, g.main))
	for _, m := range g.beside {
		fmt.Fprintf(table, " | %s %s", m.Policy.Name, g.show(c, m))
	}
	if g.bound != nil {
		fmt.Fprintf(table, " | %s %.4g%s", g.boundName, g.bound(c).median(), g.unit)
	}
	table.WriteString("\n")
	for _, k := range g.checks {
		v := k.value(c)
		word, relation := "reached", "<="
		if k.atLeast {
			relation = ">="
		}
		if !k.holds(v.median()) {
			word = "MISSED "
			t.Errorf("%s: %s is %.4g ± %.2g, asked %s %.4g", g.id, k.what, v.median(), v.spread(), relation, k.limit())
		}
		fmt.Fprintf(table, "     %s %-58s asked %s %-7.4g got %-8.4g ± %.2g\n", word, k.what, relation, k.limit(), v.median(), v.spread())
	}
}

func (g goal) show(c *cells, m Model) string {
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
func floorOf(m Model, q float64) func(*cells) figure {
	return func(*cells) figure {
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
func ratio(metric func(Result) float64, a, b Model) func(*cells) figure {
	return func(c *cells) figure { return c.each(a, metric).over(c.each(b, metric)) }
}

func plain(metric func(Result) float64, m Model) func(*cells) figure {
	return func(c *cells) figure { return c.each(m, metric) }
}
