package router_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/models"
	"github.com/lanewise/lanewise/llm/prompt"
	"github.com/lanewise/lanewise/router"
)

// says is a model that says one text, and counts tokens times as many as estimated.
func says(text string, times int) *counting {
	return &counting{scripted: scripted{chunks: []llm.Chunk{{Content: text}}}, times: times}
}

type counting struct {
	scripted
	times  int
	refuse error
}

func (c *counting) Generate(ctx context.Context, p llm.Prompt) (llm.Stream, error) {
	c.prompt = p
	if c.refuse != nil {
		return nil, c.refuse
	}
	c.chunks = append(c.chunks[:1:1], llm.Chunk{Finish: "stop", Usage: &llm.Usage{PromptTokens: c.times * p.Tokens(), CompletionTokens: 1}})
	return c.scripted.Generate(ctx, p)
}

// family makes a set of models, each with a window, of which the later ones stand in for the first.
func family(t *testing.T, windows map[string]int, order []string, byName map[string]llm.Provider) *models.Set {
	t.Helper()
	var c models.Config
	for i, name := range order {
		m := models.Model{Name: name, Provider: byName[name], Window: llm.Window{Context: windows[name]}}
		if i == 0 {
			for _, other := range order[1:] {
				m.Fallbacks = append(m.Fallbacks, models.Fallback{Model: other})
			}
		}
		c.Models = append(c.Models, m)
	}
	s, err := models.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// chapters are passages of about 500 tokens, nearest to "aaaa" in the order of their
// letters, whose ids are in the opposite order.
var chapters = map[string]string{
	"z": strings.Repeat("aaaa ", 400), "y": strings.Repeat("aaab ", 400), "x": strings.Repeat("aabb ", 400), "w": strings.Repeat("abbb ", 400),
}

func askFour() router.Question {
	q := ask("aaaa")
	q.K = 4
	return q
}

func numbersOf(p llm.Prompt) (ids string) {
	for _, s := range p.Sources {
		ids += s.ID
	}
	return ids
}

func TestAnswer_packsIntoTheWindow(t *testing.T) {
	model := says("so [1], [4] and [5]", 1)
	r := answering(t, family(t, map[string]int{"m": 2000}, []string{"m"}, map[string]llm.Provider{"m": model}), chapters)
	a := all(t, r, askFour())
	if got := numbersOf(model.prompt); got != "zy" {
		t.Errorf("sources %q in the prompt, want zy", got)
	}
	if got := []any{a.LeftOut, a.Unknown, len(a.Hits), len(a.Citations), a.Repacked, a.Choice.Model}; cmp.Diff([]any{[]int{3, 4}, []int{4, 5}, 4, 1, false, "m"}, got) != "" {
		t.Errorf("left out %v, unknown %v, %v hits, %v citations, repacked %v, model %v", got...)
	}
}

// TestAnswer_aSmallerModelReadsLess: the first model fails, and the one that stands in
// has room for fewer passages. Sources keep their numbers.
func TestAnswer_aSmallerModelReadsLess(t *testing.T) {
	large, small := says("", 1), says("so [1], but [3]", 1)
	large.refuse = fault.New(fault.Unavailable, "down")
	set := family(t, map[string]int{"large": 4000, "small": 2000}, []string{"large", "small"}, map[string]llm.Provider{"large": large, "small": small})
	a := all(t, answering(t, set, chapters), askFour())
	if len(large.prompt.Sources) != 4 || len(small.prompt.Sources) != 2 {
		t.Fatalf("%d sources for the large model, %d for the small one", len(large.prompt.Sources), len(small.prompt.Sources))
	}
	if !a.Repacked || a.Choice.Model != "small" || len(a.Choice.Passed) != 1 {
		t.Errorf("repacked %v, choice %+v", a.Repacked, a.Choice)
	}
	if diff := cmp.Diff([]any{[]int{3, 4}, []int{3}, 1}, []any{a.LeftOut, a.Unknown, len(a.Citations)}); diff != "" {
		t.Errorf("left out, unknown, citations: %s", diff)
	}
}

// TestAnswer_tooLongIsPackedSmaller: the upstream's window is smaller than it is configured.
func TestAnswer_tooLongIsPackedSmaller(t *testing.T) {
	strict := &narrow{counting: says("so", 1), limit: 1500}
	set := family(t, map[string]int{"m": 4000}, []string{"m"}, map[string]llm.Provider{"m": strict})
	a := all(t, answering(t, set, chapters), askFour())
	if strict.calls != 2 || len(strict.prompt.Sources) != 1 || !a.Repacked || len(a.LeftOut) != 3 {
		t.Errorf("%d calls, %d sources, repacked %v, left out %v", strict.calls, len(strict.prompt.Sources), a.Repacked, a.LeftOut)
	}
}

// TestAnswer_tooLongForNobodyKnowsWhat: no window is configured, and the upstream does not name its own.
func TestAnswer_tooLongForNobodyKnowsWhat(t *testing.T) {
	strict := &narrow{counting: says("so", 1), limit: 1500, mute: true}
	set := family(t, nil, []string{"m"}, map[string]llm.Provider{"m": strict})
	a := all(t, answering(t, set, chapters), askFour())
	if sources := len(strict.prompt.Sources); strict.calls != 2 || sources == 0 || sources > 2 || !a.Repacked || len(a.LeftOut) != 4-sources {
		t.Errorf("%d calls, %d sources, repacked %v, left out %v", strict.calls, sources, a.Repacked, a.LeftOut)
	}
}

// narrow is a model whose window is smaller than anybody knows.
type narrow struct {
	*counting
	limit, calls int
	mute         bool // it does not say by how much
}

func (l *narrow) Generate(ctx context.Context, p llm.Prompt) (llm.Stream, error) {
	if l.calls++; p.Tokens() > l.limit {
		if l.mute {
			return nil, &fault.WindowError{Message: "too long"}
		}
		return nil, &fault.WindowError{Limit: l.limit, Message: "too long"}
	}
	return l.counting.Generate(ctx, p)
}

// TestAnswer_learnsWhatAModelCounts: a model that counts twice the tokens that are
// estimated gets half as much.
func TestAnswer_learnsWhatAModelCounts(t *testing.T) {
	model := says("so", 2)
	r := answering(t, family(t, map[string]int{"m": 4000}, []string{"m"}, map[string]llm.Provider{"m": model}), chapters)
	all(t, r, askFour())
	first := model.prompt.Tokens()
	all(t, r, askFour())
	if second := model.prompt.Tokens(); first < 2000 || 2*second > 3000 {
		t.Errorf("the first prompt has %d tokens, the second %d: the model counts %d in a window of 4000", first, second, 2*second)
	}
}

func TestAnswer_withoutRoom(t *testing.T) {
	model := says("so", 1)
	r := answering(t, family(t, map[string]int{"m": 600}, []string{"m"}, map[string]llm.Provider{"m": model}), chapters)
	s, err := r.Answer(t.Context(), askFour())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Next(); !errors.As(err, new(*fault.WindowError)) {
		t.Errorf("error %v", err)
	}
	if _, err := s.Next(); !errors.As(err, new(*fault.WindowError)) || len(s.Hits()) != 4 {
		t.Errorf("error %v, %d hits", err, len(s.Hits()))
	}
}

// TestAnswer_keepsRoomForTheAnswer: max_tokens is taken from the window first, but never more than half of it.
func TestAnswer_keepsRoomForTheAnswer(t *testing.T) {
	for _, c := range []struct{ limit, sources, sent int }{{0, 4, 0}, {100, 4, 100}, {2000, 2, 2000}, {1 << 40, 2, 2000}} {
		model := says("so", 1)
		r := answering(t, family(t, map[string]int{"m": 4000}, []string{"m"}, map[string]llm.Provider{"m": model}), chapters)
		q := askFour()
		q.MaxTokens = c.limit
		all(t, r, q)
		if len(model.prompt.Sources) != c.sources || model.prompt.MaxTokens != c.sent {
			t.Errorf("limit %d: %d sources, limit %d; want %d, %d", c.limit, len(model.prompt.Sources), model.prompt.MaxTokens, c.sources, c.sent)
		}
	}
}

func TestAnswer_contextOrder(t *testing.T) {
	model := says("so [1]", 1)
	r := answering(t, model, chapters)
	for _, c := range []struct {
		order prompt.Order
		want  string
		first string // the source that [1] is
	}{{"", "zyxw", "z"}, {prompt.Rank, "zyxw", "z"}, {prompt.Stable, "wxyz", "w"}} {
		q := askFour()
		q.ContextOrder = c.order
		a := all(t, r, q)
		if got := numbersOf(model.prompt); got != c.want || a.Citations[0].ID != c.first || a.Hits[0].ID != c.first {
			t.Errorf("order %q: %s, cited %s, first hit %s", c.order, got, a.Citations[0].ID, a.Hits[0].ID)
		}
	}
}

func TestAnswer_searchesForTheConversation(t *testing.T) {
	model := says("so", 1)
	r := answering(t, model, map[string]string{"a": "aaaa", "h": "hhhh"})
	q := router.Question{Request: router.Request{Collection: "texts", K: 1}, Question: "zzz?", Turns: []llm.Message{
		{Role: llm.User, Content: "hhhh hhhh hhhh hhhh hhhh"}, {Role: llm.Assistant, Content: "aaaa"},
	}}
	a := all(t, r, q)
	if a.Hits[0].ID != "h" || a.Searched != "hhhh hhhh hhhh hhhh hhhh\nzzz?" {
		t.Errorf("found %s for %q", a.Hits[0].ID, a.Searched)
	}
	if len(model.prompt.Messages) != 4 || model.prompt.Question != "zzz?" {
		t.Errorf("the conversation is not in the prompt: %+v", model.prompt.Messages)
	}
	q.Text = "aaaa"
	if a := all(t, r, q); a.Hits[0].ID != "a" {
		t.Errorf("found %s for a text that the request names", a.Hits[0].ID)
	}
}

func TestAnswer_templates(t *testing.T) {
	short, err := prompt.Parse(prompt.Text{System: "Be short, {{.Tenant}}."})
	if err != nil {
		t.Fatal(err)
	}
	model := says("so", 1)
	for name, c := range map[string]struct {
		prompts map[string]*prompt.Template
		asked   string
		want    string
		err     string
	}{
		"built in":        {nil, "", "Answer the question from", ""},
		"built in, named": {nil, "default", "Answer the question from", ""},
		"by name":         {map[string]*prompt.Template{"short": short}, "short", "Be short, .", ""},
		"none named":      {map[string]*prompt.Template{"short": short}, "", "Answer the question from", ""},
		"another default": {map[string]*prompt.Template{"default": short}, "", "Be short, .", ""},
		"unknown":         {nil, "short", "", "/prompt"},
	} {
		r := answeringWith(t, router.Config{Generator: model, Prompts: c.prompts}, map[string]string{"a": "aaaa"})
		q := ask("aaaa")
		q.Prompt = c.asked
		if c.err != "" {
			if _, err := r.Answer(t.Context(), q); fault.Field(err) != c.err {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		all(t, r, q)
		if got := model.prompt.Messages[0].Content; !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestAnswer_refusesWhatItCannotDo(t *testing.T) {
	r := answering(t, says("so", 1), nil)
	for field, change := range map[string]func(q *router.Question){
		"/context_order": func(q *router.Question) { q.ContextOrder = "random" },
		"/max_tokens":    func(q *router.Question) { q.MaxTokens = -1 },
		"/prompt":        func(q *router.Question) { q.Prompt = "none" },
	} {
		q := ask("a")
		change(&q)
		if _, err := r.Answer(t.Context(), q); fault.Field(err) != field || fault.Of(err) != fault.Invalid {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// hanging is a model that does not begin until its context ends.
type hanging struct{ asked chan struct{} }

func (h *hanging) Generate(ctx context.Context, _ llm.Prompt) (llm.Stream, error) {
	close(h.asked)
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// TestAnswer_closedBeforeItBegins: a client that leaves before the first token ends the call.
func TestAnswer_closedBeforeItBegins(t *testing.T) {
	model := &hanging{asked: make(chan struct{})}
	s, err := answering(t, model, map[string]string{"a": "aaaa"}).Answer(t.Context(), ask("aaaa"))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := s.Next()
		ended <- err
	}()
	<-model.asked
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-ended:
		if err == nil || errors.Is(err, io.EOF) {
			t.Errorf("Next ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Next did not end")
	}
}

func TestAnswer_closedUnread(t *testing.T) {
	model := says("so", 1)
	s, err := answering(t, model, map[string]string{"a": "aaaa"}).Answer(t.Context(), ask("aaaa"))
	if err != nil || s.Close() != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(); err == nil || len(model.prompt.Messages) != 0 {
		t.Errorf("behind Close: %v, prompt %v", err, model.prompt.Messages)
	}
}

// late is a model that begins to answer although its context has ended.
type late struct {
	hanging
	scripted
}

func (l *late) Generate(ctx context.Context, p llm.Prompt) (llm.Stream, error) {
	_, _ = l.hanging.Generate(ctx, p)
	return l.scripted.Generate(ctx, p)
}

func TestAnswer_anAnswerThatComesTooLateIsClosed(t *testing.T) {
	model := &late{hanging: hanging{make(chan struct{})}}
	s, err := answering(t, model, map[string]string{"a": "aaaa"}).Answer(t.Context(), ask("aaaa"))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := s.Next()
		ended <- err
	}()
	<-model.asked
	_ = s.Close()
	if err := <-ended; err == nil || model.closed != 1 {
		t.Errorf("Next ended with %v, the model's stream was closed %d times", err, model.closed)
	}
}

// TestAnswer_promptsThatBeginAlikeGoTogether: the key by which an upstream is chosen is the
// session's, or that of the prompt's beginning.
func TestAnswer_promptsThatBeginAlikeGoTogether(t *testing.T) {
	model := says("so", 1)
	r := answering(t, model, chapters)
	key := func(change func(q *router.Question)) string {
		q := askFour()
		change(&q)
		all(t, r, q)
		return model.prompt.Session
	}
	plain := key(func(*router.Question) {})
	for name, c := range map[string]struct {
		change func(q *router.Question)
		same   bool
	}{
		"another question": {func(q *router.Question) { q.Question = "why?" }, true},
		"fewer passages":   {func(q *router.Question) { q.K = 2 }, true},
		"one passage":      {func(q *router.Question) { q.K = 1 }, false},
		"other passages":   {func(q *router.Question) { q.Text = "abbb" }, false},
		"another order":    {func(q *router.Question) { q.ContextOrder = prompt.Stable }, false},
		"a session":        {func(q *router.Question) { q.Session = "s" }, false},
	} {
		if got := key(c.change); (got == plain) != c.same || got == "" {
			t.Errorf("%s: key %q, without %q", name, got, plain)
		}
	}
	if got := key(func(q *router.Question) { q.Session = "s" }); got != "s" {
		t.Errorf("key %q of session s", got)
	}
}
