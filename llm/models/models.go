// Package models chooses which of several models answers.
//
// A [Set] knows models by their public names and aliases. Each stands on a pool of
// upstreams of its own, which fails over among its members by itself. Only when
// a whole pool could not begin an answer is the next model asked: one that the
// first names as its fallback for that kind of failure. A prompt that is too long
// for a model's window is not sent there at all where another model is named for
// such prompts.
//
// The same walk serves prompts ([Set.Generate]) and calls that are passed on as
// they came. Tokens are taken from the tenant's allowance before, and settled
// with what was really used behind the end.
package models

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
)

// Cause is a kind of failure for which another model may be asked.
type Cause string

// The causes. None stands for a request that is wrong: no model would take it.
const (
	Rate        Cause = "rate"        // the upstreams are full, or their quotas used up
	Refused     Cause = "refused"     // the upstreams refuse the key, or its account is empty
	TooLong     Cause = "context"     // the prompt is longer than the window
	Unavailable Cause = "unavailable" // the upstreams are down, slow to begin, or lack the model
)

// Causes lists them all.
func Causes() []Cause { return []Cause{Rate, Refused, TooLong, Unavailable} }

// CauseOf returns the kind of a failure, or "" where no other model is to be asked.
func CauseOf(err error) Cause {
	if errors.As(err, new(*fault.WindowError)) {
		return TooLong
	}
	switch {
	case !fault.Elsewhere(err):
		return ""
	case errors.Is(err, fault.Overloaded):
		return Rate
	case errors.Is(err, fault.Refused) && !errors.Is(err, fault.Unavailable):
		return Refused
	}
	return Unavailable
}

// Fallback names a model to ask where another one cannot answer.
type Fallback struct {
	Model string
	On    []Cause // empty: all of them
}

// Model is one public name.
type Model struct {
	Name      string
	Aliases   []string
	Provider  llm.Provider // the pool of its upstreams
	Window    llm.Window
	Price     llm.Price
	Fallbacks []Fallback // in the order in which they are asked
}

// Config lists the models. Only Models must be set.
type Config struct {
	Models  []Model
	Default string // name or alias for prompts that name none; empty: the first model
	// Open sends a prompt for a model that is not listed to the default model's
	// upstreams, under that name. Otherwise it is fault.NotFound.
	Open bool
	// Routes chooses for prompts whose model is llm.Auto, by what they ask: a
	// routes.Table's Pick. nil: that is a name like any other.
	Routes func(ctx context.Context, text string) (llm.Routing, error)
	// Extra is how many extra attempts (hedges, failovers, other models) a request may
	// cost that has no allowance of its own (balance.WithAllowance); 0: 8, negative: none.
	Extra int
	// Tenants are the allowances of tokens; nil: no limit.
	Tenants *quota.Tenants
	// Served is told of every request, at its end: for metrics. It must be quick and
	// safe for concurrent use. nil: not.
	Served func(Served)
}

// Served is what became of a request.
type Served struct {
	llm.Choice           // Model is empty where none answered
	Tenant     string    // of the request
	Usage      llm.Usage // with its cost; zero where no model answered
	Took       time.Duration
	Err        error // nil: answered to the end; also of a reader that left
}

// Set is an [llm.Provider] over models. Safe for concurrent use. It needs no Close:
// the pools belong to whoever made them.
type Set struct {
	config Config
	models []*model
	byName map[string]*model // and by alias
	first  *model            // of prompts that name none
}

var _ llm.Provider = (*Set)(nil)

// model is a Model whose fallbacks are found.
type model struct {
	Model
	fallbacks []fallback
	said      atomic.Int64 // window in tokens that an upstream has named; 0: none
}

type fallback struct {
	to *model
	on []Cause
}

// defaultExtra is how many extra attempts a request may cost.
const defaultExtra = 8

// New checks c. Its errors are fault.Invalid and name the field by its pointer
// ("/models/1/fallbacks/0/model"): a name used twice, one that is not known, or
// fallbacks that lead back to where they began.
func New(c Config) (*Set, error) {
	c.Extra = max(cmp.Or(c.Extra, defaultExtra), 0)
	s := &Set{config: c, byName: map[string]*model{}}
	if len(c.Models) == 0 {
		return nil, fault.BadField("/models", "must not be empty")
	}
	var errs []error
	for i, m := range c.Models {
		own := &model{Model: m}
		s.models = append(s.models, own)
		errs = append(errs, s.enter(own, fmt.Sprintf("/models/%d", i)))
	}
	for i, m := range s.models {
		errs = append(errs, s.link(m, fmt.Sprintf("/models/%d/fallbacks", i)))
	}
	s.first = s.models[0]
	if c.Default != "" {
		if s.first = s.byName[c.Default]; s.first == nil {
			errs = append(errs, fault.BadField("/default", "there is no model %q", c.Default))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, s.acyclic()
}

// enter checks a model by itself and gives it its names.
func (s *Set) enter(m *model, path string) error {
	var errs []error
	if m.Provider == nil {
		errs = append(errs, fault.BadField(path+"/provider", "is missing"))
	}
	if m.Name == "" {
		errs = append(errs, fault.BadField(path+"/name", "is missing"))
	}
	for _, name := range append([]string{m.Name}, m.Aliases...) {
		if s.byName[name] != nil {
			errs = append(errs, fault.BadField(path+"/name", "%q is the name of two models", name))
		}
		s.byName[name] = m
	}
	for _, n := range []float64{m.Price.Prompt, m.Price.Completion, m.Price.Cached, float64(m.Window.Context), float64(m.Window.Output)} {
		if !(n >= 0) {
			errs = append(errs, fault.BadField(path, "has a window or a price below zero"))
			break
		}
	}
	return errors.Join(errs...)
}

// link finds the fallbacks of a model.
func (s *Set) link(m *model, path string) error {
	var errs []error
	for i, f := range m.Fallbacks {
		at := fmt.Sprintf("%s/%d", path, i)
		to := s.byName[f.Model]
		if to == nil {
			errs = append(errs, fault.BadField(at+"/model", "there is no model %q", f.Model))
			continue
		}
		for _, cause := range f.On {
			if !slices.Contains(Causes(), cause) {
				errs = append(errs, fault.BadField(at+"/on", "there is no cause %q", cause))
			}
		}
		on := f.On
		if len(on) == 0 {
			on = Causes()
		}
		m.fallbacks = append(m.fallbacks, fallback{to, on})
	}
	return errors.Join(errs...)
}

// acyclic reports fallbacks that lead back to where they began.
func (s *Set) acyclic() error {
	graph := make(map[string][]string, len(s.models))
	for _, m := range s.models {
		for _, f := range m.fallbacks {
			graph[m.Name] = append(graph[m.Name], f.to.Name)
		}
	}
	for i, m := range s.models {
		if loop := Cycle(graph, m.Name); loop != nil {
			return fault.BadField(fmt.Sprintf("/models/%d/fallbacks", i), "lead back to the model: %s", strings.Join(loop, ", "))
		}
	}
	return nil
}

// Cycle returns the way from a name back to it along the edges of a graph, both
// ends included, or nil where there is none.
func Cycle(graph map[string][]string, from string) []string {
	seen := map[string]bool{}
	var walk func(at string) []string
	walk = func(at string) []string {
		for _, next := range graph[at] {
			if next == from {
				return []string{next}
			}
			if seen[next] {
				continue
			}
			seen[next] = true
			if way := walk(next); way != nil {
				return append([]string{next}, way...)
			}
		}
		return nil
	}
	if way := walk(from); way != nil {
		return append([]string{from}, way...)
	}
	return nil
}

// Names lists every name that a prompt may have, aliases and llm.Auto included, sorted.
func (s *Set) Names() []string {
	names := make([]string, 0, len(s.byName))
	for name := range s.byName {
		names = append(names, name)
	}
	if s.config.Routes != nil {
		names = append(names, llm.Auto)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Window returns what a model takes that is known by a name or an alias, or, for
// the empty name, the default model.
func (s *Set) Window(name string) (llm.Window, error) {
	m, _, err := s.find(name)
	if err != nil {
		return llm.Window{}, err
	}
	return m.Window, nil
}

// find returns the model of a name and, where the set is open and the name is not
// listed, the name to ask its upstreams for.
func (s *Set) find(name string) (m *model, as string, err error) {
	if name == "" {
		return s.first, "", nil
	}
	if m := s.byName[name]; m != nil {
		return m, "", nil
	}
	if s.config.Open {
		return s.first, name, nil
	}
	return nil, "", &fault.Error{
		Class: fault.NotFound, Field: "/model",
		Message: fmt.Sprintf("there is no model %q; there are %s", name, cmp.Or(strings.Join(s.Names(), ", "), "none")),
	}
}
