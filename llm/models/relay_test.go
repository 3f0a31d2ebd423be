package models_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/models"
	"github.com/lanewise/lanewise/llm/relay"
)

// passer is a pool that takes calls as they came, too.
type passer struct{ *pool }

// Relay answers with the pool's words, and reports its usage in an event of its own, as OpenAI does.
func (p passer) Relay(_ context.Context, c *relay.Call) (*relay.Reply, error) {
	p.log.add(p.name, llm.Prompt{Model: string(c.Bytes(relay.Splice{Model: "own", Usage: true})), Extra: c.Extra, NoWait: c.NoWait})
	if p.err != nil {
		return nil, p.err
	}
	if !c.Stream {
		return &relay.Reply{Body: []byte(`{"usage":{}}`), Usage: p.usage}, nil
	}
	p.log.opened(1)
	r := &events{words: words{pool: p.pool}}
	for _, w := range p.words {
		r.left = append(r.left, relay.Event{Raw: []byte(w), Look: relay.Look{Says: true, Choices: true}})
	}
	if c.Usage && p.usage != nil {
		r.left = append(r.left, relay.Event{Raw: []byte("usage "), Look: relay.Look{Counts: true, Usage: *p.usage}})
	}
	return &relay.Reply{Stream: r}, nil
}

type events struct {
	words
	left []relay.Event
}

func (e *events) Next() (relay.Event, error) {
	if len(e.left) == 0 {
		if e.pool.later != nil {
			return relay.Event{}, e.pool.later
		}
		return relay.Event{}, io.EOF
	}
	next := e.left[0]
	e.left = e.left[1:]
	return next, nil
}

// relays makes all models of a family take calls as they came.
func (f *family) relays() *family {
	for i := range f.config.Models {
		f.config.Models[i].Provider = passer{f.config.Models[i].Provider.(*pool)}
	}
	return f
}

func call(t *testing.T, model, more string) *relay.Call {
	t.Helper()
	c, err := relay.Parse(relay.Chat, []byte(fmt.Sprintf(`{"model": %q, %s "messages": [{"role": "user", "content": %q}]}`, model, more, strings.Repeat("word", 96))))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const streamed = `"stream": true,`

// passed reads a stream to its end.
func passed(t *testing.T, s relay.Stream) (text string, usage relay.Usage, err error) {
	t.Helper()
	for {
		e, err := s.Next()
		if errors.Is(err, io.EOF) {
			return text, usage, s.Close()
		} else if err != nil {
			_ = s.Close()
			return text, usage, err
		}
		text += string(e.Raw)
		if e.Counts {
			usage = e.Usage
		}
	}
}

func TestRelay_fallsBackAndNamesTheModel(t *testing.T) {
	f := newFamily("a", "quotes", "b").relays()
	f.config.Models[1].Provider = f.pools["quotes"] // cannot take calls
	f.config.Models[0].Aliases = []string{"gpt"}
	f.config.Models[0].Fallbacks = []models.Fallback{{Model: "quotes"}, {Model: "b"}}
	f.config.Models[1].Fallbacks = nil
	f.pools["a"].err = fault.Busy(1, "full")
	s := f.set(t)
	reply, err := s.Relay(t.Context(), call(t, "gpt", ""))
	if err != nil || reply.Route.Asked != "gpt" || reply.Route.Chosen != "b" || strings.Join(f.log.asked, " ") != "a b" {
		t.Fatalf("%+v, %v, asked %v", reply, err, f.log.asked)
	}
	if sent := f.log.prompts[1]; !strings.Contains(sent.Model, `"model": "own"`) || !sent.Extra || sent.NoWait {
		t.Errorf("b was sent %s, extra %v, no wait %v", sent.Model, sent.Extra, sent.NoWait)
	}
	if first := f.log.prompts[0]; first.Extra || !first.NoWait {
		t.Errorf("a was asked as an extra attempt %v, no wait %v", first.Extra, first.NoWait)
	}
	if _, err := s.Relay(t.Context(), call(t, "quotes", "")); !errors.Is(err, fault.NotFound) || fault.Field(err) != "/model" {
		t.Errorf("a model that quotes: %v", err)
	}
	if !s.Relays() || newFamily("a").set(t).Relays() {
		t.Error("Relays is wrong")
	}
}

func TestRelay_longCallsGoToTheLargeModel(t *testing.T) {
	f := newFamily("small", "large").relays()
	f.config.Models[0].Window.Context = 300 // 100 and an answer do not fit
	reply, err := f.set(t).Relay(t.Context(), call(t, "small", ""))
	if err != nil || reply.Route.Chosen != "large" || len(f.log.asked) != 1 {
		t.Errorf("%+v, %v, asked %v", reply, err, f.log.asked)
	}
}

// The usage is asked for in any case, has the cost, and only those who asked for it see it.
func TestRelay_usage(t *testing.T) {
	for more, want := range map[string]string{
		"": "", streamed: "I am a",
		streamed + `"stream_options": {"include_usage": true},`:  "I am ausage ",
		streamed + `"stream_options": {"include_usage": false},`: "I am a",
	} {
		f := newFamily("a").relays()
		f.pools["a"].usage = &llm.Usage{PromptTokens: 1e6, CompletionTokens: 10}
		f.config.Models[0].Price = llm.Price{Prompt: 3}
		var served []models.Served
		f.config.Served = func(s models.Served) { served = append(served, s) }
		reply, err := f.set(t).Relay(t.Context(), call(t, "a", more))
		if err != nil {
			t.Fatal(err)
		}
		usage, text := relay.Usage{}, ""
		if reply.Stream == nil {
			usage = *reply.Usage
		} else if text, usage, err = passed(t, reply.Stream); err != nil {
			t.Fatal(err)
		}
		shown := more == "" || strings.Contains(text, "usage")
		if text != want || shown && usage.Cost != 3 || len(served) != 1 || served[0].Usage.Cost != 3 || served[0].Model != "a" {
			t.Errorf("%s: %q, usage %+v, told of %+v", more, text, usage, served)
		}
		if sent := f.log.prompts[0].Model; strings.Contains(more, "stream") != strings.Contains(sent, `"include_usage":true`) && !strings.Contains(sent, `"include_usage": true`) {
			t.Errorf("%s: sent %s", more, sent)
		}
	}
}

func TestRelay_settlesTheAllowance(t *testing.T) {
	down := fault.New(fault.Unavailable, "down")
	for name, c := range map[string]struct {
		more   string
		change func(*pool)
		used   float64
		err    error
	}{
		"whole":               {"", func(p *pool) { p.usage = &llm.Usage{PromptTokens: 120, CompletionTokens: 30} }, 150, nil},
		"whole, not reported": {"", func(*pool) {}, 100 + 256, nil},
		"as reported":         {streamed, func(p *pool) { p.usage = &llm.Usage{PromptTokens: 120, CompletionTokens: 30} }, 150, nil},
		"not reported":        {streamed, func(*pool) {}, 100 + 2, nil},
		"nobody answered":     {streamed, func(p *pool) { p.err = down }, 0, down},
		"broken off":          {streamed, func(p *pool) { p.later = down }, 100 + 2, down},
	} {
		synctest.Test(t, func(t *testing.T) {
			f, tenants := budget(t)
			f.relays()
			c.change(f.pools["a"])
			asked := call(t, "a", c.more+`"max_tokens": 900, "n": 3,`)
			asked.Tenant = "acme"
			reply, err := f.set(t).Relay(t.Context(), asked)
			if err == nil && reply.Stream != nil {
				if left := tenants.Left("acme").Tokens; left != 10_000-float64(asked.PromptTokens)-2700 {
					t.Errorf("%s: %v left at the beginning", name, left)
				}
				_, _, err = passed(t, reply.Stream)
			}
			used := c.used - 100 + float64(asked.PromptTokens)
			if c.used < 100 || f.pools["a"].usage != nil {
				used = c.used
			}
			if left := tenants.Left("acme").Tokens; !errors.Is(err, c.err) || left != 10_000-used {
				t.Errorf("%s: %v, %v left; want %v used", name, err, left, used)
			}
		})
	}
}

// A client that leaves, in whatever way, pays for what it saw, once.
func TestRelay_leaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, tenants := budget(t)
		f.relays()
		ctx, cancel := context.WithCancel(t.Context())
		asked := call(t, "a", streamed)
		reply, err := f.set(t).Relay(ctx, asked)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = reply.Stream.Next()
		cancel()
		synctest.Wait()
		want := 10_000 - float64(asked.PromptTokens) - 1
		if left := tenants.Left("").Tokens; left != want {
			t.Errorf("%v left, want %v", left, want)
		}
		_ = reply.Stream.Close()
		if left := tenants.Left("").Tokens; left != want || f.log.open != 0 {
			t.Errorf("%v left, want %v; %d streams are open", left, want, f.log.open)
		}
	})
}
