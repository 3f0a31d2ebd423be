// Package cohere embeds with servers of Cohere's /embed, which are told whether a
// text is a query or a document.
package cohere

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/openaiwire"
)

// Config describes a server and the model on it. URL and Model must be set.
type Config struct {
	URL   string   // base, such as "https://api.cohere.com/v2"; without a path it gets "/v2"
	Key   string   // bearer token; empty: none
	Keys  []string // more of them, used in turn; one that is refused is never used again
	Model string

	// Dims is the length of the vectors; 0: learned from a call that [New] makes.
	Dims int
	// SendDimensions asks the server to shorten its vectors to Dims.
	SendDimensions bool
	Revision       string // of the model, as the operator asserts it
	Normalized     bool   // the operator asserts that vectors have length 1
	// QueryType and DocumentType are sent as "input_type"; empty: "search_query" and
	// "search_document".
	QueryType, DocumentType string

	// Limits of one call; the zero value stands for 96 texts.
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
	c.QueryType = cmp.Or(c.QueryType, "search_query")
	c.DocumentType = cmp.Or(c.DocumentType, "search_document")
	if c.Limits == (embed.Limits{}) {
		c.Limits, _ = embed.Preset("cohere")
	}
	client, err := openaiwire.New(openaiwire.Config{URL: c.URL, Root: "/v2", Key: c.Key, Keys: c.Keys, Client: c.Client})
	if err != nil {
		return nil, err
	}
	p := &Provider{client: client, config: c, space: embed.Space{Model: c.Model, Revision: c.Revision, Dims: c.Dims, Normalized: c.Normalized}}
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
	Texts      []string `json:"texts"`
	Type       string   `json:"input_type"`
	Forms      []string `json:"embedding_types"`
	Truncate   string   `json:"truncate"`
	Dimensions int      `json:"output_dimension,omitempty"`
}

// answer is the body of a successful call.
type answer struct {
	Embeddings rows `json:"embeddings"`
	Meta       struct {
		Billed struct {
			Tokens int `json:"input_tokens"`
		} `json:"billed_units"`
	} `json:"meta"`
}

// rows are the vectors, in their older form a plain list, in the newer one a list
// for each number format.
type rows []openaiwire.Vector

// UnmarshalJSON reads either form.
func (r *rows) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, (*[]openaiwire.Vector)(r))
	}
	var forms struct {
		Float []openaiwire.Vector `json:"float"`
	}
	err := json.Unmarshal(data, &forms)
	*r = forms.Float
	return err
}

// Embed makes one call for the whole batch. Errors have the server's class; an
// answer that does not fit the call is fault.Unavailable.
func (p *Provider) Embed(ctx context.Context, b embed.Batch) (embed.Vectors, error) {
	if len(b.Texts) == 0 {
		return embed.Vectors{Dims: p.space.Dims}, nil
	}
	r := request{Model: p.config.Model, Texts: b.Texts, Type: p.config.DocumentType, Forms: []string{"float"}, Truncate: "NONE"}
	if b.Task == embed.QueryTask {
		r.Type = p.config.QueryType
	}
	if p.config.SendDimensions {
		r.Dimensions = p.config.Dims
	}
	resp, err := p.client.Post(ctx, "/embed", r)
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
	v.Tokens = max(a.Meta.Billed.Tokens, 0)
	return v, nil
}
