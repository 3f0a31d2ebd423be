package corpus

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// brief renders chunks as "anchor|title|line|body".
func brief(chunks []chunk) []string {
	var out []string
	for _, c := range chunks {
		out = append(out, strings.Join([]string{c.anchor, c.title, lineAnchor(c.line), c.body}, "|"))
	}
	return out
}

func TestChunkMarkdown_followsHeadings(t *testing.T) {
	src := `---
title: front matter
---
Before.

# Guide with ` + "`code`" + ` & *stress*

One.
Two.

### Deep

- a
- b

Setext
------

    indented code

## Deep

| a | b |
|---|---|
| 1 | 2 |

## Empty

# 日本語

本文。
`
	want := []string{
		"top||L4|Before.",
		"guide-with-code--stress|Guide with code & stress|L8|One.\nTwo.",
		"deep|Guide with code & stress > Deep|L13|- a\n- b",
		"setext|Guide with code & stress > Setext|L19|    indented code",
		"deep-1|Guide with code & stress > Deep|L23|| a | b |\n|---|---|\n| 1 | 2 |",
		"日本語|日本語|L31|本文。",
	}
	if diff := cmp.Diff(want, brief(chunkMarkdown([]byte(src)))); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func TestChunkMarkdown_packsParagraphsUpToTheLimit(t *testing.T) {
	par := strings.Repeat("word ", 100) + "\n\n" // 500 bytes
	chunks := chunkMarkdown([]byte("# A\n\n" + strings.Repeat(par, 5)))
	var got []string
	for _, c := range chunks {
		got = append(got, c.anchor)
	}
	if diff := cmp.Diff([]string{"a", "a~2", "a~3"}, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func TestChunkMarkdown_keepsCodeWhole(t *testing.T) {
	fence := "```go\n" + strings.Repeat("line of code\n\n", 150) + "```" // 2 KB
	chunks := chunkMarkdown([]byte("Intro.\n\n" + fence + "\n\nOutro.\n"))
	if len(chunks) != 3 || chunks[1].body != fence {
		t.Fatalf("%d chunks, want 3 with the code whole in the second:\n%v", len(chunks), brief(chunks))
	}
	huge := "```go\n" + strings.Repeat("line of code\n", 1000) + "```"
	chunks = chunkMarkdown([]byte(huge))
	for _, c := range chunks {
		if len(c.body) > maxChunk {
			t.Fatalf("a chunk of huge code has %d bytes, more than %d", len(c.body), maxChunk)
		}
	}
	if len(chunks) < 10 {
		t.Fatalf("%d chunks of huge code, want at least 10", len(chunks))
	}
}

func TestCut_prefersSentences(t *testing.T) {
	long := strings.Repeat("a", 700) + ". " + strings.Repeat("b", 300) + "\n" + strings.Repeat("c", 900)
	if got := cut([]byte(long), false); got != 702 {
		t.Errorf("cut at %d, want behind the sentence at 702", got)
	}
	if got := cut([]byte(strings.Repeat("é", 1000)), false); got != maxChunk {
		t.Errorf("cut at %d, want %d", got, maxChunk)
	}
	if got := cut([]byte("x"+strings.Repeat("é", 1000)), false); got != maxChunk-1 {
		t.Errorf("cut at %d, want %d: not inside a letter", got, maxChunk-1)
	}
}

func TestChunkText_packsParagraphs(t *testing.T) {
	src := "one\n\ntwo\n\n" + strings.Repeat("x", maxChunk-5) + "\n\nlast"
	got := brief(chunkText([]byte(src)))
	want := []string{"L1||L1|one\n\ntwo", "L5||L5|" + strings.Repeat("x", maxChunk-5), "L7||L7|last"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

// FuzzChunk holds both cutters to what their readers rely on: anchors are
// unique, lines are right, no letter is cut and, without headings, none is lost.
func FuzzChunk(f *testing.F) {
	f.Add("# a\n\ntext\n\n# a\n\n## a-1\n\nmore\n\n```\ncode\n```\n")
	f.Add(strings.Repeat("é ", 2000))
	f.Add("---\nx: y\n---\n\n- a\n\n  > b\n\n\tcode\n***\n")
	f.Fuzz(func(t *testing.T, src string) {
		if !utf8.ValidString(src) {
			return
		}
		src = strings.ReplaceAll(src, "\r", "")
		lines := strings.Split(src, "\n")
		for _, chunks := range [][]chunk{chunkMarkdown([]byte(src)), chunkText([]byte(src))} {
			seen := map[string]bool{}
			for _, c := range chunks {
				first, _, _ := strings.Cut(c.body, "\n")
				if !strings.Contains(lines[c.line-1], first) {
					t.Fatalf("line %d of %q does not hold %q", c.line, src, first)
				}
				if !strings.Contains(src, c.body) || !utf8.ValidString(c.body) || seen[c.anchor] {
					t.Fatalf("bad chunk %+v of %q", c, src)
				}
				seen[c.anchor] = true
			}
		}
		if got, want := letters(chunkText([]byte(src))), len(strings.Join(strings.Fields(src), "")); got != want {
			t.Fatalf("%d of %d letters kept", got, want)
		}
	})
}

func letters(chunks []chunk) int {
	n := 0
	for _, c := range chunks {
		n += len(strings.Join(strings.Fields(c.body), ""))
	}
	return n
}
