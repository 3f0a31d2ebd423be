package rerank_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/lanewise/lanewise/rerank"
)

// overlap stands for a model: it counts the words of the question in a text.
type overlap struct{}

func (overlap) Rerank(_ context.Context, b rerank.Batch) (rerank.Scores, error) {
	s := rerank.Scores{Values: make([]float64, len(b.Texts))}
	for i, text := range b.Texts {
		for word := range strings.FieldsSeq(b.Query) {
			s.Values[i] += float64(strings.Count(text, word))
		}
	}
	return s, nil
}

func Example() {
	r, err := rerank.New(rerank.Config{Upstreams: []rerank.Upstream{{Name: "a", Provider: overlap{}}, {Name: "b", Provider: overlap{}}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close() //nolint:errcheck // the example is over
	s, err := r.Rerank(context.Background(), rerank.Batch{Query: "toll lane", Texts: []string{"a road", "a toll lane", "a lane"}})
	fmt.Println(s.Values, err)
	// Output: [0 2 1] <nil>
}
