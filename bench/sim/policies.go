package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/balance/admit"
	"github.com/lanewise/lanewise/balance/limit"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// lane returns the configuration of the next router's lane. Ties are broken by
// the model's seed, for each router otherwise.
func (p *plaza) lane() balance.LaneConfig {
	c := balance.LaneConfig{Name: "shards", Seed: uint64(draws(p.model.Seed, 1<<42, uint64(len(p.routers))))}
	if !p.model.Policy.Hedged {
		c.HedgeDelay = -1
	}
	return c
}

// routed is the real router over replicas of the model, which have limits.
type routed struct{ *router.Router }

func (p *plaza) openRouter() (searcher, error) {
	c := router.Config{
		SearchTimeout: p.model.Deadline, Lane: p.lane(), Picker: p.model.Policy.Picker,
	}
	for i, servers := range p.servers {
		shard := router.Shard{Name: fmt.Sprintf("s%d", i)}
		for j := range servers {
			shard.Replicas = append(shard.Replicas, router.Replica{
				Name: fmt.Sprintf("s%d-%d", i, j), Store: store{plaza: p, shard: i, replica: j}, Aborts: p.model.Server == Abort,
			})
		}
		c.Shards = append(c.Shards, shard)
	}
	r, err := router.New(c)
	if err != nil {
		return nil, err
	}
	if _, err := r.CreateCollection(context.Background(), search.Collection{Name: "docs", Dims: 1}); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	// The first search makes the router count its documents, beside that search and
	// in no particular order: not beside one of the model's.
	_ = routed{r}.search(context.Background())
	return routed{r}, nil
}

func (r routed) search(ctx context.Context) error {
	_, err := r.Search(ctx, search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1}, K: 1}}})
	return err
}

// store is a replica as the router sees it. It has no points, and searches take
// their time.
type store struct {
	search.Store
	plaza          *plaza
	shard, replica int
}

func (s store) Search(ctx context.Context, q search.Query) (search.Result, error) {
	if err := s.plaza.serve(ctx, s.shard, s.replica); err != nil {
		return search.Result{}, err
	}
	lists := make([]search.List, len(q.Legs))
	for i := range lists {
		lists[i].Exhausted, lists[i].Prefix = true, true
	}
	return search.Result{Lists: lists}, nil
}

func (store) Write(context.Context, search.Batch) (search.Written, error) {
	return search.Written{}, nil
}

func (store) Stats(_ context.Context, collection string) ([]search.Stats, error) {
	if collection == "" {
		return nil, nil
	}
	return []search.Stats{{Collection: search.Collection{Name: collection, Dims: 1}}}, nil
}

// pools is a loop around one pool for each shard: what remains of a router when
// only the balancer is of interest.
type pools struct {
	plaza *plaza
	pools []*balance.Pool[int]
}

func (p *plaza) openPools() (searcher, error) {
	lane, err := balance.NewLane(p.lane())
	if err != nil {
		return nil, err
	}
	out := &pools{plaza: p}
	for i, servers := range p.servers {
		c := balance.Config{Name: fmt.Sprintf("s%d", i), Lane: lane, Picker: p.model.Policy.Picker, Limit: limit.Config{Off: true}}
		if p.model.Policy.Oracle {
			c.Picker = leastWork(servers)
		}
		var members []balance.Member[int]
		for j := range servers {
			members = append(members, balance.Member[int]{
				Name: fmt.Sprintf("s%d-%d", i, j), Target: j, Aborts: p.model.Server == Abort,
			})
		}
		pool, err := balance.NewPool(c, members...)
		if err != nil {
			return nil, err
		}
		out.pools = append(out.pools, pool)
	}
	return out, nil
}

func (p *pools) search(ctx context.Context) error {
	errs := make([]error, len(p.pools))
	var wg sync.WaitGroup
	for i, pool := range p.pools {
		wg.Go(func() {
			roomy()
			_, errs[i] = balance.Do(ctx, pool, balance.Call{}, func(ctx context.Context, replica int) (struct{}, error) {
				return struct{}{}, p.plaza.serve(ctx, i, replica)
			})
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (p *pools) Close() error {
	for _, pool := range p.pools {
		_ = pool.Close()
	}
	return nil
}

// gated admits searches before they reach the router.
type gated struct {
	searcher
	gate *admit.Gate
}

func gate(s searcher, deadline time.Duration) (searcher, error) {
	g, err := admit.New(admit.Config{Target: deadline / 2, Patience: min(100*time.Millisecond, deadline/4)})
	return gated{s, g}, err
}

func (g gated) search(ctx context.Context) error {
	pass, err := g.gate.Enter(ctx, "", 0)
	if err != nil {
		return err
	}
	err = g.searcher.search(ctx)
	pass.Leave(err)
	return err
}

// leastWork is an omniscient picker: it knows what every server still has to do,
// stalls included.
type leastWork []*server

// Pick implements balance.Picker.
func (w leastWork) Pick(v *balance.View) int {
	best, ties := -1, 0
	var least time.Duration
	for i := range v.Len() {
		if !v.Open(i) {
			continue
		}
		switch wait := w[i].wait(); {
		case best < 0 || wait < least:
			best, least, ties = i, wait, 1
		case wait == least:
			if ties++; v.Rand(ties) == 0 {
				best = i
			}
		}
	}
	return best
}
