package sim

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
)

// cells are the results of models, each run once for every seed: the goals share
// their baselines.
type cells map[string][]Result

// size is the number of queries of a cell and the seeds that it is run with.
func size() (n int, from []uint64) {
	n, count := 2000, 1
	if *full {
		n, count = 60_000, 5
	}
	for i := range cmp.Or(*seeds, count) {
		from = append(from, *seed+uint64(i)) //nolint:gosec // not negative
	}
	return cmp.Or(*queries, n), from
}

func key(m Model) string {
	m.Seed = 0
	return fmt.Sprintf("%+v", m)
}

// run simulates the models that have not been yet, side by side.
func (c cells) run(t *testing.T, models ...Model) {
	t.Helper()
	_, from := size()
	t.Run("cells", func(t *testing.T) {
		for _, m := range models {
			k := key(m)
			if _, ok := c[k]; ok {
				continue
			}
			results := make([]Result, len(from))
			c[k] = results
			for i, s := range from {
				m := m.with(func(m *Model) { m.Seed = s }) // its own: the cells run later
				t.Run(fmt.Sprintf("%s load=%v slow=%v %s seed=%d", m.Policy.Name, m.Load, m.Slow, m.Server, s), func(t *testing.T) {
					t.Parallel()
					results[i] = simulate(t, m)
					t.Log(results[i])
				})
			}
		}
	})
}

// of returns the results of a model, by seed.
func (c cells) of(m Model) []Result { return c[key(m)] }

// figure is one number for each seed.
type figure []float64

// each computes a figure from a model's results.
func (c cells) each(m Model, f func(Result) float64) figure {
	var out figure
	for _, r := range c.of(m) {
		out = append(out, f(r))
	}
	return out
}

// over divides seed by seed.
func (f figure) over(g figure) figure {
	out := make(figure, len(f))
	for i := range f {
		out[i] = f[i] / g[i]
	}
	return out
}

// median is the middle one, or the mean of the two in the middle.
func (f figure) median() float64 {
	s := slices.Sorted(slices.Values(f))
	if len(s) == 0 {
		return math.NaN()
	}
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// spread is half the distance between the largest and the smallest.
func (f figure) spread() float64 {
	if len(f) == 0 {
		return math.NaN()
	}
	return (slices.Max(f) - slices.Min(f)) / 2
}

// Metrics of a result.
func quantile(q float64) func(Result) float64 { return func(r Result) float64 { return ms(r.P(q)) } }
func extra(r Result) float64                  { return r.Extra }
func slowShare(r Result) float64              { return r.SlowShare }
func failures(r Result) float64               { return r.Failed }
func goodput(r Result) float64                { return r.Model.Load * (1 - r.Failed) }
func laneWorst(r Result) float64              { lane, _ := r.tally.worst(); return lane }
func shardWorst(r Result) float64             { _, shard := r.tally.worst(); return shard }

// with returns a model changed by f.
func (m Model) with(f func(*Model)) Model { f(&m); return m }

// by returns the model under another policy.
func (m Model) by(p Policy) Model { m.Policy = p; return m }

// at returns the model at a load.
func at(load float64) Model {
	m := flagged()
	m.Load = load
	m.Queries, _ = size()
	return m
}

// TestCells_eachSeedIsAnotherRun runs a model at two seeds.
func TestCells_eachSeedIsAnotherRun(t *testing.T) {
	old := *seeds
	*seeds = 2
	t.Cleanup(func() { *seeds = old })
	m, c := healthy(0.8, Drop).by(robin).with(func(m *Model) { m.Queries = 100 }), cells{}
	c.run(t, m)
	for i, r := range c.of(m) {
		if r.Model.Seed != *seed+uint64(i) { //nolint:gosec // not negative
			t.Errorf("run %d has seed %d", i, r.Model.Seed)
		}
	}
	if p50 := c.each(m, quantile(0.5)); p50[0] == p50[1] {
		t.Errorf("two seeds give the same median, %v ms", p50[0])
	}
}
