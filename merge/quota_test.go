package merge_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/lanewise/lanewise/merge"
)

// equal is the weights of n shards of one size.
func equal(n int) []float64 {
	weights := make([]float64, n)
	for i := range weights {
		weights[i] = 1000
	}
	return weights
}

// The expected rows are those of the exact multinomial distribution, computed elsewhere: the smallest number
// that no shard exceeds with the given probability.
func TestRows_equalShards(t *testing.T) {
	shards := []int{2, 4, 8, 16, 32, 64}
	for k, want := range map[int][]int{
		10:   {10, 9, 7, 6, 5, 4},
		20:   {18, 14, 10, 8, 6, 5},
		50:   {38, 26, 18, 13, 9, 7},
		100:  {69, 44, 28, 19, 13, 10},
		1000: {561, 307, 171, 98, 59, 37},
	} {
		for i, n := range shards {
			if got := merge.Rows(k, equal(n), 0)[n-1]; got != min(k, want[i]+1) {
				t.Errorf("k %d, %d shards: %d rows, want %d and one more", k, n, got, want[i])
			}
		}
	}
	for k, want := range map[int]int{10: 7, 20: 10, 50: 15, 100: 22, 1000: 107} {
		if got := merge.Rows(k, equal(16), 0.999999)[0]; got != want+1 {
			t.Errorf("k %d at 0.999999: %d rows, want %d and one more", k, got, want)
		}
	}
}

// TestRows_keepsItsPromise adds up the risk itself, term by term, for weights of all kinds.
func TestRows_keepsItsPromise(t *testing.T) {
	for _, weights := range [][]float64{{1}, {1, 1}, {9, 1}, {1000, 1, 1, 1}, {5, 4, 3, 2, 1, 0}, {1e9, 1e9, 1}, equal(33)} {
		for _, k := range []int{1, 2, 10, 100, 1000} {
			sum, risk := 0.0, 0.0
			for _, w := range weights {
				sum += w
			}
			for i, rows := range merge.Rows(k, weights, 0) {
				if rows < 1 || rows > k {
					t.Fatalf("k %d, weights %v: %d rows", k, weights, rows)
				}
				if w := weights[i] / sum; rows < k {
					risk += above(k, rows-1, w)
				}
			}
			if risk > 1-merge.DefaultConfidence {
				t.Errorf("k %d, weights %v: risk %g", k, weights, risk)
			}
		}
	}
}

// above is P(Binomial(k, w) > q), summed the slow way.
func above(k, q int, w float64) (sum float64) {
	for j := q + 1; j <= k; j++ {
		choose := 0.0
		for i := range j {
			choose += math.Log(float64(k-i)) - math.Log(float64(j-i))
		}
		sum += math.Exp(choose + float64(j)*math.Log(w) + float64(k-j)*math.Log1p(-w))
	}
	return sum
}

func TestRows_oddWeights(t *testing.T) {
	for name, weights := range map[string][]float64{
		"none known": {0, 0}, "negative": {-1, -5}, "not a number": {math.NaN(), math.NaN()}, "infinite": {math.Inf(1), 1},
	} {
		if got := merge.Rows(10, weights, 0); got[0] != 10 || got[1] != 10 {
			t.Errorf("%s: %v, want the rows of equal shards, 10 and 10", name, got)
		}
	}
	if got := merge.Rows(10, nil, 0); len(got) != 0 {
		t.Errorf("no shards: %v", got)
	}
	if got := merge.Rows(100, equal(16), 1); got[0] != 100 {
		t.Errorf("certainty costs k of each, got %v", got)
	}
}

func TestQuota_goalG14(t *testing.T) {
	var q merge.Quota
	sum := 0
	for _, rows := range q.Rows("docs", 100, equal(16)) {
		sum += rows
	}
	if share := float64(sum) / 1600; share > 0.22 {
		t.Errorf("asks for %.3f of k from each of 16 shards, want at most 0.22", share)
	}
}

func TestQuota_remembersByKAndWeights(t *testing.T) {
	var q merge.Quota
	for _, k := range []int{10, 100} {
		for _, weights := range [][]float64{equal(4), {9, 1}, {1, 9}} {
			for range 2 {
				got, want := q.Rows("", k, weights), merge.Rows(k, weights, 0)
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("k %d, weights %v: %v, want %v", k, weights, got, want)
				}
			}
		}
	}
}

func TestQuota_asksForAllWhereRefillsAreCommon(t *testing.T) {
	var q merge.Quota
	reduced := merge.Rows(100, equal(8), 0)[0]
	rows := func(class string) int { return q.Rows(class, 100, equal(8))[0] }
	for i := range 100 {
		q.Saw("rare", i%50 == 0)   // 2 %
		q.Saw("common", i%10 == 0) // 10 %
	}
	if got := rows("rare"); got != reduced {
		t.Errorf("2 %% of refills: %d rows, want %d", got, reduced)
	}
	if got := rows("common"); got != 100 {
		t.Errorf("10 %% of refills: %d rows, want all 100", got)
	}
	for range 3000 {
		rows("common")
	}
	if got := rows("common"); got != reduced {
		t.Errorf("after a rest: %d rows, want another try with %d", got, reduced)
	}
}

func BenchmarkQuota(b *testing.B) {
	for _, n := range []int{4, 16, 256} {
		b.Run(fmt.Sprint("known/shards=", n), func(b *testing.B) {
			var q merge.Quota
			weights := equal(n)
			b.ReportAllocs()
			for b.Loop() {
				q.Rows("docs", 100, weights)
			}
		})
	}
	b.Run("new/shards=16", func(b *testing.B) {
		weights := equal(16)
		for b.Loop() {
			merge.Rows(100, weights, 0)
		}
	})
}
