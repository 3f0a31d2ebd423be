// Package cohere reranks with any server that has Cohere's /rerank: Cohere
// itself, Jina, Voyage's and Mixedbread's compatible forms, vLLM, Infinity and LiteLLM.
package cohere

import (
	"context"
	"net/http"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/openaiwire"
	"github.com/lanewise/lanewise/rerank"
)

// Config describes a server and the model on it. URL and Model must be set.
type Config struct {
	URL   string // base, such as "https://api.cohere.com/v2"; without a path it gets "/v1"
	Key   string // bearer token; empty: none
	Model string
	// Client carries the calls; nil: one without redirects and without a timeout
	// beside the context's.
	Client *http.Client
}

// Provider reranks with one server. Safe for concurrent use.
type Provider struct {
	client *openaiwire.Client
	model  string
}

var _ rerank.Provider = (*Provider)(nil)

// New checks c and makes no call. Errors are fault.Invalid with the field's pointer.
func New(c Config) (*Provider, error) {
	if c.Model == "" {
		return nil, fault.BadField("/model", "is missing")
	}
	client, err := openaiwire.New(openaiwire.Config{URL: c.URL, Key: c.Key, Client: c.Client})
	if err != nil {
		return nil, err
	}
	return &Provider{client: client, model: c.Model}, nil
}

// Close drops idle connections.
func (p *Provider) Close() error {
	p.client.Close()
	return nil
}

// question is the body of a call.
type question struct {
	Model     string   `json:"model"`
	Query     string   `json:"query"`
	Documents []string `json:"documents"`
	TopN      int      `json:"top_n"` // some servers cut the list to a default otherwise
}

// answer is what comes back: the best first, by index.
type answer struct {
	Results []struct {
		Index int      `json:"index"`
		Score *float64 `json:"relevance_score"`
	} `json:"results"`
	Usage struct {
		TotalTokens int `json:"total_tokens"` // Jina, vLLM
	} `json:"usage"`
	Meta struct {
		Tokens struct {
			Input int `json:"input_tokens"` // Cohere
		} `json:"tokens"`
	} `json:"meta"`
}

// maxAnswer bounds an answer: some servers repeat the documents in it.
const maxAnswer = 64 << 20

// Rerank makes one call. Errors have the server's class; an answer in which a
// text is missing or there twice is fault.Unavailable.
func (p *Provider) Rerank(ctx context.Context, b rerank.Batch) (rerank.Scores, error) {
	resp, err := p.client.Post(ctx, "/rerank", question{Model: p.model, Query: b.Query, Documents: b.Texts, TopN: len(b.Texts)})
	if err != nil {
		return rerank.Scores{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	var a answer
	if err := p.client.ReadJSON(ctx, resp, maxAnswer, &a); err != nil {
		return rerank.Scores{}, err
	}
	list := make([]rerank.Rank, len(a.Results))
	for i, r := range a.Results {
		list[i] = rerank.Rank(r)
	}
	s, err := rerank.Collect(len(b.Texts), list)
	s.Tokens = max(a.Usage.TotalTokens, a.Meta.Tokens.Input, 0)
	return s, err
}
