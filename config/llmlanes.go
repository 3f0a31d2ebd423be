package config

import (
	"context"
	"fmt"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/llm"
)

// staticFloor tells questions that the sources may answer from others, with the embedding model that is built
// in: of 176 questions about Go's library 3 % stay below, of 30 about anything else 90 %.
const staticFloor = 0.35

// openUpstreams returns the upstreams that write answers by name, and those of which
// it is measured whether they stop cancelled calls.
func (s *System) openUpstreams(c LLM, e embed.Provider) (map[string]llm.Upstream, []gauged, error) {
	upstreams := map[string]llm.Upstream{}
	var shown []gauged
	for i, u := range c.Upstreams {
		bucket, client, err := s.quota(u.Quota, "llm/"+u.Name)
		if err != nil {
			return nil, nil, fmt.Errorf("llm.upstreams[%d]: %w", i, err)
		}
		provider, err := s.llmProvider(u, e, client)
		if err != nil {
			return nil, nil, fmt.Errorf("llm.upstreams[%d]: %w", i, err)
		}
		upstreams[u.Name] = llm.Upstream{
			Name: u.Name, Provider: provider, Model: u.Model, Weight: u.Weight, Slots: u.Slots, Tier: u.Tier, Aborts: u.Aborts || u.Kind == kindExtract, Quota: bucket,
		}
		if u.Metrics != "" {
			shown = append(shown, gauged{u.Name, u.Metrics, busyGenerator(provider)})
		}
	}
	return upstreams, shown, nil
}

// sentences embeds texts into rows, all of one task so that a question and a
// sentence can be compared. count is told of their tokens.
func sentences(e embed.Provider, count func(ctx context.Context, tokens int)) func(ctx context.Context, texts []string) ([][]float32, error) {
	return func(ctx context.Context, texts []string) ([][]float32, error) {
		v, err := e.Embed(ctx, embed.Batch{Texts: texts, Task: embed.QueryTask})
		if err != nil {
			return nil, err
		}
		count(ctx, v.Tokens)
		rows := make([][]float32, v.Rows())
		for i := range rows {
			rows[i] = v.Row(i)
		}
		return rows, nil
	}
}
