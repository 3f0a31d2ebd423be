package router

import (
	"slices"

	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/search"
)

// A leg that names its points asks each shard for its own only: what a shard says of a
// point that another one owns is not taken (see mayAnswer). A shard that owns none of the
// points of any leg is not asked.

// ownedByKey reports whether a point's key tells which shard owns it.
func (g *gathering) ownedByKey() bool {
	by := g.collection.Placement.By
	return by != search.ByKey && by != search.ByExternal
}

// partKeys parts the points that a leg names by the position of the shard that owns them. It is nil
// where that cannot be told, and where no shard would be left to judge the leg.
func (g *gathering) partKeys(keys []search.Key) [][]search.Key {
	if !g.ownedByKey() {
		return nil
	}
	parts := make([][]search.Key, len(g.shards))
	for at := range parts {
		parts[at] = []search.Key{} // nil would mean all of the shard's points
	}
	some := false
	for _, k := range keys {
		if at := slices.Index(g.shards, g.topo.m.Owner(g.collection, k, nil)); at >= 0 {
			parts[at], some = append(parts[at], k), true
		}
	}
	if !some {
		return nil
	}
	return parts
}

// rowsAsked is how many rows of a leg the shards were asked for: of points by name not more than there are.
func (g *gathering) rowsAsked(leg int, t merge.Tally) int {
	if g.named[leg] == nil {
		return t.RowsAsked
	}
	rows := 0
	for _, keys := range g.named[leg] {
		rows += len(keys)
	}
	return min(rows, t.RowsAsked)
}

// idle reports whether a shard owns none of the points that a leg names.
func (g *gathering) idle(leg, at int) bool {
	return g.named[leg] != nil && len(g.named[leg][at]) == 0
}

// asks returns a round without the shards that have nothing to do. Those give their seats up and count
// as heard.
func (g *gathering) asks(round []asking, w *patience) []asking {
	return slices.DeleteFunc(round, func(a asking) bool {
		if len(a.legs) > 0 {
			return false
		}
		if g.full[a.at] == nil {
			g.shard(a).pool.Unseat()
		}
		w.heard(a, nil)
		return true
	})
}
