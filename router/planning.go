package router

import (
	"context"
	"fmt"

	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// PlanMove computes what would move if shards, whose stores may be missing, became the
// list of the shard map, and counts the points. It changes nothing. The bytes of a point are its collection's mean.
func (r *Router) PlanMove(ctx context.Context, shards []Shard) (*shardmap.Plan, error) {
	crowd, err := r.reads.enter(ctx, 1)
	if err != nil {
		return nil, err
	}
	defer r.reads.leave(crowd)
	t := r.topo.Load()
	p, err := shardmap.NewPlan(t.m, Config{Shards: shards}.mapShards())
	if err != nil {
		return nil, err //nolint:wrapcheck // Invalid: it names the field
	}
	for _, c := range t.m.Collections() {
		if c.Placement.By == search.ByExternal {
			continue
		}
		for i, s := range t.shards {
			if err := (counting{p, t, c}).shard(ctx, i); err != nil {
				return nil, fmt.Errorf("count collection %s on shard %s: %w", c.Name, s.name, err)
			}
		}
	}
	return p, nil
}

// counting adds the points of a collection to a plan's figures.
type counting struct {
	plan *shardmap.Plan
	topo *topology
	c    search.Collection
}

// shard adds those of one shard.
func (n counting) shard(ctx context.Context, shard int) error {
	s := n.topo.shards[shard]
	stats, err := statsOf(ctx, s, n.c.Name)
	if err != nil {
		return err
	}
	mean := stats.Bytes / int64(max(1, stats.Points))
	scroll := func(ctx context.Context, scan search.Scan) (search.Page, error) {
		return read(ctx, s, "scroll", func(ctx context.Context, store search.Store) (search.Page, error) { return store.Scroll(ctx, scan) })
	}
	return pages(ctx, scroll, scanOf(n.c), func(points []search.Point) error {
		for _, point := range points {
			if n.topo.m.Owner(n.c, point.Key, point.Meta) == shard {
				n.plan.Count(n.c, point.Key, point.Meta, mean)
			}
		}
		return nil
	})
}
