// Package ollama embeds with an Ollama server, by its own /api/embed.
package ollama

import (
	"context"
	"fmt"
	"net/http"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/openaiwire"
)

// Config describes a server and the model on it. URL and Model must be set.
type Config struct {
	URL   string // base, such as "http://127.0.0.1:11434"
	Key   string // bearer token, for a server behind a gate; empty: none
	Model string

	// Dims is the length of the vectors; 0: learned from a call that [New] makes.
	Dims int
	// SendDimensions asks the server to shorten its vectors to Dims.
	SendDimensions bool
	Revision       string // of the model, as the operator asserts it
	Raw            bool   // the model's vectors are not of length 1; most servers normalize them
	QueryPrefix    string // put before every query, such as "search_query: "
	DocumentPrefix string // put before every document

	Limits embed.Limits // of one call; the server itself states none
	// Client carries the calls; nil: one without redirects and without a timeout
	// beside the context's.
	Client *http.Client
}

// Provider embeds with one server. Safe for concurrent use.
type Provider struct {
	client *openaiwire.Client
	config Config
	space  embed.Space
}

var (
	_ embed.Provider = (*Provider)(nil)
	_ embed.Limiter  = (*Provider)(nil)
)

// New checks c. If Dims is 0 it embeds one word to learn them, bounded by ctx;
// otherwise it makes no call. Errors about c are fault.Invalid with the field's
// pointer ("/model"); those of the call have the server's class.
func New(ctx context.Context, c Config) (*Provider, error) {
	switch {
	case c.Model == "":
		return nil, fault.BadField("/model", "is missing")
	case c.Dims < 0:
		return nil, fault.BadField("/dims", "is negative")
	case c.SendDimensions && c.Dims == 0:
		return nil, fault.BadField("/dims", "must be set to be sent")
	}
	client, err := openaiwire.New(openaiwire.Config{URL: c.URL, Root: "/", Key: c.Key, Client: c.Client})
	if err != nil {
		return nil, err
	}
	p := &Provider{client: client, config: c, space: embed.Space{
		Model: c.Model, Revision: c.Revision, Dims: c.Dims, Normalized: !c.Raw,
		QueryPrefix: c.QueryPrefix, DocumentPrefix: c.DocumentPrefix,
	}}
	if c.Dims == 0 {
		v, err := p.Embed(ctx, embed.Batch{Texts: []string{"dimensions"}, Task: embed.DocumentTask})
		if err != nil {
			client.Close()
			return nil, fmt.Errorf("learn the dims of %q: %w", c.Model, err)
		}
		p.space.Dims = v.Dims
	}
	return p, nil
}

// Space returns the model's space, with the dims that were configured or learned.
func (p *Provider) Space() embed.Space { return p.space }

// Limits returns the limits of one call.
func (p *Provider) Limits() embed.Limits { return p.config.Limits }

// Close drops idle connections.
func (p *Provider) Close() error {
	p.client.Close()
	return nil
}

// request is the body of a call. The server never truncates: what does not fit is
// refused, so that nobody takes the vector of half a text for that of the whole.
type request struct {
	Model      string   `json:"model"`
	Input      []string `json:"input"`
	Truncate   bool     `json:"truncate"`
	Dimensions int      `json:"dimensions,omitempty"`
}

// answer is the body of a successful call.
type answer struct {
	Embeddings []openaiwire.Vector `json:"embeddings"`
	Tokens     int                 `json:"prompt_eval_count"`
}

// Embed makes one call for the whole batch. Errors have the server's class; an
// answer that does not fit the call is fault.Unavailable.
func (p *Provider) Embed(ctx context.Context, b embed.Batch) (embed.Vectors, error) {
	if len(b.Texts) == 0 {
		return embed.Vectors{Dims: p.space.Dims}, nil
	}
	r := request{Model: p.config.Model, Input: b.Prefixed(p.space)}
	if p.config.SendDimensions {
		r.Dimensions = p.config.Dims
	}
	resp, err := p.client.Post(ctx, "/api/embed", r)
	if err != nil {
		return embed.Vectors{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	var a answer
	if err := p.client.ReadJSON(ctx, resp, openaiwire.MaxVectors(len(b.Texts), p.space.Dims), &a); err != nil {
		return embed.Vectors{}, err
	}
	v, err := embed.Collect(a.Embeddings, len(b.Texts), p.space.Dims)
	if err != nil {
		return embed.Vectors{}, fmt.Errorf("answer of %q: %w", p.config.Model, err)
	}
	v.Tokens = max(a.Tokens, 0)
	return v, nil
}
