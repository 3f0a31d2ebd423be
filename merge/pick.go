package merge

import (
	"math"
	"slices"

	"github.com/lanewise/lanewise/search"
)

// AtLeast cuts a list where its scores fall below a threshold: a hit with exactly that score stays. What is left is
// Exhausted if anything was cut, since nothing behind it can pass.
func AtLeast(l search.List, score float64) search.List {
	n := len(l.Hits)
	for n > 0 && !(l.Hits[n-1].Score >= score) {
		n--
	}
	if n < len(l.Hits) {
		l.Hits, l.Exhausted = l.Hits[:n], true
	}
	return l
}

// Group keeps at most size hits of every value of a metadata field, and at most k in all, best
// first. Hits without a scalar at the field's dotted path are never limited.
//
// It reports short where fewer than k hits are left although the list says that there may be more: then a
// longer list may fill the answer up.
func Group(l search.List, field string, size, k int) (hits []search.Hit, short bool) {
	counts := make(map[search.Value]int)
	for _, h := range l.Hits {
		if len(hits) >= k {
			return hits, false
		}
		if v, ok := search.Scalar(h.Meta, field); ok {
			if counts[v]++; counts[v] > size {
				continue
			}
		}
		hits = append(hits, h)
	}
	return hits, len(hits) < k && !l.Exhausted
}

// MMR picks k hits that are relevant and unlike each other (maximal marginal relevance: Carbonell,
// Goldstein, SIGIR 1998), the first being the most relevant: every next one maximises
// lambda·relevance − (1−lambda)·(its largest cosine with one picked before). At lambda 1 only relevance counts.
// The result is in the order of picking; scores stay as they are.
//
// Relevance is the cosine with the query vector or, where query is empty, the score scaled to [0, 1] over
// the hits. The hits need their Dense vectors; one without is like no other.
func MMR(k int, lambda float64, query []float32, hits []search.Hit) []search.Hit {
	relevance := relevances(query, hits)
	nearest := make([]float64, len(hits)) // largest cosine with a picked hit
	left := make([]int, len(hits))
	for i := range hits {
		left[i], nearest[i] = i, math.Inf(-1)
	}
	picked := make([]search.Hit, 0, max(0, min(k, len(hits))))
	for len(picked) < k && len(left) > 0 {
		best, top := 0, math.Inf(-1)
		for n, i := range left {
			value := relevance[i]
			if len(picked) > 0 {
				value = lambda*relevance[i] - (1-lambda)*nearest[i]
			}
			if value > top {
				best, top = n, value
			}
		}
		chosen := left[best]
		left = slices.Delete(left, best, best+1)
		picked = append(picked, hits[chosen])
		for _, i := range left {
			nearest[i] = max(nearest[i], cosine(hits[i].Dense, hits[chosen].Dense))
		}
	}
	return picked
}

// relevances rates every hit by itself.
func relevances(query []float32, hits []search.Hit) []float64 {
	rated := make([]float64, len(hits))
	low, high := math.Inf(1), math.Inf(-1)
	for i, h := range hits {
		rated[i] = h.Score
		if len(query) > 0 {
			rated[i] = cosine(query, h.Dense)
		}
		low, high = min(low, rated[i]), max(high, rated[i])
	}
	if len(query) > 0 {
		return rated
	}
	for i := range rated {
		if rated[i] -= low; high > low {
			rated[i] /= high - low
		}
	}
	return rated
}

// cosine is 0 for vectors that are zero, missing or of unlike lengths.
func cosine(a, b []float32) float64 {
	if len(a) != len(b) {
		return 0
	}
	var dot, aa, bb float64
	for i, x := range a {
		y := b[i]
		dot += float64(x) * float64(y)
		aa += float64(x) * float64(x)
		bb += float64(y) * float64(y)
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return dot / math.Sqrt(aa*bb)
}
