package merge

import (
	"cmp"
	"math"
	"slices"

	"github.com/lanewise/lanewise/search"
)

// Method is a way to fuse rankings whose scores have different scales.
type Method string

// The methods.
const (
	// Completed adds up scores that are scaled to [0, 1], over the union of the rankings: each
	// candidate's score in every leg counts, whether that leg ranked it or was asked for it afterwards
	// (see [Missing]).
	Completed Method = "completed"
	// RRF adds up 1/(60+rank) (Cormack, Clarke, Büttcher, "Reciprocal rank fusion outperforms Condorcet
	// and individual rank learning methods", SIGIR 2009).
	RRF Method = "rrf"
	// DBSF adds up scores scaled by their distribution in the leg: mean minus and plus
	// three standard deviations become 0 and 1.
	DBSF Method = "dbsf"
)

const rrfOffset = 60

// Ranking is one leg, merged over all shards.
type Ranking struct {
	Collection string        // of the leg's candidates
	Hits       []search.Hit  // best first; where one has Legs, by position of the ranking, they are all of its scores
	Completed  []search.Hit  // further candidates with their scores in this leg, in any order
	Metric     search.Metric // of a dense leg; empty: lexical (BM25)
	Weight     float64       // 0: all legs count the same
}

// Missing returns, for every ranking, the keys of the other rankings' hits that it did not rank: what to ask
// its shards for, by [search.Leg] Only, before fusing by [Completed]. Hits that came with all of their scores
// are not among them. Rankings of different collections have no candidates in common.
func Missing(rankings []Ranking) [][]search.Key {
	missing := make([][]search.Key, len(rankings))
	if !slices.ContainsFunc(rankings, func(r Ranking) bool { return slices.ContainsFunc(r.Hits, lacksScores) }) {
		return missing
	}
	for i, r := range rankings {
		known := make(map[search.Key]bool, 2*len(r.Hits))
		for _, h := range slices.Concat(r.Hits, r.Completed) {
			known[h.Key] = true
		}
		for j, other := range rankings {
			if i == j || other.Collection != r.Collection {
				continue
			}
			for _, h := range other.Hits {
				if lacksScores(h) && !known[h.Key] {
					known[h.Key] = true
					missing[i] = append(missing[i], h.Key)
				}
			}
		}
	}
	return missing
}

// lacksScores reports whether nobody looked what the other legs give a hit.
func lacksScores(h search.Hit) bool { return len(h.Legs) == 0 }

// Fuse joins rankings into one, in the order of [Better], without cutting it. Each hit's Legs say where it
// stood in every leg that knows it, its Score and Raw are the fused figure, and its Point is the newest
// of its versions. Scores that are NaN or infinite are as good as none. An unknown or empty
// method is [Completed].
//
// Completed is Σ w·(s−min)/(max−min) with w = 1/legs by default. BM25 and cosine have min = 0 (what is below
// counts as 0), a Euclidean distance d enters as 1/(1+d) with min = 0, a dot product takes the lowest score of
// the union as min; max is the leg's best score. A leg whose max is not above min, and a
// candidate without a score in the leg, add nothing. The other methods have w = 1 by default, and count
// only what a leg ranked.
func Fuse(method Method, rankings []Ranking) []search.Hit {
	u := unite(rankings)
	for i, r := range rankings {
		weight, standard := r.Weight, 1.0
		var scale func(search.LegScore) float64
		switch method {
		case RRF:
			scale = reciprocal
		case DBSF:
			scale = byDistribution(r.Hits)
		case Completed:
			fallthrough
		default:
			standard = 1 / float64(len(rankings))
			scale = byRange(r.Metric, u.scores(i))
		}
		u.add(i, cmp.Or(weight, standard), scale)
	}
	slices.SortFunc(u.hits, Better)
	return u.hits
}

// union is the candidates of all rankings.
type union struct {
	legs  int // that there are
	hits  []search.Hit
	index map[identity]int // into hits
}

// identity is the key of a point over all collections.
type identity struct {
	collection string
	key        search.Key
}

// unite collects the candidates that some leg ranked, with all their scores by leg.
func unite(rankings []Ranking) *union {
	ranked := 0
	for _, r := range rankings {
		ranked += len(r.Hits)
	}
	u := &union{legs: len(rankings), hits: make([]search.Hit, 0, ranked), index: make(map[identity]int, ranked)}
	for i, r := range rankings {
		for rank, h := range r.Hits {
			u.enter(h, search.LegScore{Leg: i, Rank: rank + 1, Score: h.Score}, true)
		}
	}
	for i, r := range rankings {
		for _, h := range r.Completed {
			u.enter(h, search.LegScore{Leg: i, Score: h.Score}, false)
		}
	}
	for i := range u.hits {
		slices.SortFunc(u.hits[i].Legs, func(a, b search.LegScore) int { return cmp.Compare(a.Leg, b.Leg) })
	}
	return u
}

// enter adds a score to a candidate, and those that came with it. Only a ranked hit can become one.
func (u *union) enter(h search.Hit, s search.LegScore, ranked bool) {
	id := identity{h.Collection, h.Key}
	i, known := u.index[id]
	if !finite(s.Score) || !known && !ranked {
		return
	}
	if !known {
		i = len(u.hits)
		u.index[id] = i
		u.hits = append(u.hits, h)
		u.hits[i].Score, u.hits[i].Raw, u.hits[i].Legs = 0, 0, nil
	}
	at := &u.hits[i]
	if at.Legs == nil {
		at.Legs = make([]search.LegScore, 0, u.legs)
	}
	if h.Version > at.Version {
		at.Point, at.Shard = h.Point, h.Shard
	}
	judge(at, s)
	for _, other := range h.Legs {
		if other.Leg < u.legs {
			judge(at, search.LegScore{Leg: other.Leg, Score: other.Score})
		}
	}
}

// judge gives a candidate its score in a leg. That of a ranking is the better one.
func judge(h *search.Hit, s search.LegScore) {
	at := slices.IndexFunc(h.Legs, func(old search.LegScore) bool { return old.Leg == s.Leg })
	switch {
	case at < 0 && finite(s.Score):
		h.Legs = append(h.Legs, s)
	case at >= 0 && h.Legs[at].Rank == 0 && s.Rank > 0:
		h.Legs[at] = s
	}
}

// scores returns the scores of all candidates in a leg.
func (u *union) scores(leg int) (scores []float64) {
	for i := range u.hits {
		for _, s := range u.hits[i].Legs {
			if s.Leg == leg {
				scores = append(scores, s.Score)
			}
		}
	}
	return scores
}

// add adds a leg's scaled scores to the candidates.
func (u *union) add(leg int, weight float64, scale func(search.LegScore) float64) {
	for i := range u.hits {
		h := &u.hits[i]
		for _, s := range h.Legs {
			if s.Leg == leg {
				h.Score += weight * scale(s)
				h.Raw = h.Score
			}
		}
	}
}

// byRange scales the scores of a leg to [0, 1].
func byRange(metric search.Metric, scores []float64) func(search.LegScore) float64 {
	low, high := 0.0, math.Inf(-1)
	if metric == search.Dot && len(scores) > 0 {
		low = slices.Min(scores)
	}
	for _, s := range scores {
		high = max(high, gain(metric, s))
	}
	return func(s search.LegScore) float64 {
		if !(high > low) {
			return 0
		}
		return (gain(metric, s.Score) - low) / (high - low)
	}
}

// gain turns a canonical score into one that grows from the leg's min.
func gain(metric search.Metric, score float64) float64 {
	switch metric {
	case search.Dot:
		return score
	case search.Euclidean:
		return 1 / (1 - min(0, score)) // the score is minus the distance
	case search.Cosine:
		return max(0, score)
	default: // BM25
		return max(0, score)
	}
}

// reciprocal is the share of a rank in RRF.
func reciprocal(s search.LegScore) float64 {
	if s.Rank == 0 {
		return 0
	}
	return 1 / float64(rrfOffset+s.Rank)
}

// byDistribution scales the ranked scores of a leg by their mean and deviation. Where they do not deviate,
// every ranked hit is average.
func byDistribution(hits []search.Hit) func(search.LegScore) float64 {
	n, mean, squares := 0.0, 0.0, 0.0
	for _, h := range hits {
		if !finite(h.Score) {
			continue
		}
		n++ // Welford's update
		delta := h.Score - mean
		mean += delta / n
		squares += delta * (h.Score - mean)
	}
	deviation := math.Sqrt(squares / max(1, n-1))
	return func(s search.LegScore) float64 {
		switch {
		case s.Rank == 0:
			return 0
		case deviation == 0:
			return 0.5
		}
		return (s.Score - (mean - 3*deviation)) / (6 * deviation)
	}
}
