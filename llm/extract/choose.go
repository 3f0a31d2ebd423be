package extract

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/lanewise/lanewise/llm"
)

// candidate is a sentence that may be quoted.
type candidate struct {
	source int // number of the source, as it is cited
	order  int // among all candidates
	text   string
	vector []float32 // of length 1, or zero
	cosine float64   // with the question
	score  float64   // what it is ranked by
}

// maxCandidates bounds what is embedded for one answer. The sources come by rank,
// so the last ones go without.
const maxCandidates = 256

// collect returns the sentences of the sources, each text once.
func collect(sources []llm.Source) []candidate {
	var found []candidate
	seen := map[string]bool{}
	for _, source := range sources {
		for _, s := range sentences(source.Text) {
			if text := strings.ToLower(s); !seen[text] && len(found) < maxCandidates {
				seen[text] = true
				found = append(found, candidate{source: source.N, order: len(found), text: s})
			}
		}
	}
	return found
}

const (
	// relevance is the weight of being close to the question, against being
	// unlike the sentences that are chosen already.
	relevance = 0.7
	// alike is the cosine from which two sentences say the same.
	alike = 0.92
	// wordWeight is the weight of the question's own words in a sentence, against
	// the cosine: small embedding models know meanings, but blur names.
	wordWeight = 0.4
	// near is the share of the best score that the others must have.
	near = 0.8
)

// choose returns the sentences to quote, best source first and in the order in
// which their source has them.
func (p *Provider) choose(candidates []candidate) []candidate {
	left := slices.DeleteFunc(slices.Clone(candidates), func(c candidate) bool { return !(c.cosine >= p.config.Floor) })
	best := 0.0
	for _, c := range left {
		best = max(best, c.score)
	}
	left = slices.DeleteFunc(left, func(c candidate) bool { return c.score < near*best })
	var chosen []candidate
	for len(chosen) < p.config.Sentences && len(left) > 0 {
		at, gain := 0, math.Inf(-1)
		for i, c := range left {
			if g := relevance*c.score - (1-relevance)*likeness(c, chosen); g > gain {
				at, gain = i, g
			}
		}
		chosen = append(chosen, left[at])
		left = slices.Delete(left, at, at+1)
		left = slices.DeleteFunc(left, func(c candidate) bool { return likeness(c, chosen) > alike })
	}
	return arrange(chosen)
}

// likeness returns the cosine of c with the most similar of the chosen.
func likeness(c candidate, chosen []candidate) float64 {
	most := 0.0
	for _, other := range chosen {
		most = max(most, dot(c.vector, other.vector))
	}
	return most
}

// arrange groups sentences by source, the source of the best one first.
func arrange(chosen []candidate) []candidate {
	best := map[int]float64{}
	for _, c := range chosen {
		best[c.source] = max(best[c.source], c.score)
	}
	slices.SortFunc(chosen, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(best[b.source], best[a.source]), cmp.Compare(a.order, b.order))
	})
	return chosen
}

// unit returns v with length 1, or zero if it has no direction.
func unit(v []float32) []float32 {
	length := math.Sqrt(dot(v, v))
	out := make([]float32, len(v))
	if length == 0 || math.IsNaN(length) || math.IsInf(length, 0) {
		return out
	}
	for i, x := range v {
		out[i] = float32(float64(x) / length)
	}
	return out
}

// dot returns the inner product, over the shorter length.
func dot(a, b []float32) float64 {
	sum := 0.0
	for i := range min(len(a), len(b)) {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}
