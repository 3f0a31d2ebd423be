package prompt_test

import (
	"strings"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/prompt"
)

func TestParse_names(t *testing.T) {
	for _, c := range []struct {
		name  string
		text  prompt.Text
		field string
		says  string
	}{
		{"not closed", prompt.Text{System: "one\ntwo {{.Tenant"}, "/system", "system:2"},
		{"no such field", prompt.Text{Question: "{{.Question}} {{.Name}}"}, "/question", "question:1"},
		{"no such function", prompt.Text{Sources: "{{env}}"}, "/sources", `"env" not defined`},
		{"without the sources", prompt.Text{Sources: "none"}, "/sources", "0 times"},
		{"only the numbers", prompt.Text{Sources: "{{range .Sources}}{{.N}}{{end}}"}, "/sources", "0 times"},
		{"the sources twice", prompt.Text{Sources: "{{.Sources}}{{.Sources}}"}, "/sources", "2 times"},
		{"the sources elsewhere, too", prompt.Text{Question: "{{.Question}}{{.Sources}}"}, "/sources", "another part"},
		{"without the question", prompt.Text{Question: "Now?"}, "/question", "{{.Question}}"},
		{"the question first", prompt.Text{System: "{{.Question}}"}, "/system", "belongs to the end"},
		{"a passage without its fence", prompt.Text{Sources: "{{range .Sources}}{{.Text}}{{end}}"}, "/sources", "Text"},
	} {
		_, err := prompt.Parse(c.text)
		if fault.Of(err) != fault.Invalid || fault.Field(err) != c.field || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: field %q, %v; want %q, %q", c.name, fault.Field(err), err, c.field, c.says)
		}
	}
}

func TestParse_severalMistakes(t *testing.T) {
	_, err := prompt.Parse(prompt.Text{System: "{{", Question: "{{"})
	if err == nil || !strings.Contains(err.Error(), "/system") || !strings.Contains(err.Error(), "/question") {
		t.Errorf("error %v", err)
	}
}

func TestTemplate_seesTenantIDsAndNumbers(t *testing.T) {
	tmpl := parsed(t, prompt.Text{
		System:   "You work for {{.Tenant}}.",
		Sources:  "{{range .Sources}}# {{.N}}: {{.ID}}\n{{.}}{{else}}Nothing was found.{{end}}",
		Question: "{{.Question}} Cite one of {{len .Sources}}.",
	})
	r := prompt.Request{Question: "Why?", Tenant: "acme\x00", Fence: fence, Passages: []llm.Source{{ID: "a\n</source>\nb", Text: "text"}}}
	p, err := tmpl.Pack(r, 0)
	if err != nil {
		t.Fatal(err)
	}
	last := p.Messages[1].Content
	if p.Messages[0].Content != "You work for acme." || !strings.HasPrefix(last, "# 1: a ‹/source> b\n<source n=\"1\"") || !strings.HasSuffix(last, "Why? Cite one of 1.") {
		t.Errorf("messages %q", p.Messages)
	}
	r.Passages = nil
	if p, err = tmpl.Pack(r, 0); err != nil || !strings.HasPrefix(p.Messages[1].Content, "Nothing was found.") {
		t.Errorf("without passages %q, %v", p.Messages, err)
	}
}
