package models

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tokens"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/relay"
)

// expectedTokens is the length of an answer whose prompt sets no limit, and
// mostTokens what a limit counts for at most.
const (
	expectedTokens = 256
	mostTokens     = 1 << 17
)

// Generate starts an answer with the model that the prompt names, or with one that
// stands in for it, and returns when it has begun. The stream is a [llm.Chosen],
// its last chunk's usage has the cost. Errors: fault.NotFound for a name that is not known;
// fault.Overloaded, with a wait, where the tenant's allowance is used up; otherwise
// those of the models, with the class that tells the client most.
func (s *Set) Generate(ctx context.Context, p llm.Prompt) (llm.Stream, error) {
	m, as, routing, err := s.routed(ctx, p.Model, func() string { return question(p) })
	if err != nil {
		return nil, err
	}
	paid, err := s.reserve(p.Tenant, p.Tokens(), room(m.Window, p.MaxTokens))
	if err != nil {
		return nil, err
	}
	ctx = balance.WithAllowance(ctx, s.config.Extra)
	g := &generation{prompt: p, as: as}
	w := &walk[*answer]{fits: g.fits, ask: g.ask}
	t := &tab{set: s, reserved: paid, served: Served{Choice: llm.Choice{Asked: p.Model, Routing: routing}, Tenant: p.Tenant}, start: time.Now()}
	a, by, err := w.run(ctx, m)
	t.served.Passed = w.passed
	if err != nil {
		t.settle(err)
		return nil, err
	}
	t.served.Model, t.price = by.Name, by.Price
	a.tab = t
	a.watch(ctx)
	return a, nil
}

// reserve takes what a request may cost, in tokens, from its tenant's allowance.
func (s *Set) reserve(tenant string, prompt, answer int) (*quota.Reservation, error) {
	if s.config.Tenants == nil {
		return nil, nil //nolint:nilnil // nothing to give back
	}
	r, err := s.config.Tenants.Reserve(tenant, int64(prompt)+int64(answer))
	if err != nil {
		return nil, fmt.Errorf("allowance: %w", err)
	}
	return r, nil
}

// room is how many tokens an answer under a limit is expected to need of a model: the limit, or what is usual, and
// no more than the model writes.
func room(w llm.Window, limit int) int {
	n := expectedTokens
	if limit > 0 {
		n = min(limit, mostTokens)
	}
	if w.Output > 0 {
		n = min(n, w.Output)
	}
	return n
}

// generation asks models for the answer to one prompt.
type generation struct {
	prompt llm.Prompt
	as     string // name to ask the upstreams for, instead of their own
}

// fits reports, as a *fault.WindowError, that the prompt is too long for a model. One that can be laid out
// again is made to fit.
func (g *generation) fits(m *model) error {
	if g.prompt.Refit != nil {
		return nil
	}
	return fits(m.window(), g.prompt.Tokens(), g.prompt.MaxTokens)
}

// fits reports, as a *fault.WindowError, that a prompt leaves no room for its answer in a window.
func fits(w llm.Window, prompt, limit int) error {
	answer := room(w, limit)
	if w.Context == 0 || prompt+answer <= w.Context {
		return nil
	}
	return &fault.WindowError{Limit: w.Context, Message: fmt.Sprintf(
		"the prompt has about %d tokens and its answer %d, the model's window %d", prompt, answer, w.Context)}
}

// ask asks one model. A prompt that can be laid out again, and that the model finds too long all the same, is laid
// out once more: with a quarter less, where its window is known by now, which is kept in mind, else for half of what
// was too long.
func (g *generation) ask(ctx context.Context, m *model, t turn) (*answer, error) {
	w := m.window()
	p, err := g.lay(m, t, w)
	if err != nil {
		return nil, err
	}
	a, err := g.once(ctx, m, t, p)
	long := new(fault.WindowError)
	if !errors.As(err, &long) || g.prompt.Refit == nil || ctx.Err() != nil {
		return a, err
	}
	m.heard(long.Limit)
	if known := limitOf(long.Limit, w.Context); known > 0 {
		w.Context = known * 3 / 4
	} else {
		w.Context = (p.Tokens() + room(w, p.MaxTokens)) / 2
	}
	if w.Context == 0 {
		return a, err
	}
	t.extra = true
	if p, err = g.lay(m, t, w); err != nil {
		return nil, err
	}
	return g.once(ctx, m, t, p)
}

// limitOf is the smaller of two windows, where they are known.
func limitOf(said, stated int) int {
	if said == 0 || stated == 0 {
		return max(said, stated)
	}
	return min(said, stated)
}

// lay returns the prompt as it is sent to a model, laid out for a window if it can be.
func (g *generation) lay(m *model, t turn, w llm.Window) (llm.Prompt, error) {
	p := g.prompt
	if p.Refit != nil {
		var err error
		w.Model = m.Name
		if p, err = g.prompt.Refit(w); err != nil {
			return llm.Prompt{}, fmt.Errorf("lay out the prompt: %w", err)
		}
	}
	p.Model, p.Extra, p.NoWait = g.as, p.Extra || t.extra, p.NoWait || t.noWait
	if w.Output > 0 {
		p.MaxTokens = limitOf(p.MaxTokens, w.Output)
	}
	return p, nil
}

// once sends a prompt to a model.
func (g *generation) once(ctx context.Context, m *model, t turn, p llm.Prompt) (*answer, error) {
	s := newStart(ctx, t.hurried)
	stream, err := m.Provider.Generate(s.ctx, p) //nolint:contextcheck // it is ctx's
	if err := s.made(err); err != nil {
		if stream != nil {
			_ = stream.Close() // it began too late
		}
		return nil, err
	}
	return &answer{stream: stream, cancel: s.cancel, prompt: p.Tokens()}, nil
}

// answer is a stream that settles what it has cost exactly once: at its end, at its first error, at Close, or
// when its context ends.
type answer struct {
	stream llm.Stream
	cancel context.CancelCauseFunc
	prompt int // estimated tokens
	tab    *tab
	unhook func() bool

	mu      sync.Mutex // guards written and usage
	written int        // estimated tokens of the answer
	usage   *llm.Usage // as reported
}

var (
	_ llm.Chosen = (*answer)(nil)
	_ llm.Routed = (*answer)(nil)
)

// watch settles the answer with its context, even if nobody reads or closes it.
func (a *answer) watch(ctx context.Context) {
	a.unhook = context.AfterFunc(ctx, func() { a.settle(context.Cause(ctx)) })
}

// Choice returns which model answers, and which could not.
func (a *answer) Choice() llm.Choice { return a.tab.served.Choice }

// Route returns how the answer came about, below the choice of the model.
func (a *answer) Route() relay.Route {
	r, ok := a.stream.(llm.Routed)
	if !ok {
		return relay.Route{Asked: a.tab.served.Asked, Chosen: a.tab.served.Model}
	}
	route := r.Route()
	route.Asked, route.Chosen = a.tab.served.Asked, a.tab.served.Model
	return route
}

// Next returns the next chunk, then io.EOF.
func (a *answer) Next() (llm.Chunk, error) {
	c, err := a.stream.Next()
	if err != nil {
		if errors.Is(err, io.EOF) {
			a.settle(nil)
		} else {
			a.settle(err)
		}
		return c, err //nolint:wrapcheck // io.EOF, or the model's own
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.written += tokens.Estimate(c.Content)
	if c.Usage != nil {
		u := *c.Usage
		u.Cost = a.tab.price.Of(u)
		a.usage, c.Usage = &u, &u
	}
	return c, nil
}

// Close ends the answer.
func (a *answer) Close() error {
	err := a.stream.Close()
	a.unhook()
	a.settle(nil)
	a.cancel(nil)
	return err //nolint:wrapcheck // the model's own
}

// settle pays for the answer: what the upstream reported, or what was seen of it.
func (a *answer) settle(err error) {
	a.mu.Lock()
	u := llm.Usage{PromptTokens: a.prompt, CompletionTokens: a.written, Estimated: true}
	if a.usage != nil {
		u = *a.usage
	}
	a.mu.Unlock()
	a.tab.pay(u, err)
}

// tab is what a request has reserved, and what is said of it at its end.
type tab struct {
	set      *Set
	reserved *quota.Reservation
	price    llm.Price
	served   Served
	start    time.Time
	once     sync.Once
}

// settle ends a request that no model has answered: it has cost nothing.
func (t *tab) settle(err error) {
	t.once.Do(func() {
		t.reserved.Cancel()
		t.report(llm.Usage{}, err)
	})
}

// pay ends a request that a model has answered, wholly or in part.
func (t *tab) pay(u llm.Usage, err error) {
	t.once.Do(func() {
		t.reserved.Settle(int64(u.PromptTokens + u.CompletionTokens))
		u.Cost = t.price.Of(u)
		t.report(u, err)
	})
}

func (t *tab) report(u llm.Usage, err error) {
	if t.set.config.Served == nil {
		return
	}
	done := t.served
	done.Usage, done.Took, done.Err = u, time.Since(t.start), err
	t.set.config.Served(done)
}
