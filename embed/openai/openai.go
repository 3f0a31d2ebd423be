// Package openai embeds texts with any server that has OpenAI's /v1/embeddings:
// OpenAI itself, Azure, Voyage, vLLM, Infinity, llama.cpp and most gateways.
package openai

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
	// URL is the base, such as "https://api.openai.com/v1"; without a path it gets
	// "/v1". A query is kept, so that Azure's form is
	// "https://NAME.openai.azure.com/openai/deployments/DEPLOYMENT?api-version=VERSION".
	URL  string
	Key  string   // bearer token; empty: none
	Keys []string // more of them, used in turn; one that is refused is never used again, unless it is the only one
	// KeyHeader carries the key as it is, instead of a bearer token: "api-key" for Azure.
	KeyHeader string
	Model     string

	// Dims is the length of the vectors; 0: learned from a call that [New] makes.
	Dims int
	// SendDimensions asks the server to shorten its vectors to Dims, which some
	// models can ("dimensions" in the body; others refuse the field).
	SendDimensions bool
	// Base64 asks for vectors as base64, a third of the bytes; not every server
	// can. Answers are read in either form whatever was asked for.
	Base64 bool

	Revision       string // of the model, as the operator asserts it
	Normalized     bool   // the operator asserts that vectors have length 1
	QueryPrefix    string // put before every query, such as "query: "
	DocumentPrefix string // put before every document
	// QueryType and DocumentType are sent as "input_type" where they are set, such as
	// "query" and "document" for Voyage.
	QueryType, DocumentType string

	// Limits of one call; the zero value stands for OpenAI's own: 2,048 texts of
	// 300,000 tokens together. Larger batches are refused by the server, not split
	// here: embed.Embedder splits them.
	Limits embed.Limits
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
	_ embed.Provider    = (*Provider)(nil)
	_ embed.Limiter     = (*Provider)(nil)
	_ embed.TokenReader = (*Provider)(nil)
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
	if c.Limits == (embed.Limits{}) {
		c.Limits, _ = embed.Preset("openai")
	}
	client, err := openaiwire.New(openaiwire.Config{URL: c.URL, Key: c.Key, Keys: c.Keys, KeyHeader: c.KeyHeader, Client: c.Client})
	if err != nil {
		return nil, err
	}
	p := &Provider{client: client, config: c, space: embed.Space{
		Model: c.Model, Revision: c.Revision, Dims: c.Dims, Normalized: c.Normalized,
		QueryPrefix: c.QueryPrefix, DocumentPrefix: c.DocumentPrefix,
	}}
	if c.Dims == 0 {
		probe, err := p.Embed(ctx, embed.Batch{Texts: []string{"dimensions"}, Task: embed.DocumentTask})
		if err != nil {
			client.Close()
			return nil, fmt.Errorf("learn the dims of %q: %w", c.Model, err)
		}
		p.space.Dims = probe.Dims
	}
	return p, nil
}

// Space returns the model's space, with the dims that were configured or learned.
func (p *Provider) Space() embed.Space { return p.space }

// Limits returns the limits of one call.
func (p *Provider) Limits() embed.Limits { return p.config.Limits }

// ReadsTokens says that texts may come as token ids.
func (p *Provider) ReadsTokens() {}

// Close drops idle connections.
func (p *Provider) Close() error {
	p.client.Close()
	return nil
}

// request is the body of a call.
type request struct {
	Model      string `json:"model"`
	Input      any    `json:"input"` // []string or [][]uint32
	Encoding   string `json:"encoding_format"`
	Dimensions int    `json:"dimensions,omitempty"`
	Type       string `json:"input_type,omitempty"`
}

// Embed makes one call for the whole batch. The rows come back in the order of
// the texts, whatever order the server used. Errors: the server's by class (see
// package fault), Unavailable for an answer that does not fit the call.
func (p *Provider) Embed(ctx context.Context, b embed.Batch) (embed.Vectors, error) {
	if b.Len() == 0 {
		return embed.Vectors{Dims: p.space.Dims}, nil
	}
	resp, err := p.client.Post(ctx, "/embeddings", p.request(b))
	if err != nil {
		return embed.Vectors{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	var a answer
	if err := p.client.ReadJSON(ctx, resp, openaiwire.MaxVectors(b.Len(), p.space.Dims), &a); err != nil {
		return embed.Vectors{}, err
	}
	v, err := a.vectors(b.Len(), p.space.Dims)
	if err != nil {
		return embed.Vectors{}, fault.Wrap(fault.Unavailable, fmt.Sprintf("answer of %q", p.config.Model), err)
	}
	return v, nil
}

func (p *Provider) request(b embed.Batch) request {
	r := request{Model: p.config.Model, Input: b.Prefixed(p.space), Encoding: "float", Type: p.config.DocumentType}
	if b.IDs != nil {
		r.Input = b.IDs
	}
	if b.Task == embed.QueryTask {
		r.Type = p.config.QueryType
	}
	if p.config.Base64 {
		r.Encoding = "base64"
	}
	if p.config.SendDimensions {
		r.Dimensions = p.config.Dims
	}
	return r
}
