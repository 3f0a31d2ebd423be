package models

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/relay"
)

var _ relay.Relayer = (*Set)(nil)

// Relays reports whether there is a model that calls can be passed on to.
func (s *Set) Relays() bool {
	for _, m := range s.models {
		if m.relayer() != nil {
			return true
		}
	}
	return false
}

// relayer returns what a call is passed on with, or nil where the model cannot take one.
func (m *model) relayer() relay.Relayer {
	r, ok := m.Provider.(relay.Relayer)
	if all, says := m.Provider.(interface{ Relays() bool }); !ok || says && !all.Relays() {
		return nil
	}
	return r
}

// Relay passes a call on to the model that it names, or to one that stands in for
// it, on the same terms as [Set.Generate] has a prompt answered. The reply's route
// has the public names, its usage the cost; of a stream, the event that reports
// the usage does. Models that only quote are passed over.
func (s *Set) Relay(ctx context.Context, c *relay.Call) (*relay.Reply, error) {
	m, as, routing, err := s.routed(ctx, c.Model, func() string { return asked(c) })
	if err != nil {
		return nil, err
	}
	paid, err := s.reserve(c.Tenant, c.PromptTokens, max(c.Answers, 1)*room(m.Window, c.MaxTokens))
	if err != nil {
		return nil, err
	}
	ctx = balance.WithAllowance(ctx, s.config.Extra)
	r := &relaying{call: c, as: as}
	w := &walk[*begun]{fits: r.fits, ask: r.ask, able: func(m *model) bool { return m.relayer() != nil }}
	t := &tab{set: s, reserved: paid, served: Served{Choice: llm.Choice{Asked: c.Model, Routing: routing}, Tenant: c.Tenant}, start: time.Now()}
	b, by, err := w.run(ctx, m)
	t.served.Passed = w.passed
	if err != nil {
		t.settle(err)
		return nil, err
	}
	t.served.Model, t.price = by.Name, by.Price
	b.Route.Asked, b.Route.Chosen = c.Model, by.Name
	if routing != nil {
		b.Route.Subject, b.Route.Score, b.Route.Unused = routing.Route, routing.Best(), unused(routing.Target)
	}
	if b.Stream == nil {
		b.end(nil)
		return b.whole(t, c.PromptTokens), nil
	}
	b.Stream = follow(ctx, b, t, c)
	return b.Reply, nil
}

// relaying asks models to answer one call.
type relaying struct {
	call *relay.Call
	as   string // name to ask the upstreams for, instead of their own
}

func (r *relaying) fits(m *model) error {
	return fits(m.window(), r.call.PromptTokens, r.call.MaxTokens)
}

// ask asks one model. Its usage is always wanted here; whether the client wants it
// is seen to later.
func (r *relaying) ask(ctx context.Context, m *model, t turn) (*begun, error) {
	to := m.relayer()
	if to == nil {
		return nil, &fault.Error{Class: fault.NotFound, Field: "/model", Message: fmt.Sprintf("the model %q quotes sources, and cannot be asked without", m.Name)}
	}
	mine := *r.call
	mine.Model, mine.Usage = r.as, true
	mine.Extra, mine.NoWait = mine.Extra || t.extra, mine.NoWait || t.noWait
	s := newStart(ctx, t.hurried)
	reply, err := to.Relay(s.ctx, &mine) //nolint:contextcheck // it is ctx's
	if err := s.made(err); err != nil {
		if reply != nil && reply.Stream != nil {
			_ = reply.Stream.Close() // it began too late
		}
		return nil, err
	}
	return &begun{Reply: reply, end: s.cancel}, nil
}

// begun is a reply and the end of its context.
type begun struct {
	*relay.Reply
	end context.CancelCauseFunc
}

// whole pays for a reply in one piece and returns it.
func (b *begun) whole(t *tab, prompt int) *relay.Reply {
	if b.Usage == nil {
		t.pay(llm.Usage{PromptTokens: prompt, CompletionTokens: expectedTokens, Estimated: true}, nil)
		return b.Reply
	}
	u := *b.Usage
	u.Cost = t.price.Of(u)
	b.Usage = &u
	t.pay(u, nil)
	return b.Reply
}

// passage is a relayed stream that settles what it has cost exactly once: at its
// end, at its first error, at Close, or when its context ends.
type passage struct {
	stream relay.Stream
	tab    *tab
	call   *relay.Call
	end    context.CancelCauseFunc
	unhook func() bool
	said   atomic.Int64 // events with content, of which engines send about one for each token
	usage  atomic.Pointer[relay.Usage]
}

func follow(ctx context.Context, b *begun, t *tab, c *relay.Call) *passage {
	p := &passage{stream: b.Stream, tab: t, call: c, end: b.end}
	p.unhook = context.AfterFunc(ctx, func() { p.settle(context.Cause(ctx)) })
	return p
}

// Next returns the next event for the client. The one that reports the usage is
// left out where the client did not ask for it.
func (p *passage) Next() (relay.Event, error) {
	for {
		e, err := p.stream.Next()
		switch {
		case errors.Is(err, io.EOF):
			p.settle(nil)
			return e, err //nolint:wrapcheck // io.EOF
		case err != nil:
			p.settle(err)
			return e, err //nolint:wrapcheck // the model's own
		}
		if e.Says {
			p.said.Add(1)
		}
		if !e.Counts {
			return e, nil
		}
		used := e.Usage
		used.Cost = p.tab.price.Of(used)
		p.usage.Store(&used)
		if e.Usage.Cost = used.Cost; e.Choices || p.call.Usage {
			return e, nil
		}
	}
}

// Close ends the answer.
func (p *passage) Close() error {
	err := p.stream.Close()
	p.unhook()
	p.settle(nil)
	p.end(nil)
	return err //nolint:wrapcheck // the model's own
}

// settle pays for the answer: what the upstream reported, or what was seen of it.
func (p *passage) settle(err error) {
	u := p.usage.Load()
	if u == nil {
		u = &relay.Usage{PromptTokens: p.call.PromptTokens, CompletionTokens: int(p.said.Load()), Estimated: true}
	}
	p.tab.pay(*u, err)
}
