package local

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The threshold of a collector is what sorting would give, and exact scores have the bits of their definition.
func TestAtRank(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8)) //nolint:gosec // repeatable
	for range 2000 {
		numbers := make([]float64, 1+rng.IntN(200))
		for i := range numbers {
			numbers[i] = float64(rng.IntN(1 + rng.IntN(300))) // many are equal
			if rng.IntN(20) == 0 {
				numbers[i] = math.Inf(rng.IntN(2)*2 - 1)
			}
		}
		sorted := slices.Sorted(slices.Values(numbers))
		n := rng.IntN(len(numbers))
		if got := atRank(numbers, n); got != sorted[n] {
			t.Fatalf("got %v at %d, want %v of %v", got, n, sorted[n], sorted)
		}
		if slices.Sort(numbers); !slices.Equal(numbers, sorted) {
			t.Fatalf("the numbers became others: %v, were %v", numbers, sorted)
		}
	}
}

func TestDots64_bits(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 1)) //nolint:gosec // repeatable
	for dims := range 70 {
		a, b := make([]float32, dims), make([]float32, dims)
		for i := range a {
			a[i], b[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64()*1e3)
		}
		if dot, square := dots64(a, b); dot != dot64(a, b) || square != dot64(b, b) {
			t.Fatalf("%d dims: got %v and %v, want %v and %v", dims, dot, square, dot64(a, b), dot64(b, b))
		}
	}
}
