package rerank

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tokens"
)

// Upstream is one place that reranks.
type Upstream struct {
	Name     string // unique; in errors and traces
	Provider Provider
	Weight   float64 // share of the load; 0: 1
	Slots    int     // calls that it runs at the same time; 0: not known
	Tier     int     // used only while earlier tiers have no healthy capacity
	Aborts   bool    // a call that is cancelled stops costing the upstream anything
}

// Config describes a rerank lane. All its upstreams must run the same model,
// because the scores of one answer may come from several of them. Zero values mean the defaults.
type Config struct {
	Upstreams []Upstream    // at least one
	Name      string        // of the pool, in errors and traces; default "rerank"
	Lane      *balance.Lane // latencies and hedge budget; nil: one of its own (p99, 1 %)
	Trace     *balance.Trace
	Inputs    int // texts of one call; 0: 32, which TEI takes as it is installed
	Parallel  int // calls that one batch makes at the same time; 0: two for each upstream
}

// Reranker is a [Provider] over upstreams of one model. Long batches are split,
// and each call is balanced, hedged and failed over by package balance. Safe for concurrent use.
type Reranker struct {
	pool             *balance.Pool[Provider]
	inputs, parallel int
}

var _ Provider = (*Reranker)(nil)

// New returns a Reranker, which must be closed. Its errors are fault.Invalid with
// the field's pointer ("/upstreams/1/name").
func New(c Config) (*Reranker, error) {
	c.Name = cmp.Or(c.Name, "rerank")
	c.Inputs = cmp.Or(c.Inputs, 32)
	c.Parallel = cmp.Or(c.Parallel, 2*len(c.Upstreams))
	if err := c.validate(); err != nil {
		return nil, err
	}
	lane := c.Lane
	if lane == nil {
		own, err := balance.NewLane(balance.LaneConfig{Name: c.Name, HedgeQuantile: 0.99, HedgeShare: 0.01})
		if err != nil {
			return nil, err
		}
		lane = own
	}
	pool, err := balance.NewPool(balance.Config{Name: c.Name, Lane: lane, Trace: c.Trace}, c.members()...)
	if err != nil {
		return nil, err
	}
	return &Reranker{pool: pool, inputs: c.Inputs, parallel: c.Parallel}, nil
}

func (c Config) members() []balance.Member[Provider] {
	members := make([]balance.Member[Provider], len(c.Upstreams))
	for i, u := range c.Upstreams {
		members[i] = balance.Member[Provider]{
			Name: u.Name, Target: u.Provider, Weight: u.Weight, Slots: u.Slots, Tier: u.Tier, Aborts: u.Aborts,
		}
	}
	return members
}

// Update replaces the upstreams. Those that stay, by name, keep their load and health, and calls on
// those that go are not disturbed. Errors are those of [New]; nothing has changed then.
func (r *Reranker) Update(upstreams []Upstream) error {
	c := Config{Upstreams: upstreams}
	if err := c.validate(); err != nil {
		return err
	}
	return r.pool.Update(c.members())
}

// Steer has an upstream drained, ejected or brought back, as balance.Pool's Steer.
func (r *Reranker) Steer(name string, to balance.State) error { return r.pool.Steer(name, to) }

// Reweigh changes an upstream's weight, as balance.Pool's Reweigh.
func (r *Reranker) Reweigh(name string, weight float64) error { return r.pool.Reweigh(name, weight) }

func (c Config) validate() error {
	var errs []error
	if len(c.Upstreams) == 0 {
		errs = append(errs, fault.BadField("/upstreams", "must not be empty"))
	}
	if c.Inputs < 0 {
		errs = append(errs, fault.BadField("/inputs", "must not be negative"))
	}
	if c.Parallel < 0 {
		errs = append(errs, fault.BadField("/parallel", "must not be negative"))
	}
	for i, u := range c.Upstreams {
		if u.Provider == nil {
			errs = append(errs, fault.BadField(fmt.Sprintf("/upstreams/%d/provider", i), "is missing"))
		}
	}
	return errors.Join(errs...)
}

// Snapshot returns the load and health of the upstreams.
func (r *Reranker) Snapshot() balance.Snapshot { return r.pool.Snapshot() }

// Close ends the calls that are still under way and waits for them. The
// providers stay open: they belong to whoever made them.
func (r *Reranker) Close() error { return r.pool.Close() }

// Rerank returns a score for each text, in order. Errors are those of the
// upstreams that were tried, by class; the end of ctx is returned as it is.
func (r *Reranker) Rerank(ctx context.Context, b Batch) (Scores, error) {
	all := Scores{Values: make([]float64, len(b.Texts))}
	used := make([]int, (len(b.Texts)+r.inputs-1)/r.inputs)
	calls, inner := errgroup.WithContext(ctx)
	calls.SetLimit(r.parallel)
	for part := range used {
		if inner.Err() != nil {
			break // a part has failed, and its error is the answer
		}
		from := part * r.inputs
		texts := b.Texts[from:min(from+r.inputs, len(b.Texts))]
		calls.Go(func() error {
			s, err := r.ask(inner, Batch{Query: b.Query, Texts: texts})
			copy(all.Values[from:], s.Values)
			used[part] = s.Tokens
			return err
		})
	}
	if err := cmp.Or(calls.Wait(), context.Cause(ctx)); err != nil {
		return Scores{}, fmt.Errorf("rerank %d texts: %w", len(b.Texts), err)
	}
	for _, n := range used {
		all.Tokens += n
	}
	return all, nil
}

// ask makes one balanced call. The question counts once for each text, as the model reads it.
func (r *Reranker) ask(ctx context.Context, b Batch) (Scores, error) {
	estimate := max(tokens.Sum(b.Texts)+len(b.Texts)*tokens.Estimate(b.Query), 1)
	c := balance.Call{Class: class(len(b.Texts)), Cost: int64(estimate)}
	return balance.Do(ctx, r.pool, c, func(ctx context.Context, p Provider) (Scores, error) {
		s, err := p.Rerank(ctx, b)
		if err == nil {
			err = s.check(len(b.Texts))
		}
		if err != nil {
			return Scores{}, err
		}
		s.Tokens = cmp.Or(s.Tokens, estimate)
		balance.Settle(ctx, int64(s.Tokens))
		return s, nil
	})
}

// class groups calls that take about equally long.
func class(texts int) string {
	switch {
	case texts <= 8:
		return "<=8"
	case texts <= 32:
		return "<=32"
	}
	return ">32"
}
