package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tokens"
	"github.com/lanewise/lanewise/internal/tracing"
	"github.com/lanewise/lanewise/search"
)

// embed turns texts into vectors of the collection's space.
func (r *Router) embed(ctx context.Context, c search.Collection, b embed.Batch) (embed.Vectors, error) {
	provider, err := r.embedderFor(c)
	if err != nil {
		return embed.Vectors{}, err
	}
	ctx, span := tracing.Start(ctx, "embed")
	span.Text("gen_ai.operation.name", "embeddings")
	span.Text("gen_ai.request.model", provider.Space().Model)
	v, err := provider.Embed(ctx, b)
	span.Number("gen_ai.usage.input_tokens", v.Tokens)
	tokens.Count(ctx, v.Tokens)
	span.End(err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return v, fmt.Errorf("embed: %w", err)
	case err != nil:
		return v, fmt.Errorf("embed into %s: %w", provider.Space().ID(), err)
	case v.Rows() != len(b.Texts) || v.Dims != c.Dims:
		return v, fault.New(fault.Unavailable, "embed into %s: got %d vectors of %d dims for %d texts and %d dims",
			provider.Space().ID(), v.Rows(), v.Dims, len(b.Texts), c.Dims)
	}
	r.keepCanaryLater(ctx, c.Space)
	return v, nil
}

// embedderFor returns the provider of the collection's space. A text is never
// embedded into another space than the one its collection names.
func (r *Router) embedderFor(c search.Collection) (embed.Provider, error) {
	if c.Space == "" {
		return nil, fault.BadField("/text", "collection %q names no embedding space: give a vector", c.Name)
	}
	for _, e := range r.cfg.Embedders {
		if e.Space().ID() == c.Space {
			return e, nil
		}
	}
	return nil, fault.New(fault.Conflict, "collection %q is of space %q, which no configured embedder has; configured: %s",
		c.Name, c.Space, r.spaces())
}

// spaces lists the configured spaces for a message.
func (r *Router) spaces() string {
	ids := make([]string, len(r.cfg.Embedders))
	for i, e := range r.cfg.Embedders {
		ids[i] = e.Space().ID()
	}
	return cmp.Or(strings.Join(ids, ", "), "none")
}

func quoted(s string) string { return strconv.Quote(s) }
