package llm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/balance/limit"
	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm/relay"
)

// Upstream is one place that generates.
type Upstream struct {
	Name     string // unique; in errors and traces
	Provider Provider
	Model    string  // for prompts that name none; empty: the provider's own
	Weight   float64 // share of the load; 0: 1
	Slots    int     // generations that it runs at the same time; 0: not known
	Tier     int     // used only while earlier tiers have no healthy capacity
	Aborts   bool    // a generation that is cancelled stops costing the upstream anything
	// Quota is what the upstream allows by the minute; nil: no limit. A generation
	// reserves the prompt's estimated tokens and those that the answer may have, and
	// settles with what the upstream reports.
	Quota *quota.Bucket
}

// Config describes a generation lane. Zero values mean the defaults.
type Config struct {
	Upstreams []Upstream    // at least one, unless calls are held
	Name      string        // of the pool, in errors and traces; default "llm"
	Lane      *balance.Lane // latencies and hedge budget; nil: one of its own (p99, 1 %)
	Trace     *balance.Trace
	// Hedge allows a second attempt while the first has not begun to answer.
	// Both are paid for where the upstream bills by tokens.
	Hedge bool
	// First is how long a relayed stream may take to its first content, and Idle how
	// long it may pause after that, before the upstream counts as broken. Default 2
	// minutes and 1 minute.
	First, Idle time.Duration
	// Hold is how many generations may wait while there are no upstreams, as
	// balance.Config says. Default none.
	Hold int
}

// expectedTokens is the length of an answer whose prompt sets no limit, and
// mostTokens what a limit counts for at most: a client that asks for a trillion
// must not make every other call look like nothing.
const (
	expectedTokens = 256
	mostTokens     = 1 << 17
)

// Generator is a [Provider] over interchangeable upstreams. Load is counted in
// tokens that are still to be read or written: the prompt's estimate, until the
// answer begins, and the answer's limit; in the end it is settled with the usage
// that the upstream reports. Safe for concurrent use.
type Generator struct {
	pool     *balance.Pool[target]
	hedge    bool
	relays   bool // all upstreams can
	resumes  bool // all upstreams can go on with an answer of another
	lengths  lengths
	affinity affinity
	warmth   warmth
	first    time.Duration
	idle     time.Duration
	hold     int
}

var _ Provider = (*Generator)(nil)

// target is what an attempt calls.
type target struct {
	name     string
	provider Provider
	model    string
}

// New returns a Generator, which must be closed. Its errors are fault.Invalid
// and name the field by its pointer ("/upstreams/1/provider").
func New(c Config) (*Generator, error) {
	c.Name = cmp.Or(c.Name, "llm")
	members, err := c.members()
	if err != nil {
		return nil, err
	}
	if c.Lane == nil {
		c.Lane, err = balance.NewLane(balance.LaneConfig{Name: c.Name, HedgeQuantile: 0.99, HedgeShare: 0.01})
		if err != nil {
			return nil, err
		}
	}
	relays := !slices.ContainsFunc(c.Upstreams, quotes)
	pool, err := balance.NewPool(balance.Config{
		Name: c.Name, Lane: c.Lane, Trace: c.Trace, Hold: c.Hold,
		// A limit of calls learns from how long they take, and an engine's streams stay open long after
		// their first content, by which they are compared. Engines queue by themselves.
		Limit: limit.Config{Off: relays},
	}, members...)
	if err != nil {
		return nil, err
	}
	return &Generator{
		pool: pool, hedge: c.Hedge, relays: relays, resumes: !slices.ContainsFunc(c.Upstreams, forgets),
		hold: c.Hold, first: cmp.Or(c.First, defaultFirst), idle: cmp.Or(c.Idle, defaultIdle),
		warmth: warmth{seed: maphash.MakeSeed(), read: map[string]*blocks{}},
	}, nil
}

// quotes reports whether an upstream cannot take calls as they came.
func quotes(u Upstream) bool {
	_, ok := u.Provider.(relay.Relayer)
	return !ok
}

// forgets reports whether an upstream cannot go on with an answer of another.
func forgets(u Upstream) bool {
	c, ok := u.Provider.(relay.Continuer)
	return !ok || !c.Continues()
}

func (c Config) members() ([]balance.Member[target], error) {
	var errs []error
	if len(c.Upstreams) == 0 && c.Hold <= 0 {
		errs = append(errs, fault.BadField("/upstreams", "must not be empty"))
	}
	members := make([]balance.Member[target], len(c.Upstreams))
	for i, u := range c.Upstreams {
		if u.Provider == nil {
			errs = append(errs, fault.BadField(fmt.Sprintf("/upstreams/%d/provider", i), "is missing"))
		}
		members[i] = balance.Member[target]{
			Name: u.Name, Target: target{u.Name, u.Provider, u.Model},
			Weight: u.Weight, Slots: u.Slots, Tier: u.Tier, Aborts: u.Aborts, Quota: u.Quota,
		}
	}
	return members, errors.Join(errs...)
}

// Update replaces the upstreams. Those that stay, by name, keep their load and health, and answers on those
// that go are not disturbed. All must be able to do what the first ones can: take calls as they came, go on
// with an answer of another. Errors are those of [New]; nothing has changed then.
func (g *Generator) Update(upstreams []Upstream) error {
	members, err := Config{Upstreams: upstreams, Hold: g.hold}.members()
	if err != nil {
		return err
	}
	for i, u := range upstreams {
		if g.relays && quotes(u) || g.resumes && forgets(u) {
			return fault.BadField(fmt.Sprintf("/upstreams/%d/provider", i), "cannot do what those before it can")
		}
	}
	return g.pool.Update(members)
}

// Steer has an upstream drained, ejected or brought back, as balance.Pool's Steer.
func (g *Generator) Steer(name string, to balance.State) error { return g.pool.Steer(name, to) }

// Reweigh changes an upstream's weight, as balance.Pool's Reweigh.
func (g *Generator) Reweigh(name string, weight float64) error { return g.pool.Reweigh(name, weight) }

// Learn enters what was measured of an upstream, by name: whether a generation that
// is cancelled stops costing it anything. An unknown upstream is fault.NotFound.
func (g *Generator) Learn(name string, aborts bool) error { return g.pool.Learn(name, aborts) }

// Snapshot returns the load and health of the upstreams.
func (g *Generator) Snapshot() balance.Snapshot { return g.pool.Snapshot() }

// Close waits for attempts that are still under way. Streams must have been
// closed. The providers stay open: they belong to whoever made them.
func (g *Generator) Close() error { return g.pool.Close() }

// Generate starts an answer and returns when it has begun: an upstream that
// fails before its first content is left for another one. After that, errors
// come from Next as the upstream's provider gave them, and no other is tried.
// The stream must be closed; it closes itself when ctx ends.
func (g *Generator) Generate(ctx context.Context, p Prompt) (Stream, error) {
	cost := p.Tokens()
	key, side := g.affinity.ask(p.Session, p.prefix())
	call := balance.Call{
		Class:    class(cost),
		Cost:     int64(cost + min(cmp.Or(max(p.MaxTokens, 0), expectedTokens), mostTokens)),
		Affinity: key,
		NoHedge:  !g.hedge,
		Extra:    p.Extra,
		NoWait:   p.NoWait,
		Tenant:   p.Tenant,
	}
	c := &course{start: time.Now()}
	won, err := balance.Open(ctx, g.pool, call, func(ctx context.Context, t target) (*opened, error) {
		n := c.begin()
		mine := p // attempts may run at the same time
		mine.Model = cmp.Or(p.Model, t.model)
		why := c.why(n, key != "")
		o, err := open(ctx, t.provider, mine)
		if err != nil {
			c.failures.Add(1)
			return nil, err
		}
		balance.Settle(ctx, call.Cost-int64(cost)) // the prompt is read
		o.route = relay.Route{Model: mine.Model, Why: why}
		return o, nil
	})
	if err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	read := g.warmth.chain(p)
	won.Value.route.Cached = g.warmth.expect(won.Member(), read)
	won.Value.route = c.end(won.Value.route, won.Member())
	g.warmth.learn(won.Member(), read)
	a := follow(ctx, won, cost)
	a.learn = func(used Usage) { g.affinity.learn(side, used, won.Value.route.First) }
	return a, nil
}

// class groups prompts whose first content takes about equally long.
func class(prompt int) string {
	switch {
	case prompt <= 512:
		return "<=512"
	case prompt <= 4096:
		return "<=4k"
	case prompt <= 32768:
		return "<=32k"
	}
	return ">32k"
}

// opened is a stream that has begun: its first chunk is read.
type opened struct {
	Stream
	first Chunk
	route relay.Route
}

// open starts a generation and reads up to the commit point, the first chunk
// that says something. What comes before, such as a chunk with the role alone,
// is no sign of an answer.
func open(ctx context.Context, provider Provider, p Prompt) (*opened, error) {
	s, err := provider.Generate(ctx, p)
	if err != nil {
		return nil, err
	}
	begun := false
	defer func() {
		if !begun { // after a panic of the provider, too
			_ = s.Close() // the error of Next tells more
		}
	}()
	for {
		c, err := s.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, fault.New(fault.Unavailable, "the answer ended before it began")
		case err != nil:
			return nil, err
		case c.Content != "" || len(c.Citations) > 0 || c.Finish != "":
			begun = true
			return &opened{Stream: s, first: c}, nil
		}
	}
}
