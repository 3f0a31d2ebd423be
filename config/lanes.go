package config

import (
	"cmp"
	"context"
	"fmt"
	"runtime"

	"github.com/lanewise/lanewise/embed"
	embedai "github.com/lanewise/lanewise/embed/openai"
	"github.com/lanewise/lanewise/embed/static"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/extract"
	llmai "github.com/lanewise/lanewise/llm/openai"
)

// openEmbedders returns a lane for each space, in the order of their first
// upstreams.
func (s *System) openEmbedders(ctx context.Context, c Embed) ([]embed.Provider, error) {
	var order []embed.Space
	lanes := map[embed.Space][]embed.Upstream{}
	for i, u := range c.Upstreams {
		provider, err := s.embedProvider(ctx, u)
		if err != nil {
			return nil, fmt.Errorf("embed.upstreams[%d]: %w", i, err)
		}
		space := provider.Space()
		if lanes[space] == nil {
			order = append(order, space)
		}
		up := embed.Upstream{Name: u.Name, Provider: provider, Weight: u.Weight, Slots: u.Slots, Tier: u.Tier, Aborts: u.Aborts}
		if u.Kind == kindStatic { // in this process: one call more than processors keeps them busy
			up.Aborts, up.Zeros, up.Slots = true, true, cmp.Or(u.Slots, runtime.GOMAXPROCS(0)+1)
		}
		lanes[space] = append(lanes[space], up)
	}
	var out []embed.Provider
	for _, space := range order {
		lane, err := embed.New(embed.Config{
			Name: "embed " + space.ID(), Upstreams: lanes[space], CacheBytes: int64(c.Cache) / int64(len(order)),
		})
		if err != nil {
			return nil, fmt.Errorf("embed: %w", err)
		}
		s.opened(lane.Close)
		out = append(out, lane)
	}
	return out, nil
}

func (s *System) embedProvider(ctx context.Context, u EmbedUpstream) (embed.Provider, error) {
	if u.Kind == kindStatic {
		return static.New()
	}
	p, err := embedai.New(ctx, embedai.Config{
		URL: u.URL, Key: string(u.Key), Model: u.Model, Dims: u.Dims, Revision: u.Revision,
		Normalized: u.Normalized, SendDimensions: u.SendDims, QueryPrefix: u.QueryPrefix, DocumentPrefix: u.DocumentPrefix,
	})
	if err != nil {
		return nil, err
	}
	s.opened(p.Close)
	return p, nil
}

// openGenerator returns the lane that writes answers. A quoting upstream judges
// sentences by the first embedder.
func (s *System) openGenerator(c LLM, e embed.Provider) (llm.Provider, error) {
	var upstreams []llm.Upstream
	for i, u := range c.Upstreams {
		provider, err := s.llmProvider(u, e)
		if err != nil {
			return nil, fmt.Errorf("llm.upstreams[%d]: %w", i, err)
		}
		upstreams = append(upstreams, llm.Upstream{
			Name: u.Name, Provider: provider, Model: u.Model, Weight: u.Weight, Slots: u.Slots, Tier: u.Tier, Aborts: u.Aborts || u.Kind == kindExtract,
		})
	}
	lane, err := llm.New(llm.Config{Upstreams: upstreams})
	if err != nil {
		return nil, fmt.Errorf("llm: %w", err)
	}
	s.opened(lane.Close)
	return lane, nil
}

func (s *System) llmProvider(u LLMUpstream, e embed.Provider) (llm.Provider, error) {
	if u.Kind == kindExtract {
		return extract.New(extract.Config{Embed: sentences(e)})
	}
	p, err := llmai.New(llmai.Config{URL: u.URL, Key: string(u.Key), Model: u.Model})
	if err != nil {
		return nil, err
	}
	s.opened(p.Close)
	return p, nil
}

// sentences embeds texts into rows, all of one task so that a question and a
// sentence can be compared.
func sentences(e embed.Provider) func(ctx context.Context, texts []string) ([][]float32, error) {
	return func(ctx context.Context, texts []string) ([][]float32, error) {
		v, err := e.Embed(ctx, embed.Batch{Texts: texts, Task: embed.QueryTask})
		if err != nil {
			return nil, err
		}
		rows := make([][]float32, v.Rows())
		for i := range rows {
			rows[i] = v.Row(i)
		}
		return rows, nil
	}
}
