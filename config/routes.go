package config

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	tally "github.com/lanewise/lanewise/internal/tokens"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/routes"
)

// BuildRoutes opens nothing but the semantic routes, with the embedding lane that they are scored
// with: to try thresholds. It is fault.Invalid where there are none. The system must be closed.
func (c *Config) BuildRoutes(ctx context.Context, o Options) (_ *System, err error) {
	if err := c.Validate(); err != nil { //nolint:contextcheck // it connects to nobody
		return nil, err
	}
	if len(c.LLM.Routes) == 0 {
		return nil, fault.New(fault.Invalid, "%sllm.routes: missing: there are no semantic routes", prefix(c.file))
	}
	r := c.Resolved()
	s := newSystem(r, Options{Log: o.Log})
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.openQuotas(r.Quotas); err != nil {
		return nil, fmt.Errorf("quota.redis: %w", err)
	}
	if s.embedders, err = s.openEmbedders(ctx, r.Embed); err != nil {
		return nil, err
	}
	return s, s.openRoutes(r.LLM, s.embedders[0])
}

// prefix puts a file before a path.
func prefix(file string) string {
	if file == "" {
		return ""
	}
	return file + ": "
}

// openRoutes makes the semantic routes, if there are any. They are scored in the first embedder's space, which is
// that of new collections.
func (s *System) openRoutes(c LLM, e embed.Provider) error {
	if len(c.Routes) == 0 {
		return nil
	}
	table := routes.Config{Embed: sentences(e, tally.Count)}
	for _, r := range c.Routes {
		table.Routes = append(table.Routes, routes.Route{
			Name: r.Name, Examples: r.Examples, Threshold: r.Threshold, Target: llm.Target{Model: r.Model, Collection: r.Collection, Prompt: r.Prompt},
		})
	}
	var err error
	if s.Routes, err = routes.New(table); err != nil {
		return fmt.Errorf("llm: %w", err)
	}
	return nil
}

// routing is what chooses by what is asked, or nil.
func (s *System) routing() func(ctx context.Context, text string) (llm.Routing, error) {
	if s.Routes == nil {
		return nil
	}
	return s.Routes.Pick
}

// routes checks the semantic routes. known are the models by all their names.
func (v *validator) routes(c LLM, known map[string]int) {
	names := map[string]string{}
	if len(c.Models) == 0 {
		known = c.upstreamNames()
		for i, u := range c.Upstreams {
			known[u.model()] = i
		}
		if len(c.Upstreams) == 0 {
			known[kindExtract] = 0
		}
	}
	for i, r := range c.Routes {
		path := fmt.Sprintf("llm.routes[%d]", i)
		v.check(r.Name != "", path+".name", "missing: what is the route called in explanations?")
		v.unique(names, r.Name, path+".name")
		v.check(len(r.Examples) > 0, path+".examples", "missing: what do people say who mean this route?")
		for j, text := range r.Examples {
			v.check(text != "", fmt.Sprintf("%s.examples[%d]", path, j), "is empty")
		}
		v.check(r.Threshold >= 0 && r.Threshold <= 1, path+".threshold", "must be above 0 and at most 1")
		v.notZero(path+".threshold", r.Threshold == 0, "the route would be taken for everything")
		v.check(r.Model != "" || r.Collection != "" || r.Prompt != "", path, "missing: model, collection or prompt: where does the route lead?")
		v.check(r.Prompt == "" || r.Prompt == "default" || slices.ContainsFunc(c.Prompts, func(p Prompt) bool { return p.Name == r.Prompt }), path+".prompt",
			fmt.Sprintf("there is no prompt %q in llm.prompts", r.Prompt))
		v.check(r.Model != autoModel, path+".model", "is auto, which the routes choose for")
		if r.Model != autoModel {
			v.modelNamed(path+".model", r.Model, known, true)
		}
	}
}
