package local

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/search"
)

// extreme draws finite floats of every size, and many equal ones.
func extreme() *rapid.Generator[float32] {
	return rapid.OneOf(
		rapid.Float32Range(-1, 1),
		rapid.SampledFrom([]float32{0, 1, -1, 0.5, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, 1e-20, -1e-20, 1e20}),
		rapid.Float32Range(-math.MaxFloat32, math.MaxFloat32),
	)
}

func chunkOf(m search.Metric, rows [][]float32) *part {
	p := partDraft{by: new(edition), dims: len(rows[0])}
	for i, v := range rows {
		c, at := p.grow()
		copy(c.vector(at), v)
		p.settle(m, fmt.Sprintf("%05d", i), slot{}, false)
	}
	return &p.part
}

func metrics() []search.Metric {
	return []search.Metric{search.Cosine, search.Dot, search.Euclidean}
}

// TestBounds_holdTheScore draws vectors at the limits of float32.
func TestBounds_holdTheScore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.SampledFrom(metrics()).Draw(t, "metric")
		dims := rapid.IntRange(1, 40).Draw(t, "dims")
		vector := rapid.SliceOfN(extreme(), dims, dims)
		q, x := vector.Draw(t, "q"), vector.Draw(t, "x")
		p := newProbe(m, q, 1)
		c := chunkOf(m, [][]float32{x}).blocks[0].chunk
		lower, upper := p.bounds(c, 0)
		if s := p.exact(x) * p.unit; s < lower || s > upper {
			t.Fatalf("%s: the score %v is outside of [%v, %v]", m, s, lower, upper)
		}
	})
}

// TestBounds_holdAtTheEdges pairs vectors whose products under- or overflow.
func TestBounds_holdAtTheEdges(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	scales := []float64{0, 1e-45, 1e-43, 1e-40, 1e-38, 1e-30, 1e-20, 1e-12, 1, 1e12, 1e19, 1e30, 3e37}
	for _, m := range metrics() {
		for _, a := range scales {
			for _, c := range scales {
				v := randomRows(rng, 2, 19)
				for i := range v[0] {
					v[0][i] = float32(float64(v[0][i]) * a)
					v[1][i] = float32(float64(v[1][i]) * c)
				}
				near := slices.Clone(v[0]) // a tiny distance beside a vector of any size
				near[3] += float32(c)
				for _, x := range [][]float32{v[1], near} {
					p := newProbe(m, v[0], 1)
					lower, upper := p.bounds(chunkOf(m, [][]float32{x}).blocks[0].chunk, 0)
					if s := p.exact(x) * p.unit; s < lower || s > upper {
						t.Errorf("%s, sizes %v and %v: the score %v is outside of [%v, %v]", m, a, c, s, lower, upper)
					}
				}
			}
		}
	}
}

// TestBounds_areNarrow guards against bounds that are right because they are wide.
func TestBounds_areNarrow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, m := range metrics() {
		rows := randomRows(rng, 100, 256)
		p, c := newProbe(m, randomRows(rng, 1, 256)[0], 1), chunkOf(m, rows)
		for _, b := range c.blocks {
			for i := range b.n {
				lower, upper := p.bounds(b.chunk, i)
				if width := (upper - lower) / p.unit; width > 0.01 {
					t.Errorf("%s: bounds are %v wide", m, width)
				}
			}
		}
	}
}

func randomRows(rng *rand.Rand, n, dims int) [][]float32 {
	rows := make([][]float32, n)
	for i := range rows {
		rows[i] = make([]float32, dims)
		for j := range rows[i] {
			rows[i][j] = float32(rng.NormFloat64())
		}
	}
	return rows
}

// TestCollector_equalsSort ranks rows of which many are equal or nearly so.
func TestCollector_equalsSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.SampledFrom(metrics()).Draw(t, "metric")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		n, k := rapid.IntRange(1, 600).Draw(t, "n"), rapid.IntRange(1, 40).Draw(t, "k")
		rows := randomRows(rng, n, 9)
		for i := range rows {
			switch rng.IntN(4) {
			case 0:
				copy(rows[i], rows[rng.IntN(i+1)])
			case 1: // the last bit differs
				copy(rows[i], rows[rng.IntN(i+1)])
				rows[i][0] = math.Nextafter32(rows[i][0], 9)
			case 2:
				rows[i] = make([]float32, 9)
				rows[i][rng.IntN(9)] = float32(rng.IntN(3) - 1)
			}
		}
		from := chunkOf(m, rows)
		p := newProbe(m, rows[rng.IntN(n)], k+1)
		a, b := newCollector(p, from), newCollector(p, from) // as two goroutines would
		for i, blk := range from.blocks {
			if err := scanBlock(i, blk, []*collector{[]*collector{a, b}[i%2]}, nil); err != nil {
				t.Fatal(err)
			}
		}
		a.merge(b)
		checkRanking(t, a, rows)
	})
}

func checkRanking(t *rapid.T, c *collector, rows [][]float32) {
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(c.exact(rows[j]), c.exact(rows[i])) })
	k := c.k - 1
	best, exhausted := c.best()
	if len(best) != min(k, len(rows)) || exhausted != (len(rows) <= k) {
		t.Fatalf("%d rows, k = %d: got %d, exhausted %t", len(rows), k, len(best), exhausted)
	}
	for i, x := range best {
		if want := fmt.Sprintf("%05d", order[i]); c.id(x) != want || x.score != c.exact(rows[order[i]]) {
			t.Fatalf("place %d is %s with %v, want %s with %v", i, c.id(x), x.score, want, c.exact(rows[order[i]]))
		}
	}
}

// TestKernels_agree compares this machine's kernels with the plain loops.
func TestKernels_agree(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for dims := 1; dims < 70; dims++ {
		v := randomRows(rng, 2, dims)
		for name, pair := range map[string][2]float32{
			"dot":      {dot32(v[0], v[1]), dotPlain(v[0], v[1])},
			"distance": {distance32(v[0], v[1]), distancePlain(v[0], v[1])},
		} {
			if math.Abs(float64(pair[0]-pair[1])) > 1e-5*float64(dims) {
				t.Errorf("%s of %d dims: %v and %v", name, dims, pair[0], pair[1])
			}
		}
	}
}

// TestExact_isPinned keeps the scores equal, bit for bit, on every machine.
func TestExact_isPinned(t *testing.T) {
	a, b := make([]float32, 100), make([]float32, 100)
	for i := range a {
		a[i], b[i] = float32(i%7)/3-1, float32(i%11)/7-0.6
	}
	for m, want := range map[search.Metric]uint64{
		search.Cosine: pinnedCosine, search.Dot: pinnedDot, search.Euclidean: pinnedEuclidean,
	} {
		if got := math.Float64bits(newProbe(m, a, 1).exact(b)); got != want {
			t.Errorf("%s: got %#x, want %#x", m, got, want)
		}
	}
	if got := newProbe(search.Cosine, a, 1).exact(a); got != 1 {
		t.Errorf("the cosine of a vector with itself is %v", got)
	}
}

const (
	pinnedCosine    = 0x3f8bfc925be50b02
	pinnedDot       = 0x3fdb6db7115f1520
	pinnedEuclidean = 0xc0203f81f3e6e78b
)
