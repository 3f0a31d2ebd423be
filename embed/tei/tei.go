// Package tei embeds with Hugging Face's text-embeddings-inference, by its own
// /embed.
package tei

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/openaiwire"
)

// Config describes a server, which runs one model. URL must be set.
type Config struct {
	URL  string   // base, such as "http://127.0.0.1:8080"
	Key  string   // bearer token; empty: none
	Keys []string // more of them, used in turn; one that is refused is never used again

	Model string // name of the space's model; empty: what the server says that it runs
	// Dims is the length of the vectors; 0: learned from a call that [New] makes.
	Dims     int
	Revision string // of the model, as the operator asserts it
	// Raw asks for vectors as the model makes them; otherwise they have length 1.
	Raw            bool
	QueryPrefix    string // put before every query, such as "query: "
	DocumentPrefix string // put before every document

	// Limits of one call; the zero value stands for 32 texts of 1.8 MB together. What
	// the server says of itself replaces the number of texts and the window.
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

	mu     sync.Mutex
	limits embed.Limits
	asked  time.Time // when the server was last asked about itself; guarded by mu
	known  bool
}

var (
	_ embed.Provider    = (*Provider)(nil)
	_ embed.Limiter     = (*Provider)(nil)
	_ embed.TokenReader = (*Provider)(nil)
)

// New checks c. Where Model or Dims are missing it asks the server for them,
// bounded by ctx; otherwise it makes no call, and the server is asked for its
// limits with the first texts. Errors about c are fault.Invalid with the field's
// pointer ("/dims"); those of the calls have the server's class.
func New(ctx context.Context, c Config) (*Provider, error) {
	if c.Dims < 0 {
		return nil, fault.BadField("/dims", "is negative")
	}
	client, err := openaiwire.New(openaiwire.Config{URL: c.URL, Root: "/", Key: c.Key, Keys: c.Keys, Client: c.Client})
	if err != nil {
		return nil, err
	}
	p := &Provider{client: client, config: c, limits: c.Limits, space: embed.Space{
		Model: c.Model, Revision: c.Revision, Dims: c.Dims, Normalized: !c.Raw,
		QueryPrefix: c.QueryPrefix, DocumentPrefix: c.DocumentPrefix,
	}}
	if p.limits == (embed.Limits{}) {
		p.limits, _ = embed.Preset("tei")
	}
	if c.Model == "" || c.Dims == 0 {
		if err := p.learn(ctx); err != nil {
			client.Close()
			return nil, fmt.Errorf("ask the server about its model: %w", err)
		}
	}
	return p, nil
}

// info is what the server says of itself.
type info struct {
	Model  string `json:"model_id"`
	Inputs int    `json:"max_client_batch_size"`
	Window int    `json:"max_input_length"`
}

// maxInfo bounds the answer about the server, in bytes.
const maxInfo = 1 << 20

// learn asks for the model, the limits and, by a call, the dims.
func (p *Provider) learn(ctx context.Context) error {
	i, err := p.ask(ctx)
	if err != nil {
		return err
	}
	if p.space.Model = cmp.Or(p.space.Model, i.Model); p.space.Model == "" {
		return fault.BadField("/model", "is missing, and the server does not say it")
	}
	if p.space.Dims > 0 {
		return nil
	}
	v, err := p.Embed(ctx, embed.Batch{Texts: []string{"dimensions"}, Task: embed.DocumentTask})
	p.space.Dims = v.Dims
	return err
}

// ask reads /info and takes the limits over.
func (p *Provider) ask(ctx context.Context) (info, error) {
	resp, err := p.client.Get(ctx, "/info")
	if err != nil {
		return info{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	var i info
	if err := p.client.ReadJSON(ctx, resp, maxInfo, &i); err != nil {
		return info{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limits.Inputs = cmp.Or(max(i.Inputs, 0), p.limits.Inputs)
	p.limits.Window = cmp.Or(max(i.Window, 0), p.limits.Window)
	p.known = true
	return i, nil
}

const (
	patience = time.Second // for what the server says of itself
	again    = time.Minute // after which it is asked again, if it did not say
)

// introduce asks the server for its limits if they are not known. That it does
// not answer is no reason not to embed.
func (p *Provider) introduce(ctx context.Context) {
	p.mu.Lock()
	wait := p.known || time.Since(p.asked) < again
	if !wait {
		p.asked = time.Now()
	}
	p.mu.Unlock()
	if wait {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, _ = p.ask(ctx) //nolint:errcheck // see above
}

// Space returns the model's space, with what was configured or learned.
func (p *Provider) Space() embed.Space { return p.space }

// Limits returns the limits of one call as far as they are known by now.
func (p *Provider) Limits() embed.Limits {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limits
}

// ReadsTokens says that texts may come as token ids.
func (p *Provider) ReadsTokens() {}

// Close drops idle connections.
func (p *Provider) Close() error {
	p.client.Close()
	return nil
}

// request is the body of a call. The server never truncates: what does not fit is
// refused, so that nobody takes the vector of half a text for that of the whole.
type request struct {
	Inputs    any  `json:"inputs"` // []string or [][]uint32
	Normalize bool `json:"normalize"`
	Truncate  bool `json:"truncate"`
}

// Embed makes one call for the whole batch. Errors have the server's class: 413
// and 422, a batch or a text that is too long, are fault.Invalid; 424, a backend
// that failed, is fault.Unavailable, as is an answer that does not fit the call.
func (p *Provider) Embed(ctx context.Context, b embed.Batch) (embed.Vectors, error) {
	if b.Len() == 0 {
		return embed.Vectors{Dims: p.space.Dims}, nil
	}
	p.introduce(ctx)
	r := request{Inputs: b.Prefixed(p.space), Normalize: !p.config.Raw}
	if b.IDs != nil {
		r.Inputs = b.IDs
	}
	resp, err := p.client.Post(ctx, "/embed", r)
	if err != nil {
		return embed.Vectors{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	var rows []openaiwire.Vector
	if err := p.client.ReadJSON(ctx, resp, openaiwire.MaxVectors(b.Len(), p.space.Dims), &rows); err != nil {
		return embed.Vectors{}, err
	}
	v, err := embed.Collect(rows, b.Len(), p.space.Dims)
	if err != nil {
		return embed.Vectors{}, fmt.Errorf("answer of %q: %w", p.space.Model, err)
	}
	return v, nil
}
