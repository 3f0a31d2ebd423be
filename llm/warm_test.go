package llm_test

import (
	"strings"
	"testing"

	"github.com/lanewise/lanewise/llm"
)

// expected asks, and returns how much of the prompt the upstream is expected to have read before.
func expected(t *testing.T, g *llm.Generator, texts ...string) int {
	t.Helper()
	p := llm.Prompt{}
	for _, text := range texts {
		p.Messages = append(p.Messages, llm.Message{Role: llm.User, Content: text})
	}
	s, err := g.Generate(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return s.(llm.Routed).Route().Cached
}

func TestGenerate_expectsWhatWasReadBefore(t *testing.T) {
	p := &script{chunks: []llm.Chunk{hello, stop}}
	g := lane(t, p)
	system, sources := strings.Repeat("rule ", 205), strings.Repeat("text ", 410) // 1,025 and 2,050 bytes
	for _, c := range []struct {
		name  string
		texts []string
		want  int
	}{
		{"nothing was read", []string{system, sources + "why?"}, 0},
		{"another question", []string{system, sources + "who?"}, 3072 / 4},
		{"other sources", []string{system, "other " + sources}, 1024 / 4},
		{"those once more", []string{system, "other " + sources}, 3072 / 4},
		{"another beginning", []string{"x" + system, sources}, 0},
		{"less than a block", []string{"why?"}, 0},
		{"messages cut elsewhere", []string{system + sources}, 1024 / 4},
	} {
		if got := expected(t, g, c.texts...); got != c.want {
			t.Errorf("%s: %d tokens, want %d", c.name, got, c.want)
		}
	}
	finish(t, g, p)
}

// TestGenerate_expectsNothingOfOthers: what one upstream has read another one has not.
func TestGenerate_expectsNothingOfOthers(t *testing.T) {
	first, second := &script{chunks: []llm.Chunk{hello, stop}}, &script{chunks: []llm.Chunk{hello, stop}}
	g := lane(t, first, second)
	text := strings.Repeat("text ", 410)
	expected(t, g, text)
	if again := expected(t, g, text); again != 2048/4 {
		t.Errorf("%d tokens, want 512", again)
	}
	first.refuse = down
	if got := expected(t, g, text); got != 0 {
		t.Errorf("%d tokens of an upstream that has read nothing", got)
	}
	finish(t, g, first, second)
}

// TestGenerate_forgetsTheOldest: the memory is bounded.
func TestGenerate_forgetsTheOldest(t *testing.T) {
	p := &script{chunks: []llm.Chunk{hello, stop}}
	g := lane(t, p)
	first, large := strings.Repeat("text ", 410), strings.Repeat("0123456789abcdef", 1<<18) // 16,384 blocks
	expected(t, g, first)
	expected(t, g, large)
	if got := expected(t, g, first); got != 0 {
		t.Errorf("%d tokens of a prompt that was forgotten", got)
	}
	finish(t, g, p)
}
