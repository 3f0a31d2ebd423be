package llm_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/relay"
)

// tape is an upstream that plays the same events to every call.
type tape struct {
	script       // takes prompts, which are not used here
	refuse error // of Relay
	events []string
	ends   error // behind the events; nil: io.EOF
	silent bool  // behind the events, until the context ends
	deaf   bool  // before them, until the context ends
	panics bool
	pause  time.Duration // before every event
	late   time.Duration // before every event of the first call, instead
	whole  string        // the answer to calls that want no stream

	mu      sync.Mutex
	calls   int
	playing int
	last    relay.Call
}

func (s *tape) Relay(ctx context.Context, c *relay.Call) (*relay.Reply, error) {
	s.mu.Lock()
	s.calls++
	s.last = *c
	s.mu.Unlock()
	switch {
	case s.refuse != nil:
		return nil, s.refuse
	case s.deaf:
		<-ctx.Done()
		return nil, ctx.Err()
	case s.panics:
		panic("taped")
	case !c.Stream:
		look, _ := relay.LookAt([]byte(s.whole))
		return &relay.Reply{Body: []byte(s.whole), Usage: &look.Usage}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.playing++
	pause := s.pause
	if s.calls == 1 && s.late > 0 {
		pause = s.late
	}
	return &relay.Reply{Stream: &player{tape: s, ctx: ctx, wait: pause}}, nil
}

func (s *tape) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.playing
}

type player struct {
	*tape
	ctx  context.Context
	wait time.Duration
	next int
	once sync.Once
}

func (p *player) Next() (relay.Event, error) {
	select {
	case <-time.After(p.wait):
	case <-p.ctx.Done():
		return relay.Event{}, p.ctx.Err()
	}
	if p.next < len(p.events) {
		data := p.events[p.next]
		p.next++
		look, ok := relay.LookAt([]byte(data))
		if !ok {
			return relay.Event{Raw: []byte(data)}, nil // a comment
		}
		return relay.Event{Raw: []byte("data: " + data + "\n\n"), Data: []byte(data), Look: look}, nil
	}
	if p.silent {
		<-p.ctx.Done()
		return relay.Event{}, p.ctx.Err()
	}
	if p.ends != nil {
		return relay.Event{}, p.ends
	}
	return relay.Event{}, io.EOF
}

// Continues lets every tape go on with an answer.
func (s *tape) Continues() bool { return true }

func (p *player) Close() error {
	p.once.Do(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.playing--
	})
	return nil
}

const (
	begin   = `{"choices":[{"delta":{"role":"assistant","content":""}}]}`
	word    = `{"choices":[{"delta":{"content":"a"}}]}`
	ended   = `{"choices":[{"delta":{},"finish_reason":"stop"}]}`
	billing = `{"choices":[],"usage":{"prompt_tokens":30,"completion_tokens":20}}`
	mark    = `[DONE]`
)

// ask is a call whose prompt is estimated at 5 tokens.
func ask(tb testing.TB, stream bool) *relay.Call {
	tb.Helper()
	c, err := relay.Parse(relay.Chat, fmt.Appendf(nil, `{"model":"m","stream":%v,"messages":[{"role":"user","content":"why?"}]}`, stream))
	if err != nil {
		tb.Fatal(err)
	}
	c.Prefix = 0 // no affinity
	return c
}

// relays returns a lane over upstreams named "a", "b" and so on, tried in that order.
func relays(tb testing.TB, tapes ...*tape) *llm.Generator {
	tb.Helper()
	c := llm.Config{First: 20 * time.Second, Idle: 5 * time.Second}
	for i, p := range tapes {
		c.Upstreams = append(c.Upstreams, llm.Upstream{Name: string(rune('a' + i)), Provider: p, Tier: i})
	}
	return newLane(tb, c)
}

// play reads an answer to its end.
func play(reply *relay.Reply) (text string, err error) {
	var out strings.Builder
	for {
		e, err := reply.Stream.Next()
		if err != nil {
			return out.String(), err
		}
		out.Write(e.Raw)
	}
}

// over checks that nothing is left of a lane's calls.
func over(tb testing.TB, g *llm.Generator, tapes ...*tape) {
	tb.Helper()
	finish(tb, g)
	for i, p := range tapes {
		if n := p.left(); n != 0 {
			tb.Errorf("upstream %d is left with %d open streams", i, n)
		}
	}
}
