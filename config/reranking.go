package config

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/lanewise/lanewise/discovery"
	"github.com/lanewise/lanewise/rerank"
	"github.com/lanewise/lanewise/rerank/cohere"
	"github.com/lanewise/lanewise/rerank/tei"
)

// Rerank lists the upstreams that put candidates in order, all with one model.
type Rerank struct {
	// Upstreams: without one, requests that ask for it are refused.
	Upstreams []RerankUpstream `yaml:"upstreams,omitempty"`
	// Inputs is how many texts one call takes. Default 32.
	Inputs int `yaml:"inputs,omitempty"`
}

// RerankUpstream is one source of scores.
type RerankUpstream struct {
	Name string `yaml:"name,omitempty"` // default: its kind and position
	// Kind is "tei", text-embeddings-inference's own /rerank, or "cohere", any server
	// with that of Cohere: Jina, vLLM, Infinity.
	Kind string `yaml:"kind"`
	URL  string `yaml:"url"`
	// Discover finds servers that take the place of the URL's.
	Discover discover `yaml:"discover,omitempty"`
	Key      Secret   `yaml:"key,omitempty"`
	Model    string   `yaml:"model,omitempty"`  // of a cohere upstream
	Weight   float64  `yaml:"weight,omitempty"` // share of the load. Default 1
	Slots    int      `yaml:"slots,omitempty"`  // calls it runs at one time. Default: not known
	Tier     int      `yaml:"tier,omitempty"`   // used only while earlier tiers have no healthy upstream. Default 0
	Aborts   bool     `yaml:"aborts,omitempty"` // a call that is cancelled stops costing anything
}

// resolve fills in the names and weights of the upstreams.
func (c *Rerank) resolve() {
	c.Upstreams = slices.Clone(c.Upstreams)
	for i := range c.Upstreams {
		u := &c.Upstreams[i]
		u.Name, u.Weight = cmp.Or(u.Name, fmt.Sprintf("%s-%d", u.Kind, i)), cmp.Or(u.Weight, 1)
	}
}

// openReranker returns the lane, or nil where there are no upstreams.
func (s *System) openReranker(c Rerank) (rerank.Provider, error) {
	if len(c.Upstreams) == 0 {
		return nil, nil
	}
	upstreams := make([]rerank.Upstream, len(c.Upstreams))
	for i, u := range c.Upstreams {
		provider, err := u.open()
		if err != nil {
			return nil, fmt.Errorf("rerank.upstreams[%d]: %w", i, err)
		}
		s.opened(provider.Close)
		upstreams[i] = rerank.Upstream{Name: u.Name, Provider: provider, Weight: u.Weight, Slots: u.Slots, Tier: u.Tier, Aborts: u.Aborts}
	}
	lane, err := rerank.New(rerank.Config{Upstreams: upstreams, Inputs: c.Inputs, Trace: s.trace()})
	if err != nil {
		return nil, fmt.Errorf("rerank: %w", err)
	}
	s.opened(lane.Close)
	members := alone(upstreams, lane.Update)
	for i, u := range c.Upstreams {
		if u.Discover.isZero() {
			continue
		}
		discovering(s, "rerank/"+u.Name, u.Discover, &found[reranking, rerank.Upstream]{
			url:   u.URL,
			means: map[string]string{"model": u.Model},
			open:  func(url string) (reranking, error) { at := u; at.URL = url; return at.open() },
			place: func(m discovery.Member, p reranking) rerank.Upstream {
				up := upstreams[i]
				up.Name, up.Provider, up.Weight, up.Tier = memberName(u.Name, m), p, shared(u.Weight, m), u.Tier+m.Tier
				return up
			},
			apply: func(list []rerank.Upstream) error { return members.set(i, list) },
		})
	}
	return lane, nil
}

// reranking is a provider that holds connections.
type reranking interface {
	rerank.Provider
	io.Closer
}

func (u RerankUpstream) open() (reranking, error) {
	if u.Kind == kindTEI {
		return tei.New(tei.Config{URL: u.URL, Key: string(u.Key)})
	}
	return cohere.New(cohere.Config{URL: u.URL, Key: string(u.Key), Model: u.Model})
}

func (v *validator) rerankers(c Rerank) {
	names := map[string]string{}
	v.check(c.Inputs >= 0, "rerank.inputs", "must not be negative")
	for i, u := range c.Upstreams {
		path := fmt.Sprintf("rerank.upstreams[%d]", i)
		v.unique(names, u.Name, path+".name")
		v.load(path, u.Weight, u.Slots, u.Tier)
		v.url(path+".url", u.URL)
		v.discoverUpstream(path, u.Discover, false)
		if v.kind(path, u.Kind, kindTEI, kindCohere) && u.Kind == kindTEI {
			v.check(u.Model == "", path+".model", "has no meaning here: the server runs one model")
		} else if u.Kind == kindCohere {
			v.check(u.Model != "", path+".model", "missing: which model of that server?")
		}
	}
}
