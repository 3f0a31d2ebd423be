package exact_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/lanewise/lanewise/internal/exact"
	"github.com/lanewise/lanewise/search"
)

func ExampleScore() {
	q, x := []float32{3, 4}, []float32{4, 3}
	for _, m := range []search.Metric{search.Dot, search.Cosine, search.Euclidean} {
		fmt.Printf("%s %.4f\n", m, exact.Score(m, q, x))
	}
	// Output:
	// dot 24.0000
	// cosine 0.9600
	// euclidean -1.4142
}

func TestScore_ofZeroVectors(t *testing.T) {
	zero, one := []float32{0, 0}, []float32{1, 0}
	for _, pair := range [][2][]float32{{zero, one}, {one, zero}, {zero, zero}} {
		if s := exact.Score(search.Cosine, pair[0], pair[1]); s != 0 || math.Signbit(s) {
			t.Errorf("cosine of %v is %v, want 0", pair, s)
		}
	}
}

// A multiplication fused with the addition behind it gives another last bit in many of
// these sums.
func TestScore_roundsEachSquare(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // reproducible on purpose
	for range 200 {
		q, x := random(rng, 16), random(rng, 16)
		sum := 0.0
		for i := range q {
			d := float64(q[i]) - float64(x[i])
			square, _ := new(big.Float).SetPrec(53).Mul(big.NewFloat(d), big.NewFloat(d)).Float64()
			sum, _ = new(big.Float).SetPrec(53).Add(big.NewFloat(sum), big.NewFloat(square)).Float64()
		}
		if got := exact.Score(search.Euclidean, q, x); got != -math.Sqrt(sum) {
			t.Fatalf("got %v, want %v", got, -math.Sqrt(sum))
		}
	}
}

func TestRaw(t *testing.T) {
	if exact.Raw(search.Euclidean, -2) != 2 || exact.Raw(search.Dot, -2) != -2 || exact.Raw(search.Cosine, 0.5) != 0.5 {
		t.Error("the raw figure is the distance on euclidean and the score elsewhere")
	}
}

func TestSparse(t *testing.T) {
	a := search.Sparse{Index: []uint32{1, 4, 9}, Value: []float32{2, 3, 5}}
	b := search.Sparse{Index: []uint32{0, 4, 5, 9}, Value: []float32{7, 0.5, 1, -1}}
	if exact.Sparse(a, b) != -3.5 || exact.Sparse(b, a) != -3.5 || exact.Sparse(a, search.Sparse{}) != 0 {
		t.Errorf("got %v and %v, want -3.5", exact.Sparse(a, b), exact.Sparse(b, a))
	}
}

// What a float32 sum gives lies within the margin of the true score.
func TestMargin_holdsFloat32Sums(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // reproducible on purpose
	for range 500 {
		q, x := random(rng, 64), random(rng, 64)
		var dot, qq, xx, dist float32
		for i := range q {
			dot += q[i] * x[i]
			qq += q[i] * q[i]
			xx += x[i] * x[i]
			dist += (q[i] - x[i]) * (q[i] - x[i])
		}
		root := func(v float32) float32 { return float32(math.Sqrt(float64(v))) }
		for m, loose := range map[search.Metric]float32{
			search.Dot: dot, search.Cosine: dot / (root(qq) * root(xx)), search.Euclidean: -root(dist),
		} {
			score := exact.Score(m, q, x)
			most := exact.Margin(m, q, score, exact.Score(search.Dot, x, x))
			if off := math.Abs(float64(loose) - score); off > most {
				t.Errorf("%s: %v is off by %g, the margin is %g", m, loose, off, most)
			}
		}
	}
}

func random(rng *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

func TestShare(t *testing.T) {
	vector := func(pairs ...float32) (v search.Sparse) {
		for i := 0; i < len(pairs); i += 2 {
			v.Index, v.Value = append(v.Index, uint32(pairs[i])), append(v.Value, pairs[i+1])
		}
		return v
	}
	for _, c := range []struct {
		a, b search.Sparse
		want bool
	}{
		{vector(), vector(), false},
		{vector(1, 1), vector(), false},
		{vector(1, 1, 5, 2), vector(2, 1, 5, 1), true},
		{vector(1, 1, 5, 2), vector(2, 1, 4, 1, 6, 1), false},
		{vector(1, 1, 5, 0), vector(1, 0, 5, 1), false},
		{vector(1, -1), vector(1, 1, 2, 2), true},
	} {
		if exact.Share(c.a, c.b) != c.want || exact.Share(c.b, c.a) != c.want {
			t.Errorf("%v and %v: want %v", c.a, c.b, c.want)
		}
	}
}
