package openai

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/openaiwire"
	"github.com/lanewise/lanewise/internal/sse"
	"github.com/lanewise/lanewise/llm/relay"
)

var (
	_ relay.Relayer   = (*Provider)(nil)
	_ relay.Continuer = (*Provider)(nil)
)

// Continuation is how a server is told to go on with an answer that broke off.
type Continuation string

// The ways.
const (
	Flags   Continuation = "flags"   // by the flag continue_final_message: vLLM, SGLang
	Prefill Continuation = "prefill" // by a conversation that ends with the assistant: llama.cpp
)

// Continues reports whether the server can go on with an answer that broke off.
func (p *Provider) Continues() bool { return p.config.Continue != "" }

// Relay passes a call on with the body that its client sent, except for the model
// and the option that reports the usage. Errors have the server's class and code;
// one that comes with status 200, as a document or an event, is an error too.
func (p *Provider) Relay(ctx context.Context, c *relay.Call) (*relay.Reply, error) {
	cancel := func() {}
	if c.Stream {
		ctx, cancel = context.WithCancel(ctx)
	}
	at := string(c.Endpoint)
	resp, err := p.client.PostRaw(ctx, at, c.Bytes(relay.Splice{
		Model: p.config.Model, Usage: !p.config.NoUsage, Flags: p.config.Continue == Flags,
	}), c.Stream) //nolint:bodyclose // the stream's Close does, or whole
	if err != nil {
		cancel()
		return nil, err
	}
	whole := strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json")
	if c.Stream && !whole {
		return &relay.Reply{Stream: p.follow(ctx, cancel, resp, at)}, nil
	}
	defer cancel()
	defer resp.Body.Close() //nolint:errcheck // read only
	body, look, err := p.document(ctx, resp, at)
	switch {
	case err != nil:
		return nil, err
	case c.Stream:
		return nil, fault.New(fault.Unavailable, "%s: the server does not stream", resp.Request.URL.Host)
	}
	reply := &relay.Reply{Body: body}
	if look.Counts {
		reply.Usage = &look.Usage
	}
	return reply, nil
}

// document reads an answer that is one JSON document.
func (p *Provider) document(ctx context.Context, resp *http.Response, at string) ([]byte, *relay.Look, error) {
	body, err := p.client.ReadAll(ctx, resp, maxWhole)
	if err != nil {
		return nil, nil, err
	}
	look, ok := relay.LookAt(body)
	if look.Error || !ok {
		if err := p.client.StreamFault(at, "", body); err != nil {
			return nil, nil, err
		}
	}
	if !ok || !look.Choices {
		return nil, nil, fault.New(fault.Unavailable, "%s: the answer has no choices", resp.Request.URL.Host)
	}
	return body, &look, nil
}

func (p *Provider) follow(ctx context.Context, cancel context.CancelFunc, resp *http.Response, at string) *relayed {
	return &relayed{ctx: ctx, cancel: cancel, client: p.client, resp: resp, at: at, frames: sse.NewFrames(resp.Body, p.config.MaxEvent)}
}

// relayed is the stream of a call that is passed on.
type relayed struct {
	ctx    context.Context //nolint:containedctx // governs the whole stream
	cancel context.CancelFunc
	client *openaiwire.Client
	resp   *http.Response
	at     string
	frames *sse.Frames
	done   atomic.Bool // the end mark was read
	once   sync.Once
}

// Next returns the next event.
func (s *relayed) Next() (relay.Event, error) {
	f, err := s.frames.Next()
	switch {
	case errors.Is(err, io.EOF):
		return relay.Event{}, io.EOF
	case err != nil:
		return relay.Event{}, s.client.Broken(s.ctx, s.at, err)
	}
	e := relay.Event{Raw: f.Raw, Data: f.Data, More: f.More}
	if f.Name == "error" {
		return e, s.client.StreamFault(s.at, f.Name, f.Data)
	}
	if len(bytes.TrimSpace(f.Data)) == 0 {
		return e, nil
	}
	look, ok := relay.LookAt(f.Data)
	if look.Error || !ok {
		if err := s.client.StreamFault(s.at, f.Name, f.Data); err != nil {
			return e, err
		}
	}
	if !ok {
		return e, fault.New(fault.Unavailable, "%s: an event of the stream is not a completion chunk", s.resp.Request.URL.Host)
	}
	e.Look = look
	if look.Done {
		s.done.Store(true)
	}
	return e, nil
}

// Close ends the call. One whose answer is not complete is cancelled, also while
// Next waits; after the end mark the connection is kept for the next call.
func (s *relayed) Close() error {
	s.once.Do(func() { openaiwire.End(s.resp, s.cancel, s.done.Load()) })
	return nil
}
