// Package tei reranks with Hugging Face's text-embeddings-inference, by its own
// /rerank.
package tei

import (
	"context"
	"net/http"

	"github.com/lanewise/lanewise/internal/openaiwire"
	"github.com/lanewise/lanewise/rerank"
)

// Config describes a server, which runs one model. URL must be set.
type Config struct {
	URL string // base, such as "http://127.0.0.1:8080"
	Key string // bearer token; empty: none
	// Client carries the calls; nil: one without redirects and without a timeout
	// beside the context's.
	Client *http.Client
}

// Provider reranks with one server. Safe for concurrent use.
type Provider struct{ client *openaiwire.Client }

var _ rerank.Provider = (*Provider)(nil)

// New checks c and makes no call. Errors are fault.Invalid with the field's pointer.
func New(c Config) (*Provider, error) {
	client, err := openaiwire.New(openaiwire.Config{URL: c.URL, Root: "/", Key: c.Key, Client: c.Client})
	if err != nil {
		return nil, err
	}
	return &Provider{client: client}, nil
}

// Close drops idle connections.
func (p *Provider) Close() error {
	p.client.Close()
	return nil
}

// question is the body of a call. Texts beyond the model's window are cut, since
// their beginnings are still worth comparing.
type question struct {
	Query    string   `json:"query"`
	Texts    []string `json:"texts"`
	Truncate bool     `json:"truncate"`
}

type rank struct {
	Index int      `json:"index"`
	Score *float64 `json:"score"`
}

// maxAnswer bounds an answer, which is about 40 bytes a text.
const maxAnswer = 4 << 20

// Rerank makes one call. Errors have the server's class; an answer in which a
// text is missing or there twice is fault.Unavailable.
func (p *Provider) Rerank(ctx context.Context, b rerank.Batch) (rerank.Scores, error) {
	resp, err := p.client.Post(ctx, "/rerank", question{Query: b.Query, Texts: b.Texts, Truncate: true})
	if err != nil {
		return rerank.Scores{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	var ranks []rank
	if err := p.client.ReadJSON(ctx, resp, maxAnswer, &ranks); err != nil {
		return rerank.Scores{}, err
	}
	list := make([]rerank.Rank, len(ranks))
	for i, r := range ranks {
		list[i] = rerank.Rank(r)
	}
	return rerank.Collect(len(b.Texts), list)
}
