package pgvector

import (
	"cmp"
	"math"
	"slices"

	"github.com/lanewise/lanewise/search"
)

// row is a point as a search found it.
type row struct {
	search.Point
	distance float64 // pgvector's, computed in float32
	score    float64 // canonical, computed again in float64
}

// score compares two vectors in float64, every sum taken from left to right, so that
// the same points have the same scores on every exact store.
func score(m search.Metric, q, x []float32) float64 {
	var dot, qq, xx, dist float64
	for i := range q {
		a, b := float64(q[i]), float64(x[i])
		dot += a * b // exact products: fusing changes nothing
		qq += a * a
		xx += b * b
		d := a - b
		dist += float64(d * d)
	}
	switch {
	case m == search.Dot:
		return dot
	case m == search.Euclidean:
		return -math.Sqrt(dist)
	case qq*xx == 0:
		return 0
	default:
		return dot / math.Sqrt(qq*xx)
	}
}

// canonical turns pgvector's distance into a score.
func canonical(m search.Metric, distance float64) float64 {
	if m == search.Cosine {
		return 1 - distance
	}
	return -distance
}

// raw is the figure of the metric.
func raw(m search.Metric, score float64) float64 {
	if m == search.Euclidean {
		return -score
	}
	return score
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
		rows[i].score = score(m, query, rows[i].Dense)
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

// margin bounds the error of pgvector's float32 sums: for n terms, n + 4 roundings of
// 2^-24 on the sum of the terms' sizes (Higham, Accuracy and Stability of Numerical
// Algorithms, 2002, section 3.1). For dot it takes the longest vector read as a measure of the others.
func margin(m search.Metric, query []float32, rows []row, last float64) float64 {
	unit := float64(len(query)+4) * 0x1p-24
	switch m {
	case search.Cosine:
		return 3 * unit // of the product and of both norms
	case search.Euclidean:
		return unit * math.Abs(last)
	default:
		longest := 0.0
		for i := range rows {
			longest = max(longest, score(search.Dot, rows[i].Dense, rows[i].Dense))
		}
		return unit * math.Sqrt(longest*score(search.Dot, query, query))
	}
}
