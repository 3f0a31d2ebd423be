package config

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/router"
)

func TestPrompts_areChecked(t *testing.T) {
	for _, c := range []struct {
		name, keys string
		want       []string // beginnings of the problems behind "f.yaml:"
	}{
		{"fine", "context_order: stable\n  prompts: [{name: short, system: 'Be short, {{.Tenant}}.'}, {name: default}]", nil},
		{"no name", "prompts: [{system: x}]", []string{"9:14: llm.prompts[0].name: missing"}},
		{"name twice", "prompts: [{name: x}, {name: x}]", []string{`9:25: llm.prompts[1].name: "x" is used by llm.prompts[0].name already`}},
		{"not closed", "prompts: [{name: x, system: 'a {{.Tenant'}]", []string{"9:23: llm.prompts[0].system: system:1: unclosed action"}},
		{"two parts", "prompts:\n    - name: x\n      system: '{{'\n      question: |\n        one\n        {{.Question", []string{
			"11:7: llm.prompts[0].system: system:1", "12:7: llm.prompts[0].question: question:2"}},
		{"unknown field", "prompts: [{name: x, question: '{{.Nme}}'}]", []string{"9:23: llm.prompts[0].question: question:1:2"}},
		{"without the sources", "prompts: [{name: x, sources: none}]", []string{"9:23: llm.prompts[0].sources: prints a source 0 times"}},
		{"without the question", "prompts: [{name: x, question: Now?}]", []string{"9:23: llm.prompts[0].question: does not print the question"}},
		{"order", "context_order: random", []string{`9:3: llm.context_order: must be rank or stable, is "random"`}},
		{"search text", "search_text: model", nil},
		{"unknown search text", "search_text: magic", []string{`9:3: llm.search_text: must be words or model, is "magic"`}},
		{"unknown part", "prompts: [{name: x, sistem: y}]", []string{"9:23: llm.prompts[0].sistem: unknown key; did you mean system?"}},
	} {
		got := lines(t, twoUpstreams+"  "+c.keys+"\n", noEnv)
		same := len(got) == len(c.want)
		for i := range min(len(got), len(c.want)) {
			same = same && strings.HasPrefix(got[i], "f.yaml:"+c.want[i])
		}
		if !same {
			t.Errorf("%s:\n got %s\nwant %s", c.name, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
	}
}

func TestLLMUpstream_context(t *testing.T) {
	got := lines(t, shard+`llm: {upstreams: [{kind: openai, url: "http://a", model: m, context: -1}, {kind: extract, context: 5}]}`+"\n", noEnv)
	if len(got) != 2 || !strings.Contains(got[0], "upstreams[0].context: must not be negative") || !strings.Contains(got[1], "upstreams[1].context") {
		t.Errorf("problems %q", got)
	}
	got = lines(t, shard+"llm: {search_text: model}\n", noEnv)
	if len(got) != 1 || !strings.Contains(got[0], "llm.search_text: is model, but an upstream of kind extract") {
		t.Errorf("problems %q", got)
	}
	list := []LLMUpstream{{Name: "a", Context: 8000}, {Name: "b"}, {Name: "c", Context: 4000}}
	for pool, want := range map[string]int{"a": 8000, "b": 0, "a b": 8000, "a c b": 4000, "": 0} {
		if got := window(strings.Fields(pool), list); got != want {
			t.Errorf("window of %q is %d, want %d", pool, got, want)
		}
	}
}

// TestPrompts_reachTheModel builds a server from a file, with a model whose window
// holds one of two passages.
func TestPrompts_reachTheModel(t *testing.T) {
	var messages []struct{ Role, Content string }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := struct {
			Messages *[]struct{ Role, Content string }
		}{&messages}
		data, err := io.ReadAll(r.Body)
		if err := errors.Join(err, json.Unmarshal(data, &body)); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices":[{"message":{"content":"On the sofa [1]."}}],"usage":{"prompt_tokens":90,"completion_tokens":5}}`)
	}))
	defer server.Close()
	c := Local(t.TempDir())
	c.LLM.Upstreams = []LLMUpstream{{Kind: kindOpenAI, URL: server.URL, Model: "m", Context: 90}}
	c.LLM.Prompts = []Prompt{{Name: "short", System: "Be short."}}
	c.LLM.Floor = -1
	r := build(t, c).Router
	remember(t, r)
	s, err := r.Answer(t.Context(), router.Question{
		Request: router.Request{Collection: "c"}, Question: "Where does the cat sleep in this house?", Prompt: "short", MaxTokens: 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.All()
	if err != nil || s.Close() != nil || len(messages) != 2 || messages[0].Content != "Be short." || !strings.Contains(messages[1].Content, "sofa") {
		t.Fatalf("messages %q, %v", messages, err)
	}
	if diff := cmp.Diff([]any{[]int{2}, 1, "m"}, []any{a.LeftOut, len(a.Citations), a.Choice.Model}); diff != "" || strings.Contains(messages[1].Content, "tax") {
		t.Errorf("left out, citations, model: %s\n%s", diff, messages[1].Content)
	}
}
