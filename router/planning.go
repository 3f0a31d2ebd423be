package router

import (
	"context"
	"fmt"

	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// PlanMove computes what would move if shards became the list of the shard map, and counts the
// points. It changes nothing. The bytes of a point are its collection's mean.
func (r *Router) PlanMove(ctx context.Context, shards []shardmap.Shard) (*shardmap.Plan, error) {
	crowd, err := r.reads.enter(ctx, 1)
	if err != nil {
		return nil, err
	}
	defer r.reads.leave(crowd)
	t := r.topo.Load()
	p, err := shardmap.NewPlan(t.m, shards)
	if err != nil {
		return nil, err //nolint:wrapcheck // Invalid: it names the field
	}
	for _, c := range t.m.Collections() {
		if c.Placement.By == search.ByExternal {
			continue
		}
		for i, s := range t.shards {
			if err := countShard(ctx, p, c, t, i); err != nil {
				return nil, fmt.Errorf("count collection %s on shard %s: %w", c.Name, s.name, err)
			}
		}
	}
	return p, nil
}

// countShard adds the points of one shard to a plan's figures.
func countShard(ctx context.Context, p *shardmap.Plan, c search.Collection, t *topology, shard int) error {
	s := t.shards[shard]
	stats, err := statsOf(ctx, s, c.Name)
	if err != nil {
		return err
	}
	mean := stats.Bytes / int64(max(1, stats.Points))
	scroll := func(ctx context.Context, scan search.Scan) (search.Page, error) {
		return read(ctx, s, "scroll", func(ctx context.Context, store search.Store) (search.Page, error) { return store.Scroll(ctx, scan) })
	}
	return pages(ctx, scroll, scanOf(c), func(points []search.Point) error {
		for _, point := range points {
			if t.m.Owner(c, point.Key, point.Meta) == shard {
				p.Count(c, point.Key, point.Meta, mean)
			}
		}
		return nil
	})
}
