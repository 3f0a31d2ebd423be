package eval

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Figure is a mean over queries with its 95 % confidence interval.
type Figure struct {
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Scores judges the rankings of one mode.
type Scores struct {
	Mode    string `json:"mode"`
	K       int    `json:"k"`
	Queries int    `json:"queries"`
	NDCG    Figure `json:"ndcg"`   // of the first k (K. Järvelin and J. Kekäläinen, TOIS 2002), a gain being the relevance, as trec_eval has it
	Recall  Figure `json:"recall"` // share of the relevant documents among the first k
	MRR     Figure `json:"mrr"`    // one divided by the place of the first relevant document; 0 beyond what was asked for
}

// Judge scores rankings, by query: ranked[i] are the ids for queries[i], best first.
func Judge(mode string, queries []Query, ranked [][]string, k int) Scores {
	var ndcg, recall, mrr []float64
	for i, q := range queries {
		ndcg = append(ndcg, q.ndcg(ranked[i], k))
		recall = append(recall, q.recall(ranked[i], k))
		mrr = append(mrr, q.reciprocal(ranked[i]))
	}
	return Scores{Mode: mode, K: k, Queries: len(queries), NDCG: figure(ndcg), Recall: figure(recall), MRR: figure(mrr)}
}

// Gain returns by how much the nDCG@k of one list of rankings is above that of another, query by query: above
// zero, interval and all, the first one is better.
func Gain(queries []Query, first, second [][]string, k int) Figure {
	var gains []float64
	for i, q := range queries {
		gains = append(gains, q.ndcg(first[i], k)-q.ndcg(second[i], k))
	}
	return figure(gains)
}

func (q Query) ndcg(ranking []string, k int) float64 {
	gain := 0.0
	for i, id := range ranking[:min(k, len(ranking))] {
		gain += q.Gains[id] * discount(i)
	}
	best := make([]float64, 0, len(q.Gains))
	for _, g := range q.Gains {
		best = append(best, g)
	}
	slices.Sort(best)
	slices.Reverse(best)
	ideal := 0.0
	for i, g := range best[:min(k, len(best))] {
		ideal += g * discount(i)
	}
	return gain / ideal
}

// discount is what a document is worth at a place, from 0.
func discount(i int) float64 { return 1 / math.Log2(float64(i)+2) }

func (q Query) recall(ranking []string, k int) float64 {
	found := 0
	for _, id := range ranking[:min(k, len(ranking))] {
		if q.Gains[id] > 0 {
			found++
		}
	}
	return float64(found) / float64(len(q.Gains))
}

func (q Query) reciprocal(ranking []string) float64 {
	i := slices.IndexFunc(ranking, func(id string) bool { return q.Gains[id] > 0 })
	if i < 0 {
		return 0
	}
	return 1 / float64(i+1)
}

// resamples of the bootstrap.
const resamples = 2000

// figure returns the mean with the percentile bootstrap's interval (B. Efron, 1979): how the mean moves when
// the queries are drawn again, with replacement. It draws the same for the same figures.
func figure(x []float64) Figure {
	rng := rand.New(rand.NewPCG(uint64(len(x)), 1)) //nolint:gosec // repeatable
	means := make([]float64, resamples)
	for i := range means {
		sum := 0.0
		for range x {
			sum += x[rng.IntN(len(x))]
		}
		means[i] = sum / float64(len(x))
	}
	slices.Sort(means)
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return Figure{Mean: sum / float64(len(x)), Low: means[resamples/40], High: means[resamples-1-resamples/40]}
}
