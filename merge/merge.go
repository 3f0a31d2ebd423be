// Package merge joins ranked lists, and knows when the join is complete.
//
// Everything here is a pure function of its arguments: lists in, lists out, no clock, no
// network and no order of arrival. Scores are canonical: larger is better.
package merge

import (
	"cmp"
	"math"
	"slices"

	"github.com/lanewise/lanewise/search"
)

// Better is the total order of hits: by descending score, then tenant, id, shard and
// collection. It returns a negative number if a stands before b. Scores must not be NaN.
func Better(a, b search.Hit) int { return better(&a, &b) }

func better(a, b *search.Hit) int {
	if a.Score != b.Score {
		if a.Score > b.Score {
			return -1
		}
		return 1
	}
	return cmp.Or(a.Compare(b.Key), cmp.Compare(a.Shard, b.Shard), cmp.Compare(a.Collection, b.Collection))
}

type identity struct {
	collection string
	key        search.Key
}

// TopK returns the k best hits of all lists in the order of [Better]. Hits with a score that is
// NaN or infinite are dropped and counted. Of several hits of one point (collection,
// tenant, id) the newest version stays, and of equal versions the better one. Lists may
// come in any order and need not be sorted.
func TopK(k int, lists ...search.List) search.List {
	out := search.List{Exhausted: true, Prefix: true}
	newest := make(map[identity]search.Hit)
	for _, l := range lists {
		out.Dropped += l.Dropped
		for _, h := range l.Hits {
			if math.IsNaN(h.Score) || math.IsInf(h.Score, 0) {
				out.Dropped++
				continue
			}
			id := identity{h.Collection, h.Key}
			if old, ok := newest[id]; !ok || h.Version > old.Version || h.Version == old.Version && better(&h, &old) < 0 {
				newest[id] = h
			}
		}
		out.Exhausted = out.Exhausted && l.Exhausted
		out.Prefix = out.Prefix && l.Exhausted
	}
	for _, h := range newest {
		out.Hits = append(out.Hits, h)
	}
	slices.SortFunc(out.Hits, Better)
	if len(out.Hits) > max(k, 0) {
		out.Hits = out.Hits[:max(k, 0)]
		out.Exhausted = false
	}
	return out
}
