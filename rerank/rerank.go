// Package rerank puts candidates into a better order: a balanced lane over models
// that read a question and a text together (cross-encoders), which is slower and
// more exact than to compare their vectors.
package rerank

import (
	"context"

	"github.com/lanewise/lanewise/fault"
)

// MostTexts bounds the texts that one request may have judged: a model reads each of them.
const MostTexts = 1000

// Batch is a question and the texts to judge by it.
type Batch struct {
	Query string
	Texts []string
}

// Scores holds how well each text of a batch answers its question: larger is
// better, on a scale of the model's own. Scores of different models cannot be compared.
type Scores struct {
	Values []float64 // by text, as long as the batch
	Tokens int       // used by the batch, as the upstream counts or as estimated
}

// check refuses an answer that is not one finite score for each text.
func (s Scores) check(texts int) error {
	if len(s.Values) != texts {
		return fault.New(fault.Unavailable, "answer has %d scores for %d texts", len(s.Values), texts)
	}
	for i, x := range s.Values {
		if x-x != 0 { // NaN and both infinities
			return fault.New(fault.Unavailable, "score %d of the answer is not finite", i)
		}
	}
	return nil
}

// Provider judges texts. Safe for concurrent use.
type Provider interface {
	Rerank(ctx context.Context, b Batch) (Scores, error)
}

// Rank is one place of the list that servers answer: the text's index, and its score.
type Rank struct {
	Index int
	Score *float64 // nil: the server gave none
}

// Collect puts ranks into the order of a batch of so many texts. Every text must be there once, with a score; otherwise the
// answer is fault.Unavailable.
func Collect(texts int, ranks []Rank) (Scores, error) {
	if len(ranks) != texts {
		return Scores{}, fault.New(fault.Unavailable, "answer has %d scores for %d texts", len(ranks), texts)
	}
	s := Scores{Values: make([]float64, texts)}
	seen := make([]bool, texts)
	for _, r := range ranks {
		if r.Index < 0 || r.Index >= texts || seen[r.Index] || r.Score == nil {
			return Scores{}, fault.New(fault.Unavailable, "answer has an index %d that is out of range, there twice or without a score", r.Index)
		}
		seen[r.Index], s.Values[r.Index] = true, *r.Score
	}
	return s, nil
}
