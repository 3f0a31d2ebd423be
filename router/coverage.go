package router

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// countsMaxAge is how old the document counts behind a coverage may be.
const countsMaxAge = 30 * time.Second

// countsAtOnce is how many collections one look at the state has counted.
const countsAtOnce = 4

// counts knows how many documents each shard holds, from the shards' own
// statistics, refreshed in the background while queries come in.
type counts struct {
	mu      sync.RWMutex
	known   map[string][]float64 // collection → documents by shard
	asked   map[string]time.Time // when the counts were last asked for
	weights []float64            // of the map, used until counts are known
	pending sync.WaitGroup
	stop    context.CancelFunc
	ctx     context.Context //nolint:containedctx // bounds the refreshes, which outlive the queries that start them
}

func newCounts(shards []shardmap.Shard) *counts {
	c := &counts{known: map[string][]float64{}, asked: map[string]time.Time{}}
	for _, s := range shards {
		c.weights = append(c.weights, cmp.Or(s.Weight, 1))
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// wait ends the refreshes. None starts afterwards.
func (c *counts) wait() {
	c.mu.Lock()
	c.stop()
	c.mu.Unlock()
	c.pending.Wait()
}

// of returns the documents by shard that are known of a collection, and starts
// a refresh where they are too old.
func (c *counts) of(name string, refresh func(ctx context.Context) []float64) []float64 {
	c.mu.RLock()
	known, asked := c.known[name], c.asked[name]
	c.mu.RUnlock()
	if time.Since(asked) > countsMaxAge {
		c.renew(name, refresh)
	}
	if known != nil {
		return known
	}
	return c.weights
}

// stale reports whether the counts of a collection were asked for long ago, or never.
func (c *counts) stale(name string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return time.Since(c.asked[name]) > countsMaxAge
}

// renew starts a refresh of a collection's counts, unless somebody else has.
func (c *counts) renew(name string, refresh func(ctx context.Context) []float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.asked[name]) <= countsMaxAge || c.ctx.Err() != nil {
		return
	}
	c.asked[name] = now
	c.pending.Go(func() {
		fresh := refresh(c.ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.known[name] = fresh
	})
}

// forget drops what is known of a collection.
func (c *counts) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, name)
	delete(c.asked, name)
}

// documents returns how many documents each of some shards holds, as far as known.
func (r *Router) documents(t *topology, c search.Collection, shards []int) []float64 {
	all := r.counted(t, c.Name)
	docs := make([]float64, len(shards))
	sum := 0.0
	for at, shard := range shards {
		docs[at] = all[shard]
		sum += docs[at]
	}
	if sum == 0 { // empty shards: each counts alike
		for at := range docs {
			docs[at] = 1
		}
	}
	return docs
}

// counted returns the documents by shard that are known of a collection, and has them counted where that is long ago.
func (r *Router) counted(t *topology, collection string) []float64 {
	return t.counts.of(collection, func(ctx context.Context) []float64 { return r.countShards(ctx, t, collection) })
}

// cover fills in the report's coverage: the share of the asked documents that
// the shards which answered hold.
func (r *Router) cover(g *gathering) {
	g.report.Complete, g.report.Coverage = len(g.failed) == 0, 1
	if g.report.Complete {
		return
	}
	var all, answered float64
	for at, n := range g.docs {
		all += n
		if _, err := g.failure(at); err == nil {
			answered += n
		}
	}
	g.report.Coverage = answered / all
}

// countShards asks every shard how much it holds. A shard that does not say
// keeps the count known before, or else its weight's share.
func (r *Router) countShards(ctx context.Context, t *topology, name string) []float64 {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.SearchTimeout)
	defer cancel()
	t.counts.mu.Lock()
	before := t.counts.known[name]
	t.counts.mu.Unlock()
	docs := make([]float64, len(t.shards))
	var silent []int
	var sum, heard float64
	for i, s := range t.shards {
		stats, err := statsOf(ctx, s, name)
		switch {
		case err == nil:
			docs[i] = float64(stats.Points)
			sum += docs[i]
			heard += t.counts.weights[i]
		case before != nil:
			docs[i] = before[i]
		default:
			silent = append(silent, i)
		}
	}
	for _, i := range silent {
		docs[i] = t.counts.weights[i]
		if heard > 0 {
			docs[i] *= sum / heard
		}
	}
	return docs
}

// statsOf asks one shard for the statistics of a collection.
func statsOf(ctx context.Context, s *shard, name string) (search.Stats, error) {
	all, err := read(ctx, s, "stats", func(ctx context.Context, store search.Store) ([]search.Stats, error) {
		return store.Stats(ctx, name)
	})
	if err != nil || len(all) == 0 {
		return search.Stats{Collection: search.Collection{Name: name}}, err
	}
	return all[0], nil
}
