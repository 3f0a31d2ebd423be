package prompt_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/prompt"
)

func TestCitations(t *testing.T) {
	for answer, want := range map[string]prompt.Cited{
		"Ay [2], bee [1], see [9].":          {Sources: []int{1, 2}, Unknown: []int{9}},
		"All of it [1][2] and again [1].":    {Sources: []int{1, 2}},
		"Several [1, 3; 9], a range [1-3].":  {Sources: []int{1, 2, 3}, Unknown: []int{9}},
		"An en dash [2–4]":                   {Sources: []int{2, 3, 4}},
		"Without a blank[1]. And[2]":         {Sources: []int{1, 2}},
		"Backwards [3-1], twice [2, 2]":      {Sources: []int{1, 2, 3}},
		"Code `a[1]` and\n```\nx[2]\n```\n":  {},
		"An expression a[1].b, f[2](x), a`b": {},
		"[0] [00001] [-1] [] [1,] [ 1 ] [x]": {Unknown: []int{0}},
		"[1-4000]":                           {Sources: []int{1}, Unknown: []int{4000}},
		"none":                               {},
	} {
		got := prompt.Citations(answer, func(n int) bool { return n >= 1 && n <= 4 })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", answer, diff)
		}
	}
}

func TestQuote(t *testing.T) {
	passage := "It began in 1969.\nThe lanes were  widened in 1984, which halved the delays. Nobody knows why."
	for _, c := range []struct{ answer, given, want string }{
		{"The delays were halved [1].", "", "The lanes were widened in 1984, which halved the delays."},
		{"First this [2]. It began in 1969 [2][1]!", "", "It began in 1969."},
		{"Unlike anything [1].", "", "It began in 1969. The lanes were widened in 1984, which halved the delays. Nobody knows why."},
		{"The delays [1].", "Nobody knows\nwhy.", "Nobody knows why."},
		{"The delays were halved [1].", "words that are not in it", "The lanes were widened in 1984, which halved the delays."},
	} {
		if got := prompt.Quote(c.answer, 1, passage, c.given); got != c.want {
			t.Errorf("%q: %q, want %q", c.answer, got, c.want)
		}
	}
	if got := prompt.Quote("", 1, strings.Repeat("äöü ", 100), ""); got != strings.Repeat("äöü ", 50)+"…" {
		t.Errorf("a long passage: %q", got)
	}
}

// TestQuote_isInThePassage holds that no quote says what the passage does not.
func TestQuote_isInThePassage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune("ab .!\n[1]é`")))
		passage := text.Draw(t, "passage")
		quote := prompt.Quote(text.Draw(t, "answer"), 1, passage, text.Draw(t, "given"))
		if !strings.Contains(strings.Join(strings.Fields(passage), " "), strings.TrimSuffix(quote, " …")) {
			t.Fatalf("%q is not in %q", quote, passage)
		}
	})
}

func FuzzCitations(f *testing.F) {
	f.Add("Ay [2], `b[1]`, c[3].d [1-9] [999")
	f.Fuzz(func(t *testing.T, answer string) {
		c := prompt.Citations(answer, func(n int) bool { return n == 1 })
		if len(c.Sources) > 1 || len(c.Sources) == 1 && !strings.ContainsAny(answer, "1-–") {
			t.Errorf("%q: %v", answer, c)
		}
		prompt.Quote(answer, 1, answer, "")
	})
}

func TestSearchText(t *testing.T) {
	talk := []llm.Message{
		{Role: llm.User, Content: "How does Raft elect a leader among five servers?"},
		{Role: llm.Assistant, Content: "By votes."},
		{Role: llm.User, Content: "And if it fails?"},
		{Role: llm.Assistant, Content: "Then another."},
	}
	for question, want := range map[string]string{
		"How do I read a file line by line?":      "How do I read a file line by line?",
		"How long does it take then?":             talk[0].Content + "\n" + talk[2].Content + "\nHow long does it take then?",
		"Why?":                                    talk[0].Content + "\n" + talk[2].Content + "\nWhy?",
		"Welche Farbe hat dieser große neue Bus?": talk[0].Content + "\n" + talk[2].Content + "\nWelche Farbe hat dieser große neue Bus?",
		"这个算法在服务器发生故障时怎样重新选出领导者呢": "这个算法在服务器发生故障时怎样重新选出领导者呢",
	} {
		if got := prompt.SearchText(question, talk); got != want {
			t.Errorf("%q: %q, want %q", question, got, want)
		}
	}
	if got := prompt.SearchText("Why?", nil); got != "Why?" {
		t.Errorf("without a conversation %q", got)
	}
}

func TestSearchText_isBounded(t *testing.T) {
	var talk []llm.Message
	for range 50 {
		talk = append(talk, llm.Message{Role: llm.User, Content: strings.Repeat("it ", 10_000)})
	}
	if got := prompt.SearchText("Why?", talk); len(got) > 2000 {
		t.Errorf("%d bytes", len(got))
	}
}

func TestRephrase(t *testing.T) {
	var talk []llm.Message
	for i := range 9 {
		talk = append(talk, llm.Message{Role: llm.User, Content: fmt.Sprintf("turn %d <|im_start|>", i) + strings.Repeat(" word", 2000)})
	}
	m := prompt.Rephrase("And\x00 why?", talk)
	text := m[1].Content
	if len(m) != 2 || strings.Contains(text, "turn 2") || !strings.Contains(text, "user: turn 3 ‹|im_start|>") || !strings.HasSuffix(text, "Last question: And why?") {
		t.Errorf("%d messages, %q", len(m), text)
	}
	if len(text) > 6*1100 {
		t.Errorf("%d bytes", len(text))
	}
	for answer, want := range map[string]string{
		" \"Why is\n it so?\" ": "Why is it so?", "„Warum?“": "Warum?", "": "", strings.Repeat("why ", 400): "", "<|im_end|>a": "‹|im_end|>a",
	} {
		if got := prompt.Rephrased(answer); got != want {
			t.Errorf("%q: %q, want %q", answer, got, want)
		}
	}
}

func ExampleSearchText() {
	fmt.Println(prompt.SearchText("How fast is it?", []llm.Message{
		{Role: llm.User, Content: "What does the bounded-load hash do in the balancer?"},
		{Role: llm.Assistant, Content: "It keeps sessions together."},
	}))
	// Output:
	// What does the bounded-load hash do in the balancer?
	// How fast is it?
}
