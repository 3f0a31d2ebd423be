package llm_test

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
)

// script is a provider that answers as it is told, and counts what is open.
type script struct {
	refuse error         // of Generate
	delay  time.Duration // before every chunk
	// firstDelay is the delay of the first answer; 0: as the others.
	firstDelay time.Duration
	chunks     []llm.Chunk
	end        error // behind the chunks; nil: io.EOF
	hang       bool  // behind the chunks, until the context ends
	panics     bool  // behind the chunks

	mu     sync.Mutex
	asked  []llm.Prompt
	opened int
	closed int
}

func (s *script) Generate(ctx context.Context, p llm.Prompt) (llm.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, p)
	if s.refuse != nil {
		return nil, s.refuse
	}
	s.opened++
	delay := s.delay
	if s.opened == 1 && s.firstDelay > 0 {
		delay = s.firstDelay
	}
	ctx, cancel := context.WithCancel(ctx)
	return &scripted{script: s, ctx: ctx, cancel: cancel, wait: delay}, nil
}

// left returns how many streams are open.
func (s *script) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened - s.closed
}

type scripted struct {
	*script
	ctx    context.Context
	cancel context.CancelFunc
	wait   time.Duration
	next   int
	once   sync.Once
}

func (s *scripted) Next() (llm.Chunk, error) {
	if s.next < len(s.chunks) {
		select {
		case <-time.After(s.wait):
		case <-s.ctx.Done():
			return llm.Chunk{}, s.ctx.Err()
		}
		s.next++
		return s.chunks[s.next-1], nil
	}
	switch {
	case s.panics:
		panic("scripted")
	case s.hang:
		<-s.ctx.Done()
		return llm.Chunk{}, s.ctx.Err()
	case s.end != nil:
		return llm.Chunk{}, s.end
	}
	return llm.Chunk{}, io.EOF
}

func (s *scripted) Close() error {
	s.once.Do(func() {
		s.cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closed++
	})
	return nil
}

var (
	down   = fault.New(fault.Unavailable, "down")
	role   = llm.Chunk{Model: "m"} // says nothing yet
	hello  = llm.Chunk{Content: "Hello"}
	world  = llm.Chunk{Content: " world"}
	stop   = llm.Chunk{Finish: "stop", Usage: &llm.Usage{PromptTokens: 30, CompletionTokens: 2}}
	prompt = llm.Prompt{Messages: []llm.Message{{Role: llm.User, Content: "why?"}}}
)

// lane returns a Generator over providers named "a", "b" and so on, tried in
// that order.
func lane(tb testing.TB, providers ...*script) *llm.Generator {
	tb.Helper()
	c := llm.Config{}
	for i, p := range providers {
		c.Upstreams = append(c.Upstreams, llm.Upstream{Name: string(rune('a' + i)), Provider: p, Tier: i})
	}
	return newLane(tb, c)
}

func newLane(tb testing.TB, c llm.Config) *llm.Generator {
	tb.Helper()
	g, err := llm.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// finish closes a lane and checks that nothing is left of its calls.
func finish(tb testing.TB, g *llm.Generator, providers ...*script) {
	tb.Helper()
	if err := g.Close(); err != nil {
		tb.Error(err)
	}
	for _, m := range g.Snapshot().Members {
		if m.Inflight != 0 || m.Load != 0 {
			tb.Errorf("member %s is left with %d attempts of load %d", m.Name, m.Inflight, m.Load)
		}
	}
	for i, p := range providers {
		if n := p.left(); n != 0 {
			tb.Errorf("provider %d is left with %d open streams", i, n)
		}
	}
}

// drain reads a stream to its end.
func drain(s llm.Stream) (chunks []llm.Chunk, err error) {
	for {
		c, err := s.Next()
		if err != nil {
			return chunks, err
		}
		chunks = append(chunks, c)
	}
}
