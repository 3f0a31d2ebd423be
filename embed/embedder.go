package embed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tokens"
)

// Upstream is one place that embeds.
type Upstream struct {
	Name     string // unique; in errors and traces
	Provider Provider
	Weight   float64 // share of the load; 0: 1
	Slots    int     // calls that it runs at the same time; 0: not known
	Tier     int     // used only while earlier tiers have no healthy capacity
	Aborts   bool    // a call that is cancelled stops costing the upstream anything
}

// Config describes an embedding lane. Zero values mean the defaults.
type Config struct {
	Upstreams []Upstream    // at least one, all of one space
	Name      string        // of the pool, in errors and traces; default "embed"
	Lane      *balance.Lane // latencies and hedge budget; nil: one of its own (p99, 1 %)
	Trace     *balance.Trace

	// Parallel bounds the calls that one batch makes at the same time when it
	// has to be split; 0: two for each upstream.
	Parallel int
	// CacheBytes bounds the memory of cached vectors; 0: 64 MiB, below 0: no cache.
	CacheBytes int64
	// Timeout bounds a call that several callers may wait for, and that
	// therefore outlives the first of them; 0: 10 s, or until the first caller's
	// deadline if that is later.
	Timeout time.Duration
}

// Defaults of [Config].
const (
	defaultName       = "embed"
	defaultCacheBytes = 64 << 20
	defaultTimeout    = 10 * time.Second
)

// Embedder is a [Provider] over upstreams of one space. Texts that are asked for
// again come from its cache, equal texts that are asked for at the same time are
// embedded once, batches beyond the upstreams' limits are split, and each call is
// balanced, hedged and failed over by package balance. Bulk batches bypass cache
// and sharing, so that ingestion does not push out the vectors of queries.
// Safe for concurrent use.
type Embedder struct {
	space    Space
	limits   Limits
	pool     *balance.Pool[Provider]
	parallel int
	shared   *group
}

var _ Provider = (*Embedder)(nil)

// New returns an Embedder, which must be closed. Its errors are fault.Invalid
// with the field's pointer ("/upstreams/1/name"), or fault.Conflict if the
// upstreams are of different spaces.
func New(c Config) (*Embedder, error) {
	c.Name = cmp.Or(c.Name, defaultName)
	c.Parallel = cmp.Or(c.Parallel, 2*len(c.Upstreams))
	c.CacheBytes = cmp.Or(c.CacheBytes, defaultCacheBytes)
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	if err := c.validate(); err != nil {
		return nil, err
	}
	e := &Embedder{space: c.Upstreams[0].Provider.Space(), limits: c.limits(), parallel: c.Parallel}
	pool, err := c.pool()
	if err != nil {
		return nil, err
	}
	e.pool = pool
	e.shared, err = newGroup(e.space, c, e.call)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return e, nil
}

func (c Config) validate() error {
	var errs []error
	if len(c.Upstreams) == 0 {
		errs = append(errs, fault.BadField("/upstreams", "must not be empty"))
	}
	if c.Parallel < 0 {
		errs = append(errs, fault.BadField("/parallel", "must not be negative"))
	}
	if c.Timeout < 0 {
		errs = append(errs, fault.BadField("/timeout", "must not be negative"))
	}
	for i, u := range c.Upstreams {
		if u.Provider == nil {
			errs = append(errs, fault.BadField(fmt.Sprintf("/upstreams/%d/provider", i), "is missing"))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return oneSpace(c.Upstreams)
}

// oneSpace refuses upstreams whose vectors cannot be compared: failing over from
// one to the other would turn results into noise without an error.
func oneSpace(upstreams []Upstream) error {
	first := upstreams[0].Provider.Space()
	if first.Dims <= 0 {
		return fault.BadField("/upstreams/0/provider", "has a space of %d dims", first.Dims)
	}
	for i, u := range upstreams[1:] {
		if s := u.Provider.Space(); !s.Compatible(first) {
			return &fault.Error{
				Class: fault.Conflict, Field: fmt.Sprintf("/upstreams/%d/provider", i+1),
				Message: fmt.Sprintf("upstream %q embeds into space %q, but upstream %q into %q: a lane has one space",
					u.Name, s.ID(), upstreams[0].Name, first.ID()),
			}
		}
	}
	return nil
}

// limits returns what every upstream accepts, since any may get the call.
func (c Config) limits() Limits {
	var all Limits
	for _, u := range c.Upstreams {
		if l, ok := u.Provider.(Limiter); ok {
			all = all.tighten(l.Limits())
		}
	}
	return all
}

func (c Config) pool() (*balance.Pool[Provider], error) {
	lane := c.Lane
	if lane == nil {
		own, err := balance.NewLane(balance.LaneConfig{Name: c.Name, HedgeQuantile: 0.99, HedgeShare: 0.01})
		if err != nil {
			return nil, err
		}
		lane = own
	}
	members := make([]balance.Member[Provider], len(c.Upstreams))
	for i, u := range c.Upstreams {
		members[i] = balance.Member[Provider]{
			Name: u.Name, Target: u.Provider, Weight: u.Weight, Slots: u.Slots, Tier: u.Tier, Aborts: u.Aborts,
		}
	}
	return balance.NewPool(balance.Config{Name: c.Name, Lane: lane, Trace: c.Trace}, members...)
}

// Space returns the space of all upstreams.
func (e *Embedder) Space() Space { return e.space }

// Snapshot returns the load and health of the upstreams.
func (e *Embedder) Snapshot() balance.Snapshot { return e.pool.Snapshot() }

// Stats returns how the cache has done so far.
func (e *Embedder) Stats() Stats { return e.shared.stats() }

// Close ends the calls that are still under way and waits for them. The
// providers stay open: they belong to whoever made them.
func (e *Embedder) Close() error {
	e.shared.close()
	return e.pool.Close()
}

// Embed returns a vector for each text, in order. A Task that is not set is
// DocumentTask. Errors are those of the upstreams that were tried, by class; the
// end of ctx is returned as it is.
func (e *Embedder) Embed(ctx context.Context, b Batch) (Vectors, error) {
	b.Task = cmp.Or(b.Task, DocumentTask)
	var v Vectors
	var err error
	switch {
	case len(b.Texts) == 0:
		return Vectors{Dims: e.space.Dims}, nil
	case b.Bulk:
		v, err = e.call(ctx, b)
	default:
		v, err = e.shared.embed(ctx, b)
	}
	if err != nil {
		return Vectors{}, fmt.Errorf("embed %s: %w", count(len(b.Texts)), err)
	}
	return v, nil
}

func count(texts int) string {
	if texts == 1 {
		return "a text"
	}
	return fmt.Sprintf("%d texts", texts)
}

// call embeds a batch upstream, in as many parts as the limits demand.
func (e *Embedder) call(ctx context.Context, b Batch) (Vectors, error) {
	parts := e.limits.split(b.Texts, len(e.space.Prefixed("", b.Task)))
	if len(parts) == 1 {
		return e.ask(ctx, b)
	}
	all := Vectors{Dims: e.space.Dims, Data: make([]float32, len(b.Texts)*e.space.Dims)}
	var used atomic.Int64
	calls, inner := errgroup.WithContext(ctx)
	calls.SetLimit(e.parallel)
	for _, p := range parts {
		if inner.Err() != nil {
			break // a part has failed, and its error is the answer
		}
		calls.Go(func() error {
			v, err := e.ask(inner, Batch{Texts: b.Texts[p.from:p.to], Task: b.Task, Bulk: b.Bulk})
			if err != nil {
				return err
			}
			copy(all.Data[p.from*all.Dims:], v.Data)
			used.Add(int64(v.Tokens))
			return nil
		})
	}
	if err := cmp.Or(calls.Wait(), context.Cause(ctx)); err != nil {
		return Vectors{}, err
	}
	all.Tokens = int(used.Load())
	return all, nil
}

// ask makes one balanced call. An answer that does not fit the question is its
// attempt's error, so another upstream is asked.
func (e *Embedder) ask(ctx context.Context, b Batch) (Vectors, error) {
	estimate := max(tokens.Sum(b.Texts), 1)
	c := balance.Call{Class: class(len(b.Texts)), Cost: int64(estimate), NoHedge: b.Bulk}
	return balance.Do(ctx, e.pool, c, func(ctx context.Context, p Provider) (Vectors, error) {
		v, err := p.Embed(ctx, b)
		if err != nil {
			return Vectors{}, err
		}
		if err := e.space.check(v, len(b.Texts)); err != nil {
			return Vectors{}, err
		}
		v.Tokens = cmp.Or(v.Tokens, estimate)
		balance.Settle(ctx, int64(v.Tokens))
		return v, nil
	})
}

// class groups calls that take about equally long.
func class(texts int) string {
	switch {
	case texts == 1:
		return "1"
	case texts <= 8:
		return "<=8"
	case texts <= 64:
		return "<=64"
	}
	return ">64"
}
