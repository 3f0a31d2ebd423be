package llm

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm/relay"
)

var _ relay.Relayer = (*Generator)(nil)

// Relays reports whether all upstreams can take a call as it came, which
// those that quote cannot.
func (g *Generator) Relays() bool { return g.relays }

// Relay passes a call on, on the same terms as [Generator.Generate] makes one: the
// same load, quotas, failover and hedging. It returns when the answer is whole or,
// of a stream, when it has begun: at its first content. A stream must be closed.
// One that breaks off goes on with another upstream where the call and all upstreams
// allow that (relay.Call.Resume, [relay.Continuer]).
func (g *Generator) Relay(ctx context.Context, c *relay.Call) (*relay.Reply, error) {
	if !g.relays {
		return nil, &fault.Error{Class: fault.NotFound, Field: "/model", Message: "the model quotes sources, and cannot be asked without"}
	}
	t := &trip{g: g, call: c, course: course{start: time.Now()}}
	reply, err := t.make(ctx)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	if p, ok := reply.Stream.(*passage); ok && g.resumable(c) {
		reply.Stream = &journey{ctx: ctx, g: g, call: *c, now: p, left: maxResumed}
	}
	return reply, nil
}

// trip is one relayed call over all its attempts.
type trip struct {
	course

	g      *Generator
	call   *relay.Call
	side   arm           // of the comparison that the call is on
	affine bool          // it has a key
	first  time.Duration // to the first content, of streams
	avoid  string        // an upstream that has just failed; empty: none
}

func (t *trip) make(ctx context.Context) (*relay.Reply, error) {
	won, err := balance.Open(ctx, t.g.pool, t.terms(), t.attempt)
	if err != nil {
		return nil, err
	}
	a := won.Value
	a.route = t.end(a.route, won.Member())
	if read := t.g.warmth.chainOf(t.call.Prompt()); len(read) > 0 {
		a.route.Cached = t.g.warmth.expect(won.Member(), read)
		t.g.warmth.learn(won.Member(), read)
	}
	if a.stream == nil {
		won.Done(t.cost(a.usage, 0), nil) //nolint:contextcheck // the attempt knows its own
		_ = won.Close()                   //nolint:contextcheck,errcheck // nothing is open
		return &relay.Reply{Body: a.body, Usage: a.usage, Route: a.route}, nil
	}
	t.first = a.route.First
	return &relay.Reply{Stream: &passage{trip: t, won: won, arrived: a}, Route: a.route}, nil
}

// terms are those of the call for the balancer.
func (t *trip) terms() balance.Call {
	c := t.call
	terms := balance.Call{Class: class(c.PromptTokens), Cost: t.estimate(), NoHedge: !t.g.hedge, Extra: c.Extra, NoWait: c.NoWait, Tenant: c.Tenant}
	if !c.Stream {
		terms.Class = wholeClass(c.PromptTokens)
	}
	terms.Affinity, t.side = t.g.affinity.ask(c.Session, c.Prefix)
	t.affine = terms.Affinity != ""
	return terms
}

// wholeClass is class for answers that come in one piece, which takes longer than
// their beginning.
func wholeClass(prompt int) string {
	switch {
	case prompt <= 512:
		return "whole<=512"
	case prompt <= 4096:
		return "whole<=4k"
	case prompt <= 32768:
		return "whole<=32k"
	}
	return "whole>32k"
}

// estimate is what the call is expected to cost, in tokens: the prompts and, for
// each answer, as much as the model usually writes, or as it may.
func (t *trip) estimate() int64 {
	each := t.g.lengths.expect(t.call.Model)
	if limit := t.call.MaxTokens; limit > 0 {
		each = min(each, limit)
	}
	answers := min(max(t.call.Answers, 1), mostAnswers)
	return int64(max(t.call.PromptTokens, 1) + answers*min(each, mostTokens))
}

// mostAnswers is what the number of answers counts for at most.
const mostAnswers = 128

// cost is what the call has cost, as reported or, where nothing was, by the
// events with content: engines send about one for each token.
func (t *trip) cost(u *relay.Usage, said int64) int64 {
	if u == nil || u.PromptTokens+u.CompletionTokens == 0 {
		if said == 0 && !t.call.Stream {
			return 0 // as estimated
		}
		return int64(max(t.call.PromptTokens, 1)) + said
	}
	t.g.affinity.learn(t.side, *u, t.first)
	t.g.lengths.learn(t.call.Model, u.CompletionTokens/max(t.call.Answers, 1))
	return int64(u.PromptTokens + u.CompletionTokens)
}

// attempt asks one upstream, up to the commit point.
func (t *trip) attempt(ctx context.Context, to target) (*arrived, error) {
	n := t.begin()
	if to.name == t.avoid && t.avoid != "" {
		return nil, fault.New(fault.Overloaded, "%q has just failed", to.name)
	}
	if err := ctx.Err(); err != nil { // before the body is looked at: it may be released
		return nil, err //nolint:wrapcheck // the context's own
	}
	mine := *t.call // attempts may run at the same time
	mine.Model = cmp.Or(mine.Model, to.model)
	route := relay.Route{Model: mine.Model, Why: t.why(n, t.affine)}
	w := watched(ctx, t.g.patience(mine.Stream))
	var a *arrived
	defer func() {
		if a == nil || a.stream == nil { // after a panic of the provider, too
			w.stop()
		}
	}()
	a, err := arrive(w.ctx, to.provider.(relay.Relayer), &mine) //nolint:forcetypeassert,contextcheck // New has looked; it is ctx's
	if err != nil {
		t.failures.Add(1)
		return nil, w.reason(err)
	}
	w.change(t.g.idle)
	if a.stream != nil { // the prompt is read
		balance.Settle(ctx, t.estimate()-int64(max(t.call.PromptTokens, 1)))
	}
	a.route, a.watch = route, w
	return a, nil
}

// patience is how long an upstream may take to answer, or to begin with it.
func (g *Generator) patience(stream bool) time.Duration {
	if stream {
		return g.first
	}
	return max(defaultWhole, g.first)
}

// arrived is an answer that is whole, or has begun.
type arrived struct {
	route  relay.Route
	body   []byte
	usage  *relay.Usage
	stream relay.Stream // nil: body is all
	held   []relay.Event
	watch  *watch // of the stream
}

// Close ends a stream.
func (a *arrived) Close() error {
	if a.stream == nil {
		return nil
	}
	defer a.watch.stop()
	return a.stream.Close() //nolint:wrapcheck // it is the answer's own
}

// maxHeld bounds the events before the first content.
const maxHeld = 64

// arrive makes the call, and reads a stream up to its first content. The events
// until there are kept, since nothing of an answer is lost.
func arrive(ctx context.Context, r relay.Relayer, c *relay.Call) (*arrived, error) {
	reply, err := r.Relay(ctx, c)
	if err != nil {
		return nil, err
	}
	a := &arrived{body: reply.Body, usage: reply.Usage, stream: reply.Stream}
	if a.stream == nil {
		return a, nil
	}
	begun := false
	defer func() {
		if !begun { // after a panic of the provider, too
			_ = a.stream.Close() // the error of Next tells more
		}
	}()
	for !begun {
		e, err := a.stream.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, fault.New(fault.Unavailable, "the answer ended before it began")
		case err != nil:
			return nil, err
		case len(a.held) == maxHeld:
			return nil, fault.New(fault.Unavailable, "the answer has not begun after %d events", maxHeld)
		}
		begun = e.Says || e.Ends
		e.Raw, e.Data = bytes.Clone(e.Raw), bytes.Clone(e.Data)
		a.held = append(a.held, e)
	}
	return a, nil
}
