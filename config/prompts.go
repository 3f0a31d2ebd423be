package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm/prompt"
)

// Prompt is a template of answers, which requests choose by its name. Its parts are
// in the language of Go's text/template; an empty one is the built-in part.
type Prompt struct {
	Name     string `yaml:"name"`               // "default" is for requests that name none
	System   string `yaml:"system,omitempty"`   // the first message
	Sources  string `yaml:"sources,omitempty"`  // must print {{.Sources}}
	Question string `yaml:"question,omitempty"` // must print {{.Question}}
}

// prompts checks the templates, and in which order their passages stand.
func (v *validator) prompts(c LLM) {
	names := map[string]string{}
	for i, p := range c.Prompts {
		path := fmt.Sprintf("llm.prompts[%d]", i)
		v.check(p.Name != "", path+".name", "missing: by which name do requests choose it?")
		v.unique(names, p.Name, path+".name")
		if _, err := p.parse(); err != nil {
			v.template(path, err)
		}
	}
	v.check(c.ContextOrder == "" || c.ContextOrder == string(prompt.Rank) || c.ContextOrder == string(prompt.Stable),
		"llm.context_order", fmt.Sprintf("must be rank or stable, is %q", c.ContextOrder))
	v.check(c.SearchText == "" || c.SearchText == byWords || c.SearchText == byModel,
		"llm.search_text", fmt.Sprintf("must be words or model, is %q", c.SearchText))
	quotes := len(c.Upstreams) == 0 || slices.ContainsFunc(c.Upstreams, func(u LLMUpstream) bool { return u.Kind == kindExtract })
	v.check(c.SearchText != byModel || !quotes, "llm.search_text", "is model, but an upstream of kind extract cannot rephrase: it quotes")
}

// Who makes a question that leans on a conversation into one that can be searched for.
const (
	byWords = "words"
	byModel = "model"
)

// template reports what is wrong with the parts of a template, each at its key.
func (v *validator) template(path string, err error) {
	var several interface{ Unwrap() []error }
	if errors.As(err, &several) {
		for _, one := range several.Unwrap() {
			v.template(path, one)
		}
		return
	}
	field := fault.Field(err)
	v.at(path+strings.ReplaceAll(field, "/", "."), "%s", strings.TrimPrefix(err.Error(), field+": "))
}

func (p Prompt) parse() (*prompt.Template, error) {
	return prompt.Parse(prompt.Text{System: p.System, Sources: p.Sources, Question: p.Question})
}

// openPrompts returns the templates by their names.
func openPrompts(list []Prompt) (map[string]*prompt.Template, error) {
	out := make(map[string]*prompt.Template, len(list))
	for i, p := range list {
		t, err := p.parse()
		if err != nil {
			return nil, fmt.Errorf("llm.prompts[%d]: %w", i, err)
		}
		out[p.Name] = t
	}
	return out, nil
}

// window is the smallest window among upstreams of one pool: each of them must be
// able to read what any of them is given. 0: none is known.
func window(pool []string, upstreams []LLMUpstream) int {
	least := 0
	for _, name := range pool {
		for _, u := range upstreams {
			if u.Name == name && u.Context > 0 && (least == 0 || u.Context < least) {
				least = u.Context
			}
		}
	}
	return least
}
