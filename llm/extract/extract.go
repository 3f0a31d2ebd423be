// Package extract answers questions without a model: it quotes the sentences of
// the sources that are closest to the question, and says that it quotes. The same
// sources and question always get the same answer.
//
// Sentences are chosen by maximal marginal relevance (Carbonell and Goldstein,
// SIGIR 1998) over the cosines of their embeddings, so that no two of them say
// the same, and by the question's own words that they have.
package extract

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
)

// Model is the name that answers carry as their model.
const Model = "extract"

// Config says how to embed and how much to quote. Embed must be set.
type Config struct {
	// Embed returns a vector for each text, all of one length.
	Embed func(ctx context.Context, texts []string) ([][]float32, error)
	// Sentences is the most that an answer quotes; 0: 3.
	Sentences int
	// Floor is the least cosine between the question and a sentence that is
	// quoted; 0: 0.45, below 0: none. It depends on the embedding model: the
	// default is for the embedded static one, where sentences that have nothing to
	// do with the question mostly stay below 0.4.
	Floor float64
}

// Defaults of [Config].
const (
	defaultSentences = 3
	defaultFloor     = 0.45
)

// Provider quotes. Safe for concurrent use.
type Provider struct{ config Config }

var _ llm.Provider = (*Provider)(nil)

// New checks c. Its errors are fault.Invalid and name the field by its pointer.
func New(c Config) (*Provider, error) {
	switch {
	case c.Embed == nil:
		return nil, fault.BadField("/embed", "is missing")
	case c.Sentences < 0:
		return nil, fault.BadField("/sentences", "is negative")
	case !(c.Floor <= 1):
		return nil, fault.BadField("/floor", "must be at most 1, the cosine of equal texts")
	}
	if c.Sentences == 0 {
		c.Sentences = defaultSentences
	}
	if c.Floor == 0 {
		c.Floor = defaultFloor
	}
	return &Provider{c}, nil
}

// Generate answers the prompt's Question from its Sources, a sentence a chunk.
// Without a Question it takes the last message of the user. Where no sentence is
// close enough the answer says that the sources do not answer, and cites none;
// Finish is "no_answer" then, "length" if MaxTokens cut the answer short, else
// "stop". The usage is estimated. Errors are those of Embed.
func (p *Provider) Generate(ctx context.Context, prompt llm.Prompt) (llm.Stream, error) {
	question := prompt.Question
	for i := len(prompt.Messages) - 1; i >= 0 && question == ""; i-- {
		if m := prompt.Messages[i]; m.Role == llm.User {
			question = m.Content
		}
	}
	if question == "" {
		return nil, fault.BadField("/question", "is missing")
	}
	candidates := collect(prompt.Sources)
	if len(candidates) > 0 {
		if err := p.score(ctx, question, candidates); err != nil {
			return nil, err
		}
	}
	s := &stream{ctx: ctx, chunks: compose(p.choose(candidates), prompt.MaxTokens)}
	last := &s.chunks[len(s.chunks)-1]
	last.Model, last.Usage = Model, usage(question, candidates, s.chunks)
	return s, nil
}

// score embeds question and candidates in one call and sets the candidates'
// cosines and scores.
func (p *Provider) score(ctx context.Context, question string, candidates []candidate) error {
	texts := make([]string, 0, len(candidates)+1)
	texts = append(texts, question)
	for _, c := range candidates {
		texts = append(texts, c.text)
	}
	vectors, err := p.config.Embed(ctx, texts)
	if err != nil {
		return fmt.Errorf("embed the sources' sentences: %w", err)
	}
	if len(vectors) != len(texts) {
		return fault.New(fault.Unavailable, "embedding gave %d vectors for %d texts", len(vectors), len(texts))
	}
	asked, shares := unit(vectors[0]), cover(question, texts[1:])
	for i := range candidates {
		c := &candidates[i]
		c.vector = unit(vectors[i+1])
		c.cosine = dot(asked, c.vector)
		c.score = (1-wordWeight)*c.cosine + wordWeight*shares[i]
	}
	return nil
}

// stream is an answer that is known already.
type stream struct {
	ctx    context.Context //nolint:containedctx // governs the whole stream
	chunks []llm.Chunk
	next   int
	closed atomic.Bool
}

// Next returns the next sentence.
func (s *stream) Next() (llm.Chunk, error) {
	switch {
	case s.ctx.Err() != nil:
		return llm.Chunk{}, s.ctx.Err()
	case s.closed.Load() || s.next == len(s.chunks):
		return llm.Chunk{}, io.EOF
	}
	s.next++
	return s.chunks[s.next-1], nil
}

// Close ends the answer.
func (s *stream) Close() error {
	s.closed.Store(true)
	return nil
}
