package local

import (
	"math"

	"github.com/lanewise/lanewise/search"
)

// The scan compares in float32 and knows how far it may be off. For any order of
// summation the computed inner product of n products differs from the true one by
// at most g(n)·|q|·|x|, g(n) = nu/(1-nu), u = 2^-24 (Higham, Accuracy and
// Stability of Numerical Algorithms, 2nd ed. 2002, section 3.1, with the
// Cauchy-Schwarz inequality). That holds while nothing over- or underflows, which
// the ranges below make sure of; a row outside of them is always scored again.
const (
	unit32   = 1.0 / (1 << 24) // half a unit in the last place of 1
	safety   = 1.05            // covers 1/(1-nu) and the roundings of the bound itself
	smallest = 1.0 / (1 << 50) // of norms
	largest  = 1 << 60         // of norms
	nearest  = 1.0 / (1 << 40) // of distances
)

// probe is a leg made ready for the scan.
type probe struct {
	metric search.Metric
	query  []float32 // as it was asked
	scaled []float32 // by a power of two, to a norm between 1 and 2
	norm2  float64   // of query
	unit   float64   // bounds = score × unit
	slack  float64   // of a bound, relative to what the metric compares
	k      int       // rows wanted, one more than asked for
}

func newProbe(m search.Metric, query []float32, k int) *probe {
	p := &probe{metric: m, query: query, scaled: query, norm2: dot64(query, query), unit: 1, k: k}
	p.slack = float64(len(query)+4) * unit32 * safety
	norm := math.Sqrt(p.norm2)
	if m == search.Euclidean || norm == 0 {
		return p
	}
	_, exponent := math.Frexp(norm)
	scale := math.Ldexp(1, 1-exponent)
	p.scaled = make([]float32, len(query))
	for i, x := range query {
		p.scaled[i] = float32(float64(x) * scale)
	}
	p.slack *= norm * scale
	p.unit = scale
	if m == search.Cosine {
		p.unit = norm * scale
	}
	return p
}

// rowNorm is what a metric keeps beside a vector: for the cosine the inverse of
// the norm, for the inner product the norm, and NaN where the scan's bounds do
// not hold for the row.
func rowNorm(m search.Metric, v []float32) float32 {
	if m == search.Euclidean {
		return 0
	}
	norm := math.Sqrt(dot64(v, v))
	switch {
	case norm == 0:
		return 0
	case norm < smallest || norm > largest:
		return float32(math.NaN())
	case m == search.Cosine:
		return float32(1 / norm)
	default:
		return float32(norm)
	}
}

// bounds returns an interval that holds the row's score × unit.
func (p *probe) bounds(c *chunk, row int) (lower, upper float64) {
	norm := float64(c.norms[row])
	var s, off float64
	switch p.metric {
	case search.Cosine:
		s = float64(dot32(p.scaled, c.vector(row))) * norm
		off = p.slack
	case search.Dot:
		s = float64(dot32(p.scaled, c.vector(row)))
		off = p.slack * norm
	default:
		d := float64(distance32(p.scaled, c.vector(row)))
		if d < nearest {
			return -2 * nearest, 0
		}
		s, off = -d, p.slack*d
		if d > largest {
			off = math.Inf(1)
		}
	}
	if s-s != 0 || off-off != 0 { // NaN or infinite
		return math.Inf(-1), math.Inf(1)
	}
	return s - off, s + off
}

// exact returns the row's score, the same on every machine.
func (p *probe) exact(v []float32) float64 {
	switch p.metric {
	case search.Cosine:
		// sqrt(a·a) is a, so that a vector's cosine with itself is exactly 1.
		dot, square := dots64(p.query, v)
		if n := p.norm2 * square; n > 0 {
			return dot / math.Sqrt(n)
		}
		return 0
	case search.Dot:
		return dot64(p.query, v)
	default:
		return -distance64(p.query, v)
	}
}

// raw returns the engine's own figure for a canonical score.
func (p *probe) raw(score float64) float64 {
	if p.metric == search.Euclidean {
		return -score
	}
	return score
}

// dot64 adds from left to right. The product of two float32 is exact in float64,
// so it makes no difference whether a processor fuses it with the addition.
func dot64(a, b []float32) float64 {
	var sum float64
	b = b[:len(a)]
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
}

// dots64 returns dot64(a, b) and dot64(b, b) in one pass: neither sum has to wait for the other.
func dots64(a, b []float32) (dot, square float64) {
	b = b[:len(a)]
	for i, x := range a {
		y := float64(b[i])
		dot += float64(x) * y
		square += y * y
	}
	return dot, square
}

// distance64 adds from left to right; the conversion keeps a processor from
// fusing the square with the addition.
func distance64(a, b []float32) float64 {
	var sum float64
	b = b[:len(a)]
	for i, x := range a {
		d := float64(x) - float64(b[i])
		sum += float64(d * d)
	}
	return math.Sqrt(sum)
}
