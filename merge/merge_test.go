package merge_test

import (
	"math"
	"testing"

	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/search"
)

func hit(id string, score float64) search.Hit {
	return search.Hit{Point: search.Point{Key: search.Key{ID: id}}, Score: score}
}

func TestTopK_dropsAndCounts(t *testing.T) {
	got := merge.TopK(2,
		search.List{Hits: []search.Hit{hit("a", .9), hit("n", math.NaN()), hit("b", .1)}, Exhausted: true},
		search.List{Hits: []search.Hit{hit("c", math.Inf(1)), hit("d", .5)}, Exhausted: true})
	if len(got.Hits) != 2 || got.Hits[0].ID != "a" || got.Hits[1].ID != "d" || got.Dropped != 2 || got.Exhausted {
		t.Fatalf("got %+v", got)
	}
}
