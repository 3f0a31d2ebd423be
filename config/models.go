package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/discovery"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/models"
)

// Model is a public name for a pool of upstreams.
type Model struct {
	Name    string   `yaml:"name"`
	Aliases []string `yaml:"aliases,omitempty"` // further names
	// Upstreams are the pool. They stand in for each other before any fallback is asked.
	Upstreams []struct {
		Name   string  `yaml:"name"`             // of the upstream
		Model  string  `yaml:"model,omitempty"`  // to ask it for. Default: the upstream's
		Weight float64 `yaml:"weight,omitempty"` // in this pool. Default: the upstream's
		Tier   int     `yaml:"tier,omitempty"`   // in this pool. Default: the upstream's
	} `yaml:"upstreams"`
	// Context is the window in tokens, of prompt and answer together. Default: not known.
	Context int `yaml:"context,omitempty"`
	// MaxOutput is the most that the model writes, in tokens. Default: not known.
	MaxOutput int `yaml:"max_output,omitempty"`
	// Cost is by the million tokens, in any currency. Default: not known.
	Cost struct {
		Prompt     float64 `yaml:"prompt,omitempty"`
		Completion float64 `yaml:"completion,omitempty"`
		Cached     float64 `yaml:"cached,omitempty"` // prompt tokens in the upstream's cache. Default: as prompt
	} `yaml:"cost,omitempty"`
	// Fallbacks are asked in this order where the whole pool could not begin an answer.
	Fallbacks []struct {
		Model string   `yaml:"model"`        // name or alias
		On    []string `yaml:"on,omitempty"` // rate, refused, context, unavailable. Default: all of them
	} `yaml:"fallbacks,omitempty"`
}

// Tenants bounds what each tenant may use of all models together, by the minute. Each
// router grants its part of it (quota.routers).
type Tenants struct {
	Requests int `yaml:"requests_per_minute,omitempty"` // default: no limit
	Tokens   int `yaml:"tokens_per_minute,omitempty"`   // of question and answer together. Default: no limit
	Most     int `yaml:"most,omitempty"`                // tenants that are remembered at one time. Default 100,000
	// Own is what single tenants may use instead.
	Own []struct {
		Tenant   string `yaml:"tenant"`
		Requests int    `yaml:"requests_per_minute,omitempty"` // default: no limit
		Tokens   int    `yaml:"tokens_per_minute,omitempty"`   // default: no limit
	} `yaml:"own,omitempty"`
}

// everyUpstream is the public name of the pool of upstreams with different models,
// where no models are configured.
const everyUpstream = "default"

// public returns the models as they are offered. Without a list of models these are
// all upstreams together, which answer what names nothing else, and the upstreams of
// each model, and each upstream, by name.
func (c LLM) public() []Model {
	if len(c.Models) > 0 {
		return c.Models
	}
	out := []Model{{Name: c.commonModel()}}
	for _, u := range c.Upstreams {
		out[0].add(u.Name)
	}
	if len(c.Upstreams) == 1 {
		if only := c.Upstreams[0].Name; only != out[0].Name {
			out[0].Aliases = []string{only}
		}
		return out
	}
	for _, u := range c.Upstreams {
		for _, name := range []string{u.model(), u.Name} {
			at := slices.IndexFunc(out, func(m Model) bool { return m.Name == name })
			if at < 0 {
				at = len(out)
				out = append(out, Model{Name: name})
			}
			if at > 0 {
				out[at].add(u.Name)
			}
		}
	}
	return out
}

// add puts an upstream into the pool, as it is, if it is not there.
func (m *Model) add(upstream string) {
	n := len(m.Upstreams)
	for _, u := range m.Upstreams {
		if u.Name == upstream {
			return
		}
	}
	m.Upstreams = slices.Grow(m.Upstreams, 1)[:n+1]
	m.Upstreams[n].Name = upstream
}

// model is what an upstream's answers are said to come from.
func (u LLMUpstream) model() string { return cmp.Or(u.Model, u.Kind) }

// commonModel is the model that all upstreams have, or else a name that none has.
func (c LLM) commonModel() string {
	model, taken := c.Upstreams[0].model(), map[string]bool{}
	same := true
	for _, u := range c.Upstreams {
		taken[u.Name], taken[u.model()] = true, true
		same = same && u.model() == model
	}
	if same {
		return model
	}
	name := everyUpstream
	for taken[name] {
		name += "-"
	}
	return name
}

// openGenerator returns what writes answers: the models, each a lane of its own over
// its upstreams. A quoting upstream judges sentences by the first embedder.
func (s *System) openGenerator(c LLM, e embed.Provider) (*models.Set, error) {
	upstreams, shown, err := s.openUpstreams(c, e)
	if err != nil {
		return nil, err
	}
	set := models.Config{Default: c.Default, Open: len(c.Models) == 0, Extra: s.extra, Served: s.served, Routes: s.routing()}
	s.generators = map[string]*llm.Generator{}
	var rosters []modelRoster
	for i, m := range c.public() {
		lane, err := llm.New(llm.Config{Name: laneName(m.Name, c), Upstreams: m.pool(upstreams), Hold: m.hold(c), Trace: s.trace(), First: s.timeouts.FirstContent, Idle: s.timeouts.Silence})
		if err != nil {
			return nil, fmt.Errorf("llm.models[%d]: %w", i, err)
		}
		s.opened(lane.Close)
		s.generators[m.Name] = lane
		rosters = append(rosters, m.roster(upstreams, lane))
		if m.Context == 0 {
			m.Context = window(m.members(), c.Upstreams)
		}
		set.Models = append(set.Models, m.open(lane))
	}
	s.measure(learners(s.generators), shown)
	s.discoverGenerators(c, upstreams, rosters)
	if err := s.follow(c.pages(), learners(s.generators)); err != nil { //nolint:contextcheck // it outlives the start
		return nil, err
	}
	if set.Tenants, err = c.Tenants.open(s.quotas.config.Routers); err != nil {
		return nil, fmt.Errorf("llm.tenants: %w", err)
	}
	out, err := models.New(set)
	if err != nil {
		return nil, fmt.Errorf("llm: %w", err)
	}
	return out, nil
}

// laneName is the name of a model's pool in errors and traces. Where no models are
// configured there is one that matters, and it keeps the name it always had.
func laneName(model string, c LLM) string {
	if len(c.Models) == 0 {
		return "llm"
	}
	return "llm " + model
}

// open describes the model for the chooser.
func (m Model) open(lane llm.Provider) models.Model {
	out := models.Model{
		Name: m.Name, Aliases: m.Aliases, Provider: lane, Window: llm.Window{Context: m.Context, Output: m.MaxOutput}, Price: llm.Price(m.Cost),
	}
	for _, f := range m.Fallbacks {
		on := make([]models.Cause, len(f.On))
		for i, cause := range f.On {
			on[i] = models.Cause(cause)
		}
		out.Fallbacks = append(out.Fallbacks, models.Fallback{Model: f.Model, On: on})
	}
	return out
}

// members are the names of the model's upstreams.
func (m Model) members() []string {
	out := make([]string, len(m.Upstreams))
	for i, u := range m.Upstreams {
		out[i] = u.Name
	}
	return out
}

// pool is the upstreams of the model, as it wants them.
func (m Model) pool(upstreams map[string]llm.Upstream) []llm.Upstream {
	out := make([]llm.Upstream, len(m.Upstreams))
	for i, place := range m.Upstreams {
		out[i] = m.placed(i, upstreams[place.Name])
	}
	return out
}

// placed is an upstream, or one that stands for it, at a place in the model's pool.
func (m Model) placed(at int, u llm.Upstream) llm.Upstream {
	place := m.Upstreams[at]
	u.Model, u.Weight, u.Tier = cmp.Or(place.Model, u.Model), cmp.Or(place.Weight, u.Weight), cmp.Or(place.Tier, u.Tier)
	return u
}

// hold is how many calls may wait while the model has no upstream, which may happen where
// all of them may be scaled to zero.
func (m Model) hold(c LLM) (most int) {
	for _, u := range c.Upstreams {
		if !slices.Contains(m.members(), u.Name) {
			continue
		}
		if u.Discover.Endpoints.Hold == 0 {
			return 0
		}
		most = max(most, u.Discover.Endpoints.Hold)
	}
	return most
}

// modelRoster is the members of a model's lane.
type modelRoster struct {
	Model
	members *roster[llm.Upstream]
}

func (m Model) roster(upstreams map[string]llm.Upstream, lane *llm.Generator) modelRoster {
	return modelRoster{m, alone(m.pool(upstreams), lane.Update)}
}

// set puts what was found into the place of an upstream, if the model has it.
func (m modelRoster) set(upstream string, list []llm.Upstream) error {
	at := slices.Index(m.Model.members(), upstream)
	if at < 0 {
		return nil
	}
	placed := make([]llm.Upstream, len(list))
	for i, u := range list {
		placed[i] = m.placed(at, u)
	}
	return m.members.set(at, placed)
}

// discoverGenerators has the lanes follow those who tell their members.
func (s *System) discoverGenerators(c LLM, upstreams map[string]llm.Upstream, rosters []modelRoster) {
	for _, u := range c.Upstreams {
		if u.Discover.isZero() {
			continue
		}
		discovering(s, "llm/"+u.Name, u.Discover, &found[generating, llm.Upstream]{
			url:   u.URL,
			means: map[string]string{"model": u.Model},
			open:  func(url string) (generating, error) { at := u; at.URL = url; return at.open(nil) },
			place: func(m discovery.Member, p generating) llm.Upstream {
				up := upstreams[u.Name]
				up.Name, up.Provider, up.Weight, up.Tier = memberName(u.Name, m), p, shared(u.Weight, m), u.Tier+m.Tier
				return up
			},
			apply: func(list []llm.Upstream) error {
				var errs []error
				for _, r := range rosters {
					errs = append(errs, r.set(u.Name, list))
				}
				return errors.Join(errs...)
			},
		})
	}
}

// learners are the lanes of all models. An upstream may be in several of them.
type learners map[string]*llm.Generator

// Learn tells every lane that has the upstream.
func (l learners) Learn(upstream string, aborts bool) error {
	for _, lane := range l {
		for _, m := range lane.Snapshot().Members {
			if m.Name != upstream {
				continue
			}
			if err := lane.Learn(upstream, aborts); err != nil {
				return err
			}
		}
	}
	return nil
}

// open returns the allowances of tenants, or nil where there are none.
func (t Tenants) open(routers int) (*quota.Tenants, error) {
	if t.isZero() {
		return nil, nil //nolint:nilnil // no limits
	}
	limit := func(requests, tokens int) quota.Limit {
		n := float64(max(routers, 1))
		return quota.Limit{Requests: float64(requests) / n, Tokens: float64(tokens) / n}
	}
	c := quota.TenantsConfig{Limit: limit(t.Requests, t.Tokens), Own: map[string]quota.Limit{}, Most: t.Most}
	for _, own := range t.Own {
		c.Own[own.Tenant] = limit(own.Requests, own.Tokens)
	}
	return quota.NewTenants(c)
}

func (t Tenants) isZero() bool { return t.Requests == 0 && t.Tokens == 0 && len(t.Own) == 0 }
