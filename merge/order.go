// Package merge joins ranked lists, and knows when the join is complete.
//
// The road of a leg: every shard's list is checked into a [Run], a [Merger] takes the k
// best hits of all runs, and a [Gather] tells which shards could still hide a hit
// and must be asked again. On the merged legs work [Fuse], [Group], [MMR] and
// [AtLeast].
//
// Nothing here looks at a clock, a network or the order of arrival. Scores are
// canonical: larger is better.
package merge

import (
	"cmp"

	"github.com/lanewise/lanewise/search"
)

// Better is the total order of hits: by descending score, then tenant, id, shard and
// collection, all bytewise. It is negative where a stands before b. Equal scores are compared
// by their bits and never within a tolerance, which would not be transitive.
// Scores must be finite.
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

// same reports whether two hits are of one point.
func same(a, b *search.Hit) bool {
	return a.ID == b.ID && a.Tenant == b.Tenant && a.Collection == b.Collection
}

// finite reports whether a score can be ranked.
func finite(score float64) bool { return score-score == 0 } //nolint:staticcheck // NaN and infinities yield NaN
