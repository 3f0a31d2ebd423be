package router_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// rewriter is a model that rephrases before it answers.
type rewriter struct {
	scripted
	text   string
	finish string
	err    error
	hang   bool
	used   *llm.Usage
	asked  []llm.Prompt // to rephrase
}

func (m *rewriter) Generate(ctx context.Context, p llm.Prompt) (llm.Stream, error) {
	if len(p.Sources) > 0 {
		m.chunks = []llm.Chunk{{Content: "so"}}
		return m.scripted.Generate(ctx, p)
	}
	m.asked = append(m.asked, p)
	if m.hang {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return &scriptedStream{scripted: &scripted{err: m.err}, left: []llm.Chunk{{Content: m.text}, {Finish: m.finish, Usage: m.used}}}, nil
}

// leaning is a question that cannot be searched for by itself.
func leaning() router.Question {
	return router.Question{Request: router.Request{Collection: "texts", K: 1}, Question: "zzz?", Turns: []llm.Message{{Role: llm.User, Content: "hhhh"}}}
}

func TestAnswer_rephrases(t *testing.T) {
	const byWords = "hhhh\nzzz?"
	for name, c := range map[string]struct {
		model rewriter
		want  string // that is searched for
	}{
		"a question":       {rewriter{text: "\"aaaa\nb\" ", finish: "stop"}, "aaaa b"},
		"nothing":          {rewriter{text: " \n"}, byWords},
		"an essay":         {rewriter{text: strings.Repeat("aaaa ", 1000)}, byWords},
		"a paragraph":      {rewriter{text: strings.Repeat("aaaa ", 300)}, byWords},
		"half a question":  {rewriter{text: "aaaa", finish: "length"}, byWords},
		"an error":         {rewriter{text: "aaaa", err: errors.New("broke off")}, byWords},
		"control sequence": {rewriter{text: "\x1b[2Jaaaa"}, "[2Jaaaa"},
	} {
		r := answeringWith(t, router.Config{Generator: &c.model, Rephrase: true}, map[string]string{"a": "aaaa", "h": "hhhh"})
		if a := all(t, r, leaning()); a.Searched != c.want || a.Text != "so" {
			t.Errorf("%s: searched for %q, want %q", name, a.Searched, c.want)
		}
		if asked := c.model.asked; len(asked) != 1 || asked[0].MaxTokens == 0 || !strings.HasSuffix(asked[0].Messages[1].Content, "user: hhhh\n\nLast question: zzz?") {
			t.Errorf("%s: asked %+v", name, asked)
		}
		if c.model.prompt.Question != "zzz?" {
			t.Errorf("%s: the question itself is %q", name, c.model.prompt.Question)
		}
	}
}

// TestAnswer_rephrasingCounts: what it takes is part of what the answer has used, whether its words are of use or not.
func TestAnswer_rephrasingCounts(t *testing.T) {
	for name, c := range map[string]struct {
		model rewriter
		want  llm.Usage // beside the answer's, of which the script says nothing
	}{
		"told":         {rewriter{text: "aaaa", used: &llm.Usage{PromptTokens: 40, CompletionTokens: 3, CachedTokens: 9, Cost: 0.5}}, llm.Usage{PromptTokens: 40, CompletionTokens: 3, CachedTokens: 9, Cost: 0.5}},
		"of no use":    {rewriter{text: "aaaa", finish: "length", used: &llm.Usage{PromptTokens: 40}}, llm.Usage{PromptTokens: 40}},
		"not told":     {rewriter{text: "aaaa"}, llm.Usage{PromptTokens: -1, Estimated: true}},
		"none was had": {rewriter{err: errors.New("broke off"), used: &llm.Usage{PromptTokens: 40}}, llm.Usage{PromptTokens: 40}},
	} {
		r := answeringWith(t, router.Config{Generator: &c.model, Rephrase: true}, map[string]string{"h": "hhhh"})
		got := all(t, r, leaning()).Usage
		if c.want.PromptTokens < 0 && got.PromptTokens > 0 {
			got.PromptTokens = -1
		}
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestAnswer_rephrasesOnlyWhereItMust(t *testing.T) {
	for name, change := range map[string]func(q *router.Question){
		"alone":   func(q *router.Question) { q.Question = "What does the word aaaa mean in this text?" },
		"no talk": func(q *router.Question) { q.Turns = nil },
		"a text":  func(q *router.Question) { q.Text = "aaaa" },
	} {
		model := &rewriter{text: "bbbb"}
		q := leaning()
		change(&q)
		if name == "alone" {
			q.Question = strings.ReplaceAll(q.Question, "this", "a")
		}
		all(t, answeringWith(t, router.Config{Generator: model, Rephrase: true}, map[string]string{"a": "aaaa"}), q)
		if len(model.asked) != 0 {
			t.Errorf("%s: the model was asked", name)
		}
	}
	model := &rewriter{text: "bbbb"}
	all(t, answeringWith(t, router.Config{Generator: model}, map[string]string{"a": "aaaa"}), leaning())
	if len(model.asked) != 0 {
		t.Error("the model was asked, though that is not configured")
	}
}

// TestAnswer_rephrasingThatHangs: the model has a quarter of the time for it.
func TestAnswer_rephrasingThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		found := hit("a", 1)
		found.Text = "a"
		r := newRouter(t, router.Config{Embedders: []embed.Provider{letters{}}, Generator: &rewriter{hang: true}, Rephrase: true}, []search.Store{after(0, found)})
		create(t, r, search.Collection{Name: "texts", Space: letters{}.Space().ID()})
		start := time.Now()
		q := leaning()
		q.Timeout = 8 * time.Second
		a := all(t, r, q)
		if took := time.Since(start); took != 2*time.Second || a.Text != "so" || a.Searched != "hhhh\nzzz?" {
			t.Errorf("took %v, searched for %q, answer %q", took, a.Searched, a.Text)
		}
	})
}
