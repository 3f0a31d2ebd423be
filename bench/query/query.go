// Package query loads something that searches with a mix of queries at a given rate, and reports latencies,
// errors, hedges, coverage and recall.
package query

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/data"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// Ask is one search.
type Ask struct {
	data.Query
	K       int
	Mode    string // of a lanewise server; empty: its default
	Tenant  string
	Filter  search.Filter
	Exact   bool
	Timeout time.Duration // 0: the target's own
}

// Answer is what came of it.
type Answer struct {
	IDs      []string
	Coverage float64 // share of the documents that were asked; 1: all
	Hedges   int
}

// Target searches. Safe for concurrent use.
type Target interface {
	Search(ctx context.Context, a Ask) (Answer, error)
}

// Mix says which searches are made. Call i of one seed always is the same one.
type Mix struct {
	Queries []data.Query // at least one
	K       []Share      // values are numbers; empty: 10
	Mode    []Share
	Filter  []Share // values are filters in JSON
	Tenants []string
	Zipf    float64 // the i-th tenant's share is 1/(i+1)^Zipf
	Timeout time.Duration
	Seed    uint64

	filters []search.Filter
	counts  []int
	zipf    data.Zipf
}

// Share is a value and how often it is drawn, against the others.
type Share struct {
	Value  string
	Weight float64
}

// ParseShares reads "10:0.9,100:0.1" or "10"; a value without a weight has 1. It splits before the last colon.
func ParseShares(flag, text string) (out []Share, err error) {
	for part := range strings.SplitSeq(text, ",") {
		s := Share{part, 1}
		if i := strings.LastIndexByte(part, ':'); i >= 0 {
			s.Value = part[:i]
			if s.Weight, err = strconv.ParseFloat(part[i+1:], 64); err != nil || !(s.Weight > 0) || math.IsInf(s.Weight, 0) {
				return nil, fault.New(fault.Invalid, "%s: the weight of %q is not a number above 0", flag, part)
			}
		}
		if s.Value == "" {
			return nil, fault.New(fault.Invalid, "%s: %q has no value", flag, text)
		}
		out = append(out, s)
	}
	return out, nil
}

// Check refuses parts of the mix that cannot be read, fault.Invalid with the field's pointer. Queries may be missing yet.
func (m Mix) Check() error { return m.read() }

func (m *Mix) prepare() error {
	if len(m.Queries) == 0 {
		return fault.BadField("/queries", "is empty")
	}
	return m.read()
}

// read reads the parts of the mix that are texts.
func (m *Mix) read() error {
	if len(m.K) == 0 {
		m.K = []Share{{"10", 1}}
	}
	for _, s := range m.K {
		k, err := strconv.Atoi(s.Value)
		if err != nil || k < 1 || k > 10_000 {
			return fault.BadField("/k", "%q is not a number from 1 to 10,000", s.Value)
		}
		m.counts = append(m.counts, k)
	}
	for _, s := range m.Filter {
		f, err := search.ParseFilter([]byte(s.Value))
		if err != nil {
			return fault.BadField("/filter", "%s: %v", s.Value, err)
		}
		m.filters = append(m.filters, f)
	}
	m.zipf = data.NewZipf(len(m.Tenants), m.Zipf)
	return nil
}

// ask returns call i.
func (m *Mix) ask(i int) Ask {
	rng := rand.New(rand.NewPCG(m.Seed, uint64(i)))
	a := Ask{Query: m.Queries[rng.IntN(len(m.Queries))], K: m.counts[pick(m.K, rng.Float64())], Timeout: m.Timeout}
	if len(m.Mode) > 0 {
		a.Mode = m.Mode[pick(m.Mode, rng.Float64())].Value
	}
	if len(m.Filter) > 0 {
		a.Filter = m.filters[pick(m.Filter, rng.Float64())]
	}
	if len(m.Tenants) > 0 {
		a.Tenant = m.Tenants[m.zipf.Draw(rng.Float64())]
	}
	return a
}

func pick(shares []Share, u float64) int {
	sum := 0.0
	for _, s := range shares {
		sum += s.Weight
	}
	for i, s := range shares {
		if u -= s.Weight / sum; u < 0 {
			return i
		}
	}
	return len(shares) - 1
}

// Result is what came of a load of searches.
type Result struct {
	bench.Result
	Hedges   int     // extra attempts, as the target reports them
	Coverage float64 // mean over the answers
	Recall   float64 // of the sampled answers against exact searches; NaN where none was sampled
}

// Figures are those of the load, with hedges for each hundred calls, coverage, and recall where it was asked for.
func (r Result) Figures() []bench.Figure {
	figures := append(r.Result.Figures(),
		bench.Figure{Name: "hedged", Unit: "%", Rounds: []float64{100 * float64(r.Hedges) / float64(max(r.Calls(), 1))}},
		bench.Figure{Name: "coverage", Better: bench.Higher, Rounds: []float64{r.Coverage}})
	if !math.IsNaN(r.Recall) {
		figures = append(figures, bench.Figure{Name: "recall", Better: bench.Higher, Rounds: []float64{r.Recall}})
	}
	return figures
}

// Plan is a load of searches.
type Plan struct {
	bench.Load
	Mix
	// Sample is for how many of the first answers the recall is taken: against what the target answers to the
	// same search made exactly, afterwards and without a load.
	Sample int
}

// Run makes the load on a target.
func (p Plan) Run(ctx context.Context, t Target) (Result, error) {
	call, seen, err := p.caller(t, p.Sample)
	if err != nil {
		return Result{}, err
	}
	loaded, err := p.Load.Run(ctx, call)
	if err != nil {
		return Result{}, err
	}
	r := Result{Result: loaded, Hedges: seen.hedges, Coverage: seen.covered / float64(max(loaded.Latency.Count(), 1)), Recall: math.NaN()}
	if len(seen.sampled) > 0 && !r.Cut {
		r.Recall, err = recall(ctx, t, &p.Mix, seen.sampled)
	}
	return r, err
}

// Try makes the first search of the mix, to see whether it can be made.
func (m Mix) Try(ctx context.Context, t Target) error {
	if err := m.prepare(); err != nil {
		return err
	}
	_, err := t.Search(ctx, m.ask(0))
	return err
}

// Highest finds the highest rate at which a target keeps a promise, see bench.SLO.
func (p Plan) Highest(ctx context.Context, t Target, slo bench.SLO, each func(bench.Probe)) (float64, bench.Result, error) {
	call, _, err := p.caller(t, 0)
	if err != nil {
		return 0, bench.Result{}, err
	}
	return slo.Highest(ctx, p.Load, call, each)
}

// caller returns the call of a load, and what is seen of its answers beside their latencies.
func (m *Mix) caller(t Target, sample int) (bench.Call, *seen, error) {
	if err := m.prepare(); err != nil {
		return nil, nil, err
	}
	s := &seen{sample: sample, sampled: map[int][]string{}}
	return func(ctx context.Context, turn bench.Turn) error {
		a, err := t.Search(ctx, m.ask(turn.Index))
		if err == nil && turn.Recorded {
			s.enter(turn.Index, a)
		}
		return err
	}, s, nil
}

type seen struct {
	sample int

	mu      sync.Mutex
	hedges  int
	covered float64
	sampled map[int][]string // ids by the call's index
}

func (s *seen) enter(index int, a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hedges += a.Hedges
	s.covered += a.Coverage
	if len(s.sampled) < s.sample {
		s.sampled[index] = a.IDs
	}
}

// recall is the mean share of the exact answers that the sampled ones have.
func recall(ctx context.Context, t Target, m *Mix, sampled map[int][]string) (float64, error) {
	sum, n := 0.0, 0
	for index, got := range sampled {
		a := m.ask(index)
		a.Exact = true
		want, err := t.Search(ctx, a)
		if err != nil {
			return math.NaN(), fmt.Errorf("an exact search for the recall: %w", err)
		}
		if len(want.IDs) == 0 {
			continue
		}
		found := 0
		for _, id := range want.IDs {
			if slices.Contains(got, id) {
				found++
			}
		}
		sum += float64(found) / float64(len(want.IDs))
		n++
	}
	if n == 0 {
		return math.NaN(), nil
	}
	return sum / float64(n), nil
}
