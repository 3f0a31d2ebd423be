package models

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/relay"
)

// routed returns the model that a name stands for, as find does. For llm.Auto the
// semantic routes choose it, by the text of the request.
func (s *Set) routed(ctx context.Context, name string, text func() string) (m *model, as string, routing *llm.Routing, err error) {
	if name != llm.Auto || s.config.Routes == nil {
		m, as, err = s.find(name)
		return m, as, nil, err
	}
	to, err := s.config.Routes(ctx, text())
	if err != nil {
		return nil, "", nil, fmt.Errorf("route the request: %w", err)
	}
	m, as, err = s.find(to.Target.Model)
	if err != nil { // not the client's mistake
		err = fault.New(fault.Unavailable, "the semantic route %q leads to the model %q, which there is not", to.Route, to.Target.Model)
	}
	return m, as, &to, err
}

// unused names what of a target has no meaning for a call that is passed on: its
// messages stand, and nothing is searched for.
func unused(t llm.Target) string {
	switch {
	case t.Collection != "" && t.Prompt != "":
		return "collection, prompt"
	case t.Collection != "":
		return "collection"
	case t.Prompt != "":
		return "prompt"
	}
	return ""
}

// question is what a prompt asks.
func question(p llm.Prompt) string {
	if p.Question != "" {
		return p.Question
	}
	for _, m := range slices.Backward(p.Messages) {
		if m.Role == llm.User {
			return m.Content
		}
	}
	return ""
}

// asked is what a call asks: the last message of its user, or its prompt. What is
// no text in it counts for nothing.
func asked(c *relay.Call) string {
	var body struct {
		Messages []struct {
			Role    string          `json:"role"`
			Content json.RawMessage `json:"content"`
		} `json:"messages"`
		Prompt json.RawMessage `json:"prompt"`
	}
	if json.Unmarshal(c.Body(), &body) != nil {
		return "" // the upstream will say what is wrong with it
	}
	for _, m := range slices.Backward(body.Messages) {
		if m.Role == string(llm.User) {
			return texts(m.Content)
		}
	}
	return texts(body.Prompt)
}

// texts joins the texts of a JSON string, a list of strings, or a list of typed parts.
func texts(raw json.RawMessage) string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return one
	}
	var several []string
	if json.Unmarshal(raw, &several) == nil {
		return strings.Join(several, "\n")
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(raw, &parts) != nil {
		return ""
	}
	several = nil
	for _, p := range parts {
		if p.Text != "" {
			several = append(several, p.Text)
		}
	}
	return strings.Join(several, "\n")
}
