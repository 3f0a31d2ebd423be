package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/models"
)

// models checks the models, who stands in for whom, and what tenants may use.
func (v *validator) models(c LLM) {
	upstreams := c.upstreamNames()
	names, known := map[string]string{}, map[string]int{}
	for i, m := range c.Models {
		path := fmt.Sprintf("llm.models[%d]", i)
		v.check(m.Name != "", path+".name", "missing: under which name is the model asked for?")
		v.publicName(names, path+".name", m.Name)
		for j, alias := range m.Aliases {
			v.check(alias != "", fmt.Sprintf("%s.aliases[%d]", path, j), "is empty")
			v.publicName(names, fmt.Sprintf("%s.aliases[%d]", path, j), alias)
		}
		for _, name := range append([]string{m.Name}, m.Aliases...) {
			known[name] = i
		}
		v.modelPool(path, m, upstreams)
		v.modelFigures(path, m)
	}
	v.modelNamed("llm.default", c.Default, known, len(c.Models) > 0)
	v.unused(c, upstreams)
	v.routes(c, known)
	v.fallbacks(c.Models, known)
	v.tenants("llm.tenants", c.Tenants)
}

// unused reports upstreams that no model has, where models are listed.
func (v *validator) unused(c LLM, upstreams map[string]int) {
	if len(c.Models) == 0 {
		return
	}
	for _, m := range c.Models {
		for _, u := range m.Upstreams {
			delete(upstreams, u.Name)
		}
	}
	for name, i := range upstreams {
		if i < len(c.Upstreams) {
			v.at(fmt.Sprintf("llm.upstreams[%d]", i), "no model of llm.models has the upstream %q", name)
		}
	}
}

// autoModel is the name under which a model is chosen by what a question is about.
const autoModel = llm.Auto

func (v *validator) publicName(names map[string]string, path, name string) {
	v.check(name != autoModel, path, "auto is what chooses among models by llm.routes: take another name")
	v.unique(names, name, path)
}

// upstreamNames are those that upstreams have, or get by their position.
func (c LLM) upstreamNames() map[string]int {
	names := map[string]int{}
	for i, u := range c.Upstreams {
		if u.Name == "" {
			u.Name = fmt.Sprintf("%s-%d", u.Kind, i)
		}
		names[u.Name] = i
	}
	if len(c.Upstreams) == 0 {
		names[kindExtract+"-0"] = 0
	}
	return names
}

// modelPool checks the upstreams of a model.
func (v *validator) modelPool(path string, m Model, upstreams map[string]int) {
	v.check(len(m.Upstreams) > 0, path+".upstreams", "missing: a model needs at least one of llm.upstreams")
	used := map[string]string{}
	for i, u := range m.Upstreams {
		at := fmt.Sprintf("%s.upstreams[%d]", path, i)
		v.weight(at, u.Weight)
		v.check(u.Tier >= 0, at+".tier", "must not be negative")
		v.unique(used, u.Name, at+".name")
		if _, ok := upstreams[u.Name]; u.Name == "" {
			v.at(at+".name", "missing: which of llm.upstreams?")
		} else if !ok {
			v.at(at+".name", "there is no upstream %q%s", u.Name, suggest(u.Name, upstreams))
		}
	}
}

func (v *validator) modelFigures(path string, m Model) {
	for key, n := range map[string]int{"context": m.Context, "max_output": m.MaxOutput} {
		v.check(n >= 0, path+"."+key, "must not be negative")
		v.notZero(path+"."+key, n == 0, "leave the key out where it is not known")
	}
	v.check(m.Context <= 0 || m.MaxOutput < m.Context, path+".max_output", "leaves no room for a prompt in the window")
	for key, n := range map[string]float64{"prompt": m.Cost.Prompt, "completion": m.Cost.Completion, "cached": m.Cost.Cached} {
		v.check(n >= 0, path+".cost."+key, "must not be negative")
	}
}

// modelNamed checks a reference to a model, if there is one.
func (v *validator) modelNamed(path, name string, known map[string]int, configured bool) {
	_, ok := known[name]
	switch {
	case name == "" || ok:
	case !configured:
		v.at(path, "there is no model %q: llm.models is empty", name)
	default:
		v.at(path, "there is no model %q%s", name, suggest(name, known))
	}
}

// fallbacks checks who stands in for whom. A circle is reported once, where it begins.
func (v *validator) fallbacks(list []Model, known map[string]int) {
	graph := map[string][]string{}
	for i, m := range list {
		for j, f := range m.Fallbacks {
			at := fmt.Sprintf("llm.models[%d].fallbacks[%d]", i, j)
			v.check(f.Model != "", at+".model", "missing: which model stands in?")
			v.modelNamed(at+".model", f.Model, known, true)
			v.causes(at, f.On)
			if to, ok := known[f.Model]; ok {
				graph[m.Name] = append(graph[m.Name], list[to].Name)
				v.larger(at, f.On, m, list[to])
			}
		}
	}
	told := map[string]bool{}
	for i, m := range list {
		way := models.Cycle(graph, m.Name)
		if way == nil || slices.ContainsFunc(way, func(name string) bool { return told[name] }) {
			continue
		}
		for _, name := range way {
			told[name] = true
		}
		v.at(fmt.Sprintf("llm.models[%d].fallbacks", i), "lead back to the model: %s", strings.Join(way, " → "))
	}
}

// causes checks for what a fallback is asked.
func (v *validator) causes(at string, list []string) {
	known := map[string]int{}
	for i, cause := range models.Causes() {
		known[string(cause)] = i
	}
	for k, on := range list {
		_, ok := known[on]
		if !ok {
			v.at(fmt.Sprintf("%s.on[%d]", at, k), "unknown cause %q%s", on, suggest(on, known))
		}
	}
	_, given := v.places[at+".on"]
	v.check(!given || len(list) > 0, at+".on", "is empty: the fallback would never be asked; leave it out for all causes")
}

// larger checks that a fallback for prompts that are too long can take them.
func (v *validator) larger(at string, on []string, m, to Model) {
	if !slices.Contains(on, string(models.TooLong)) || m.Context == 0 || to.Context == 0 || to.Context > m.Context {
		return
	}
	v.at(at+".on", "names context, but the window of %q (%d) is not larger than that of %q (%d)", to.Name, to.Context, m.Name, m.Context)
}

// tenants checks what tenants may use.
func (v *validator) tenants(path string, t Tenants) {
	v.allowance(path, t.Requests, t.Tokens)
	v.check(t.Most >= 0, path+".most", "must be at least 1")
	v.notZero(path+".most", t.Most == 0, "nobody would be remembered")
	_, given := v.places[path]
	v.check(!given || !t.isZero(), path, "missing: requests_per_minute, tokens_per_minute, or both, for all or for some")
	names := map[string]string{}
	for i, own := range t.Own {
		at := fmt.Sprintf("%s.own[%d]", path, i)
		v.check(own.Tenant != "", at+".tenant", "missing: whose allowance is it?")
		v.unique(names, own.Tenant, at+".tenant")
		v.allowance(at, own.Requests, own.Tokens)
		v.check(own.Requests != 0 || own.Tokens != 0, at, "missing: requests_per_minute, tokens_per_minute or both")
	}
}

func (v *validator) allowance(path string, requests, tokens int) {
	for key, n := range map[string]int{"requests_per_minute": requests, "tokens_per_minute": tokens} {
		v.check(n >= 0, path+"."+key, "must not be negative")
		v.notZero(path+"."+key, n == 0, allPass)
	}
}
