package local

import "github.com/lanewise/lanewise/search"

// complete gives every hit its scores in all legs that rank the same points. The lists are those of the rankings.
func complete(lists []search.List, rankings []*ranking) {
	for _, r := range rankings {
		if r.words != nil {
			r.words.open()
		}
	}
	for i, r := range rankings {
		hits := lists[i].Hits
		scores := make([]search.LegScore, 0, len(hits)*len(rankings)) // of all hits
		for j := range hits {
			from := len(scores)
			for leg, other := range rankings {
				if score, ok := other.scoreOf(r, r.best[j]); ok {
					scores = append(scores, search.LegScore{Leg: leg, Score: score})
				}
			}
			hits[j].Legs = scores[from:len(scores):len(scores)]
		}
	}
}

// scoreOf returns the score that the ranking has for a row which another one, or the ranking itself, found.
func (r *ranking) scoreOf(by *ranking, x candidate) (score float64, ok bool) {
	switch {
	case r == by:
		return x.score, true
	case r.part != by.part:
		return 0, false
	case r.words != nil:
		return r.words.score(rowNumber(int(x.block), int(x.row)))
	}
	b := r.part.blocks[x.block]
	if b.bare[x.row] {
		return 0, false
	}
	return r.exact(b.vector(int(x.row))), true
}
