package models_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/models"
	"github.com/lanewise/lanewise/llm/relay"
)

// bySubject is a family of two models of which the second is for cars; texts are those that were scored.
func bySubject(t *testing.T) (s *models.Set, texts *[]string) {
	t.Helper()
	texts = &[]string{}
	f := newFamily("small", "large").relays()
	f.config.Routes = func(ctx context.Context, text string) (llm.Routing, error) {
		*texts = append(*texts, text)
		switch text {
		case "car":
			return llm.Routing{Route: "cars", Target: llm.Target{Model: "large", Collection: "garages", Prompt: "short"}, Scores: []llm.RouteScore{{Route: "cars", Score: 0.8, Threshold: 0.5}}}, ctx.Err()
		case "ship":
			return llm.Routing{Route: "ships", Target: llm.Target{Model: "gone"}}, nil
		}
		return llm.Routing{Scores: []llm.RouteScore{{Route: "cars", Score: 0.2, Threshold: 0.5}}}, ctx.Err()
	}
	return f.set(t), texts
}

func TestGenerate_auto(t *testing.T) {
	s, texts := bySubject(t)
	turns := []llm.Message{{Role: llm.System, Content: "car"}, {Role: llm.User, Content: "car"}, {Role: llm.Assistant, Content: "car"}, {Role: llm.User, Content: "tree"}}
	for want, p := range map[string]llm.Prompt{
		"large": {Messages: turns[:2]},
		"small": {Messages: turns},
	} {
		p.Model = llm.Auto
		_, _, choice, err := ask(t.Context(), s, p)
		if err != nil || choice.Model != want || choice.Asked != llm.Auto || choice.Routing == nil || len(choice.Routing.Scores) != 1 {
			t.Errorf("%s: %+v, %v", want, choice, err)
		}
	}
	if _, _, choice, err := ask(t.Context(), s, llm.Prompt{Model: llm.Auto, Question: "car", Messages: turns}); choice.Model != "large" || err != nil {
		t.Errorf("a question of its own: %+v, %v", choice, err)
	}
	if _, _, choice, err := ask(t.Context(), s, llm.Prompt{Model: "small"}); choice.Routing != nil || err != nil || len(*texts) != 3 {
		t.Errorf("a named model: %+v, %v, scored %q", choice, err, *texts)
	}
	if _, _, _, err := ask(t.Context(), s, llm.Prompt{Model: llm.Auto, Question: "ship"}); !errors.Is(err, fault.Unavailable) {
		t.Errorf("a route to nowhere: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, _, err := ask(ctx, s, llm.Prompt{Model: llm.Auto}); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that is gone: %v", err)
	}
	if !slices.Equal(s.Names(), []string{"auto", "large", "small"}) {
		t.Errorf("names: %v", s.Names())
	}
}

// Of a call the last message of the user is scored, whatever form it has.
func TestRelay_auto(t *testing.T) {
	for body, want := range map[string]string{
		`{"model": "auto", "messages": [{"role": "user", "content": "tree"}, {"role": "assistant", "content": "x"}, {"role": "user", "content": "car"}]}`:                      "car",
		`{"model": "auto", "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "b"}]}]}`: "a\nb",
		`{"model": "auto", "messages": [{"role": "system", "content": "car"}]}`:                                                                                                "",
		`{"model": "auto", "messages": [{"role": "user", "content": "car"}, {"role": "tool", "content": "x"}]}`:                                                                "car",
		`{"model": "auto", "messages": [{"role": "user", "content": 5}]}`:                                                                                                      "",
		`{"model": "auto", "messages": [{"role": "user", "content": null}]}`:                                                                                                   "",
		`{"model": "auto", "prompt": "car"}`:          "car",
		`{"model": "auto", "prompt": ["car", "bus"]}`: "car\nbus",
		`{"model": "auto", "prompt": [1, 2]}`:         "",
	} {
		s, texts := bySubject(t)
		at := relay.Chat
		if strings.Contains(body, `"prompt"`) {
			at = relay.Text
		}
		c, err := relay.Parse(at, []byte(body))
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		reply, err := s.Relay(t.Context(), c)
		if err != nil || !slices.Equal(*texts, []string{want}) {
			t.Errorf("%s: %v, scored %q, want %q", body, err, *texts, want)
			continue
		}
		if want == "car" && (reply.Route.Chosen != "large" || reply.Route.Subject != "cars" || reply.Route.Score != 0.8 || reply.Route.Unused != "collection, prompt") ||
			want != "car" && (reply.Route.Chosen != "small" || reply.Route.Subject != "" || reply.Route.Score != 0.2 || reply.Route.Unused != "") {
			t.Errorf("%s: %+v", body, reply.Route)
		}
	}
}
