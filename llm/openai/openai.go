// Package openai generates with any server that has OpenAI's
// /v1/chat/completions: OpenAI itself, Azure's deployments, vLLM, SGLang,
// llama.cpp, TGI, Ollama and most hosted models.
package openai

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

// Config describes a server and the model on it. URL and Model must be set.
type Config struct {
	URL string // base, such as "https://api.openai.com/v1"; without a path it gets "/v1"
	Key string // bearer token; empty: none
	// Keys are used in turn, beside Key; one that is refused is never used again.
	Keys  []string
	Model string // for prompts that name none

	// KeyHeader carries the key as it is, instead of a bearer token: "api-key" for Azure.
	KeyHeader string
	// Deployment is what Azure OpenAI calls a model that somebody set up. URL is then
	// the resource's ("https://NAME.openai.azure.com"), Model may be empty, and
	// KeyHeader is "api-key" by default.
	Deployment string
	// APIVersion is that of Azure's API; empty: "2024-10-21".
	APIVersion string

	// LimitField is the name under which a prompt's MaxTokens is sent: "max_tokens",
	// the default, or "max_completion_tokens", which OpenAI's newer models demand.
	LimitField string
	// NoUsage leaves "stream_options" out, for servers that refuse it. The usage is
	// then estimated, unless the server reports it unasked.
	NoUsage bool
	// Continue is how the server goes on with an answer that another one has begun;
	// empty: it cannot.
	Continue Continuation
	// MaxEvent bounds one event of a stream, in bytes; 0: 1 MiB.
	MaxEvent int
	// Client carries the calls; nil: one without redirects and without a timeout
	// beside the context's.
	Client *http.Client
}

// Provider generates with one server. Safe for concurrent use.
type Provider struct {
	client *openaiwire.Client
	config Config
}

var _ llm.Provider = (*Provider)(nil)

// New checks c; it makes no call. Its errors are fault.Invalid and name the field
// by its pointer ("/model").
func New(c Config) (*Provider, error) {
	c, err := c.azure()
	if err != nil {
		return nil, err
	}
	c.LimitField = cmp.Or(c.LimitField, "max_tokens")
	switch {
	case c.Model == "":
		return nil, fault.BadField("/model", "is missing")
	case c.LimitField != "max_tokens" && c.LimitField != "max_completion_tokens":
		return nil, fault.BadField("/limit_field", "must be max_tokens or max_completion_tokens, is %q", c.LimitField)
	case c.Continue != "" && c.Continue != Flags && c.Continue != Prefill:
		return nil, fault.BadField("/continue", "must be flags or prefill, is %q", c.Continue)
	case c.MaxEvent < 0:
		return nil, fault.BadField("/max_event", "is negative")
	}
	client, err := openaiwire.New(openaiwire.Config{URL: c.URL, Key: c.Key, Keys: c.Keys, KeyHeader: c.KeyHeader, Client: c.Client})
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

// path of the calls, below the base URL.
const path = "/chat/completions"

// request is the body of a call.
type request struct {
	Model               string    `json:"model"`
	Messages            []message `json:"messages"`
	Stream              bool      `json:"stream"`
	StreamOptions       *options  `json:"stream_options,omitempty"`
	MaxTokens           int       `json:"max_tokens,omitempty"`
	MaxCompletionTokens int       `json:"max_completion_tokens,omitempty"`
}

type message struct {
	Role    llm.Role `json:"role"`
	Content string   `json:"content"`
}

type options struct {
	IncludeUsage bool `json:"include_usage"`
}

// Generate makes the call and returns when the server has accepted it. Errors
// have the server's class (see package fault), from here and from the stream's
// Next alike: a stream that breaks off or turns into an error is Unavailable or
// what the error says. Closing the stream cancels the call.
func (p *Provider) Generate(ctx context.Context, prompt llm.Prompt) (llm.Stream, error) {
	if len(prompt.Messages) == 0 {
		return nil, fault.BadField("/messages", "must not be empty")
	}
	body := p.request(prompt)
	ctx, cancel := context.WithCancel(ctx)
	resp, err := p.client.Post(ctx, path, body) //nolint:bodyclose // the stream's Close does
	if err != nil {
		cancel()
		return nil, err
	}
	s := &stream{ctx: ctx, cancel: cancel, client: p.client, resp: resp, model: body.Model}
	for _, m := range body.Messages {
		s.usage.PromptTokens += tokens.Estimate(m.Content)
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		s.events = &whole{stream: s} // the server does not stream
	} else {
		s.events = newSSE(s, p.config.MaxEvent)
	}
	return s, nil
}

func (p *Provider) request(prompt llm.Prompt) request {
	r := request{
		Model:    cmp.Or(prompt.Model, p.config.Model),
		Messages: make([]message, len(prompt.Messages)),
		Stream:   true,
	}
	for i, m := range prompt.Messages {
		r.Messages[i] = message(m)
	}
	if !p.config.NoUsage {
		r.StreamOptions = &options{IncludeUsage: true}
	}
	if p.config.LimitField == "max_tokens" {
		r.MaxTokens = prompt.MaxTokens
	} else {
		r.MaxCompletionTokens = prompt.MaxTokens
	}
	return r
}
