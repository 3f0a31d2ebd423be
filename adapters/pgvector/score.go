package pgvector

import (
	"cmp"
	"math"
	"slices"

	"github.com/lanewise/lanewise/internal/exact"
	"github.com/lanewise/lanewise/search"
)

// row is a point as a search found it.
type row struct {
	search.Point
	distance float64 // pgvector's, computed in float32
	score    float64 // canonical, computed again in float64
}

// canonical turns pgvector's distance into a score.
func canonical(m search.Metric, distance float64) float64 {
	if m == search.Cosine {
		return 1 - distance
	}
	return -distance
}

// distanceOf is the expression of an exact scan. It is not the bare operator, so that no
// approximate index can answer it; and a zero vector, whose cosine distance is not a number, is at 1.
func distanceOf(m search.Metric, query string) string {
	switch m {
	case search.Cosine:
		return "coalesce(nullif(dense <=> " + query + ", 'NaN'), 1)"
	case search.Dot:
		return "((dense <#> " + query + ") + 0)"
	default:
		return "((dense <-> " + query + ") + 0)"
	}
}

// operatorOf is the expression that an approximate index answers.
func operatorOf(m search.Metric, query string) string {
	return map[search.Metric]string{search.Cosine: "dense <=> ", search.Dot: "dense <#> ", search.Euclidean: "dense <-> "}[m] + query
}

// rank scores rows, which come by distance, and puts them into the final order.
func rank(m search.Metric, query []float32, rows []row) {
	for i := range rows {
		rows[i].score = exact.Score(m, query, rows[i].Dense)
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.score, a.score), a.Compare(b.Key))
	})
}

// certain reports whether no row behind those that were read can belong to the best k:
// the last one read is further from the k-th than float32 can be wrong. The rows are
// ranked; furthest is the largest distance of any of them.
func (r *ranking) certain(furthest float64) bool {
	k := r.leg.K
	if k >= len(r.rows) || math.IsInf(furthest, 0) { // infinite where float32 overflowed
		return false
	}
	last := canonical(r.t.Metric, furthest)
	return r.rows[k-1].score-last > margin(r.t.Metric, r.leg.Dense, r.rows, last)
}

// margin bounds the error of pgvector's float32 sums. For dot it takes the longest
// vector read as a measure of the others.
func margin(m search.Metric, query []float32, rows []row, last float64) float64 {
	longest := 0.0
	for i := range rows {
		longest = max(longest, exact.Score(search.Dot, rows[i].Dense, rows[i].Dense))
	}
	return exact.Margin(m, query, last, longest)
}
