// Package anthropic generates with the Messages API as it is: Anthropic's own
// /v1/messages and what imitates it.
//
// The forms are those of the API's documentation, version 2023-06-01. Parts of
// them that are not known here, such as new kinds of events, are passed over, as
// that documentation asks of clients.
package anthropic

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/openaiwire"
	"github.com/lanewise/lanewise/internal/tokens"
	"github.com/lanewise/lanewise/llm"
)

// Config describes a server and the model on it. Model must be set.
type Config struct {
	URL   string // base; empty: "https://api.anthropic.com". Without a path it gets "/v1"
	Key   string // sent as x-api-key; empty: none
	Model string // for prompts that name none

	Version string // of the API; empty: "2023-06-01"
	// MaxTokens bounds answers whose prompt sets no limit, since the API demands one;
	// 0: 4096.
	MaxTokens int
	// Cache marks the system prompt as one to be kept: its first use costs more, and
	// every further one within minutes much less.
	Cache bool
	// MaxEvent bounds one event of a stream, in bytes; 0: 1 MiB.
	MaxEvent int
	// Client carries the calls; nil: one without redirects and without a timeout
	// beside the context's.
	Client *http.Client
}

// Defaults of a server.
const (
	defaultURL       = "https://api.anthropic.com"
	defaultVersion   = "2023-06-01"
	defaultMaxTokens = 4096
)

// path of the calls, below the base URL.
const path = "/messages"

// Provider generates with one server. Safe for concurrent use.
type Provider struct {
	client *openaiwire.Client
	config Config
}

var _ llm.Provider = (*Provider)(nil)

// New checks c; it makes no call. Its errors are fault.Invalid and name the field
// by its pointer ("/model").
func New(c Config) (*Provider, error) {
	c.Version = cmp.Or(c.Version, defaultVersion)
	c.MaxTokens = cmp.Or(c.MaxTokens, defaultMaxTokens)
	switch {
	case c.Model == "":
		return nil, fault.BadField("/model", "is missing")
	case c.MaxTokens < 0:
		return nil, fault.BadField("/max_tokens", "is negative")
	case c.MaxEvent < 0:
		return nil, fault.BadField("/max_event", "is negative")
	}
	client, err := openaiwire.New(openaiwire.Config{
		URL: cmp.Or(c.URL, defaultURL), Key: c.Key, KeyHeader: "X-Api-Key",
		Headers: map[string]string{"Anthropic-Version": c.Version}, Client: c.Client,
	})
	if err != nil {
		return nil, err
	}
	return &Provider{client: client, config: c}, nil
}

// Close drops idle connections. Streams that are open go on.
func (p *Provider) Close() error {
	p.client.Close()
	return nil
}

// Generate makes the call and returns when the server has accepted it. Errors
// have the server's class (see package fault), from here and from the stream's
// Next alike: a stream that breaks off or turns into an error is Unavailable or
// what the error says. Closing the stream cancels the call.
func (p *Provider) Generate(ctx context.Context, prompt llm.Prompt) (llm.Stream, error) {
	body, err := p.request(prompt)
	if err != nil {
		return nil, err
	}
	a, err := p.open(ctx, body)
	if err != nil {
		return nil, err
	}
	s := &stream{answer: a, model: body.Model}
	for _, m := range prompt.Messages {
		s.usage.PromptTokens += tokens.Estimate(m.Content)
	}
	return s, nil
}

// open makes a call.
func (p *Provider) open(ctx context.Context, body request) (*answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	resp, err := p.client.Post(ctx, path, body) //nolint:bodyclose // the answer's close does
	if err != nil {
		cancel()
		return nil, err
	}
	a := &answer{ctx: ctx, cancel: cancel, client: p.client, resp: resp}
	a.events = newStreamed(a, p.config.MaxEvent)
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		a.events = &document{answer: a}
	}
	return a, nil
}

// request is the call of a prompt. What the API takes out of the messages is the
// system prompt; it refuses messages without text.
func (p *Provider) request(prompt llm.Prompt) (request, error) {
	r := request{
		Model:     cmp.Or(prompt.Model, p.config.Model),
		MaxTokens: cmp.Or(max(prompt.MaxTokens, 0), p.config.MaxTokens),
		Stream:    true,
	}
	for _, m := range prompt.Messages {
		switch part := text(m.Content); {
		case strings.TrimSpace(m.Content) == "":
		case m.Role == llm.System:
			r.System = append(r.System, part)
		default:
			r.add(string(m.Role), part)
		}
	}
	if len(r.Messages) == 0 {
		return r, fault.BadField("/messages", "must hold more than a system prompt")
	}
	p.mark(&r)
	return r, nil
}

// mark has the system prompt kept, if that is wanted.
func (p *Provider) mark(r *request) {
	if n := len(r.System); p.config.Cache && n > 0 {
		r.System[n-1].CacheControl = &cacheControl{Type: "ephemeral"}
	}
}
