// Package exact computes scores in float64, every sum taken from left to right and
// nothing fused, so that the same points have the same scores, bit for bit, on every
// store that scores by itself and on every processor.
package exact

import (
	"math"

	"github.com/lanewise/lanewise/search"
)

// Score is the canonical score of two vectors of the same length: larger is better. On
// cosine it is 0 where either vector is zero.
func Score(m search.Metric, q, x []float32) float64 {
	var dot, qq, xx, dist float64
	x = x[:len(q)]
	for i := range q {
		a, b := float64(q[i]), float64(x[i])
		dot += a * b // products of float32 are exact in float64: fusing changes nothing
		qq += a * a
		xx += b * b
		d := a - b
		dist += float64(d * d) // the conversion keeps it from being fused
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

// Raw is the figure of the metric that search.Hit asks for beside a score: the distance
// on Euclidean, else the score.
func Raw(m search.Metric, score float64) float64 {
	if m == search.Euclidean {
		return -score
	}
	return score
}

// Sparse is the inner product of two vectors with rising indices.
func Sparse(a, b search.Sparse) float64 {
	sum, j := 0.0, 0
	for i, at := range a.Index {
		for j < len(b.Index) && b.Index[j] < at {
			j++
		}
		if j < len(b.Index) && b.Index[j] == at {
			sum += float64(a.Value[i]) * float64(b.Value[j])
		}
	}
	return sum
}

// Share reports whether two vectors with rising indices have a dimension in common where
// neither is 0. A lexical leg ranks no other points.
func Share(a, b search.Sparse) bool {
	j := 0
	for i, at := range a.Index {
		for j < len(b.Index) && b.Index[j] < at {
			j++
		}
		if j < len(b.Index) && b.Index[j] == at && a.Value[i] != 0 && b.Value[j] != 0 {
			return true
		}
	}
	return false
}

// Margin bounds how far a score that an engine summed in float32 can be from Score: for
// n terms, n + 4 roundings of 2^-24 on the sum of the terms' sizes (Higham, Accuracy and
// Stability of Numerical Algorithms, 2002, section 3.1). On Euclidean it is relative to
// score; on dot, longest is the largest squared length of the vectors in question.
func Margin(m search.Metric, q []float32, score, longest float64) float64 {
	unit := float64(len(q)+4) * 0x1p-24
	switch m {
	case search.Cosine:
		return 3 * unit // of the product and of both lengths
	case search.Euclidean:
		return unit * math.Abs(score)
	default:
		return unit * math.Sqrt(longest*Score(search.Dot, q, q))
	}
}
