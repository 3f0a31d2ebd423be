package data

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/exact"
	"github.com/lanewise/lanewise/search"
)

// Spec says what to draw. The same spec draws the same set.
type Spec struct {
	Kind    string // "clustered", "uniform" or "tenants"
	N, Dims int
	Seed    uint64
	Tenants int // of kind tenants; 0: 100
}

// spread is the standard deviation of a clustered point around its centre, whose numbers have one of 1.
const spread = 0.3

// Points draws a set. Uniform points are normalised Gaussian ones, so uniform on the sphere. Clustered ones lie around √n centres. Points of tenants
// are clustered, and tenant i has a share of 1/(i+1) (Zipf's law).
func (s Spec) Points() ([]search.Point, error) {
	if s.N < 1 || s.Dims < 1 || s.Dims > maxDims || s.Tenants < 0 || s.N > maxNumbers/s.Dims {
		return nil, fault.New(fault.Invalid, "%d points of %d dims cannot be drawn: at least one of each, and 2^31 numbers at most", s.N, s.Dims)
	}
	rng := rand.New(rand.NewPCG(s.Seed, 1))
	var centres [][]float32
	if s.Kind != "uniform" {
		for range int(math.Sqrt(float64(s.N))) + 1 {
			centres = append(centres, gaussian(rng, s.Dims))
		}
	}
	tenant := func() string { return "" }
	switch s.Kind {
	case "uniform", "clustered":
	case "tenants":
		z := NewZipf(max(s.Tenants, 1), 1)
		if s.Tenants == 0 {
			z = NewZipf(100, 1)
		}
		tenant = func() string { return fmt.Sprint("t", z.Draw(rng.Float64())) }
	default:
		return nil, fault.New(fault.Invalid, "%q is no kind of set: it is clustered, uniform or tenants", s.Kind)
	}
	points := make([]search.Point, s.N)
	for i := range points {
		points[i] = search.Point{Key: search.Key{Tenant: tenant(), ID: fmt.Sprintf("p%d", i)}, Dense: near(rng, centres, s.Dims)}
	}
	return points, nil
}

// near draws a point around one of the centres, or anywhere where there are none.
func near(rng *rand.Rand, centres [][]float32, dims int) []float32 {
	v := gaussian(rng, dims)
	if len(centres) == 0 {
		return v
	}
	for i, x := range centres[rng.IntN(len(centres))] {
		v[i] = x + spread*v[i]
	}
	return v
}

func gaussian(rng *rand.Rand, dims int) []float32 {
	v := make([]float32, dims)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

// Zipf draws from 0 to n-1 with weights 1/(i+1)^s.
type Zipf struct{ upto []float64 }

// NewZipf returns the distribution over n ranks, at least 1; s = 0 is uniform.
func NewZipf(n int, s float64) Zipf {
	z := Zipf{make([]float64, max(n, 1))}
	sum := 0.0
	for i := range z.upto {
		sum += math.Pow(float64(i+1), -s)
		z.upto[i] = sum
	}
	return z
}

// Draw returns the rank at u, which is drawn from [0, 1).
func (z Zipf) Draw(u float64) int {
	i, _ := slices.BinarySearch(z.upto, u*z.upto[len(z.upto)-1])
	return min(i, len(z.upto)-1)
}

// Truth returns the ids of the k best points for each query by brute force in float64; ties are cut by id. A query of other
// dims is fault.Invalid.
func Truth(m search.Metric, points []search.Point, queries [][]float32, k int) ([][]string, error) {
	out := make([][]string, len(queries))
	for i, q := range queries {
		best := make(worstFirst, 0, k+1)
		for _, p := range points {
			if len(p.Dense) != len(q) {
				return nil, fault.New(fault.Invalid, "query %d has %d dims and point %s has %d", i, len(q), p.ID, len(p.Dense))
			}
			heap.Push(&best, scored{exact.Score(m, q, p.Dense), p.ID})
			if len(best) > k {
				heap.Pop(&best)
			}
		}
		out[i] = make([]string, len(best))
		for j := len(best) - 1; j >= 0; j-- {
			out[i][j] = heap.Pop(&best).(scored).id //nolint:errcheck,forcetypeassert // it holds nothing else
		}
	}
	return out, nil
}

type scored struct {
	score float64
	id    string
}

// worstFirst is a heap with the row on top that leaves first.
type worstFirst []scored

func (h worstFirst) Len() int { return len(h) }
func (h worstFirst) Less(i, j int) bool {
	return h[i].score < h[j].score || h[i].score == h[j].score && h[i].id > h[j].id
}
func (h worstFirst) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *worstFirst) Push(x any)   { *h = append(*h, x.(scored)) } //nolint:errcheck,forcetypeassert // it holds nothing else
func (h *worstFirst) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
