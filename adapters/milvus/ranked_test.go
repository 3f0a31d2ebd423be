package milvus

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"

	"github.com/lanewise/lanewise/search"
)

// What the index cannot rank has a zero vector in it. The condition that leaves such rows
// out is sent only where one may be among those that came.
func TestSearch_leavesOutZeroVectorsWhereTheyMayBe(t *testing.T) {
	for name, c := range map[string]struct {
		metric search.Metric
		scores []float32 // Milvus' figures
		twice  bool
	}{
		"dot, all above":          {search.Dot, []float32{2, 1}, false},
		"dot, one at zero":        {search.Dot, []float32{2, 0}, true},
		"dot, one below":          {search.Dot, []float32{2, -1}, true},
		"cosine, all above":       {search.Cosine, []float32{.9, .1}, false},
		"cosine, one at zero":     {search.Cosine, []float32{.9, 0}, true},
		"euclidean, all nearer":   {search.Euclidean, []float32{.1, .9}, false},
		"euclidean, one as far":   {search.Euclidean, []float32{.1, 1}, true},
		"euclidean, nearly":       {search.Euclidean, []float32{.1, 0.99999}, true},
		"euclidean, one behind":   {search.Euclidean, []float32{.1, 4}, true},
		"nothing was found":       {search.Dot, nil, false},
		"what is no number is no": {search.Dot, []float32{nan(), 1}, true},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []bool // with the condition
			f := &fake{
				describe: func() (search.Collection, int64) {
					return search.Collection{Name: "docs", Dims: 2, Metric: c.metric}, 1
				},
				search: func(_ context.Context, q *milvuspb.SearchRequest) (*milvuspb.SearchResults, error) {
					guarded := strings.Contains(q.GetDsl(), isRanked)
					if asked = append(asked, guarded); guarded {
						return found(1, []int64{1}, []string{"\x01a"}, []float32{.5}, 1), nil
					}
					n := len(c.scores)
					return found(1, []int64{int64(n)}, []string{"\x01a", "\x01b"}[:n], c.scores, []int64{1, 1}[:n]...), nil
				},
				query: func(*milvuspb.QueryRequest) *milvuspb.QueryResults {
					return &milvuspb.QueryResults{Status: &commonpb.Status{}}
				},
			}
			s := serve(t, f, Config{})
			for range 2 {
				if _, err := s.Search(t.Context(), query); err != nil {
					t.Fatal(err)
				}
			}
			want := []bool{false, false}
			if c.twice { // and the next search does not try again
				want = []bool{false, true, true}
			}
			if !slices.Equal(asked, want) {
				t.Errorf("asked with the condition: %v, want %v", asked, want)
			}
		})
	}
}

func nan() float32 {
	var zero float32
	return zero / zero
}
