package extract_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tokens"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/extract"
)

// letters embeds a text as its letters' counts, which is crude, but enough for
// equal words to be near and others to be far.
func letters(_ context.Context, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, text := range texts {
		out[i] = make([]float32, 26)
		for _, r := range strings.ToLower(text) {
			if r >= 'a' && r <= 'z' {
				out[i][r-'a']++
			}
		}
	}
	return out, nil
}

// topics embeds by what a text speaks of: a dimension for each word.
func topics(words ...string) func(context.Context, []string) ([][]float32, error) {
	return func(_ context.Context, texts []string) ([][]float32, error) {
		out := make([][]float32, len(texts))
		for i, text := range texts {
			out[i] = make([]float32, len(words)+1)
			out[i][len(words)] = 0.01
			for j, w := range words {
				out[i][j] = float32(strings.Count(strings.ToLower(text), w))
			}
		}
		return out, nil
	}
}

func provider(tb testing.TB, c extract.Config) *extract.Provider {
	tb.Helper()
	p, err := extract.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// answer reads an answer to its end.
func answer(tb testing.TB, p *extract.Provider, prompt llm.Prompt) []llm.Chunk {
	tb.Helper()
	s, err := p.Generate(tb.Context(), prompt)
	if err != nil {
		tb.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // never fails
	var chunks []llm.Chunk
	for {
		c, err := s.Next()
		if errors.Is(err, io.EOF) {
			return chunks
		}
		if err != nil {
			tb.Fatal(err)
		}
		chunks = append(chunks, c)
	}
}

func text(chunks []llm.Chunk) string {
	var b strings.Builder
	for _, c := range chunks {
		b.WriteString(c.Content)
	}
	return b.String()
}

var files = llm.Prompt{
	Question: "read a file by lines",
	Sources: []llm.Source{
		{N: 1, Text: "package bread\n\nBread is baked from flour in an oven. A loaf of bread weighs a pound."},
		{N: 2, Text: "package bufio\n\nA scanner reads the lines of a file. It is safe for everybody to use. Each call reads one of the lines of a file into a buffer."},
		{N: 3, Text: "A scanner reads the lines of a file."},
	},
}

func TestGenerate(t *testing.T) {
	p := provider(t, extract.Config{Embed: topics("read", "file", "line", "bread", "oven", "safe")})
	got := answer(t, p, files)
	want := []llm.Chunk{
		{Content: "Quoted from the sources, not generated:\n"},
		{Content: "“A scanner reads the lines of a file.” [2]", Citations: []llm.Citation{{N: 2, Quote: "A scanner reads the lines of a file."}},
			Model: "extract", Finish: "stop", Usage: &llm.Usage{PromptTokens: 55, CompletionTokens: 22, Estimated: true}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestGenerate_order holds that quotes come by source, the best one's first, and
// as their source has them; a sentence that says the same as another is left out.
func TestGenerate_order(t *testing.T) {
	p := provider(t, extract.Config{Embed: topics("alpha", "beta", "gamma", "delta")})
	got := text(answer(t, p, llm.Prompt{Question: "alpha and beta", Sources: []llm.Source{
		{N: 1, Text: "There are alpha, beta and delta. There is a delta of its own."},
		{N: 2, Text: "There are alpha, beta and gamma. Here are alpha and beta. Here are beta and alpha."},
	}}))
	want := "Quoted from the sources, not generated:\n“There are alpha, beta and gamma.” [2]\n" +
		"“Here are alpha and beta.” [2]\n“There are alpha, beta and delta.” [1]"
	if got != want {
		t.Errorf("answer %q\nwant   %q", got, want)
	}
}

func TestGenerate_nothingAnswers(t *testing.T) {
	p := provider(t, extract.Config{Embed: topics("pizza", "file", "bread")})
	for name, sources := range map[string][]llm.Source{
		"other things": files.Sources,
		"no sources":   nil,
		"no text":      {{N: 1}, {N: 2, Text: "\n\n# Title\n"}},
	} {
		got := answer(t, p, llm.Prompt{Question: "best pizza", Sources: sources})
		last := got[len(got)-1]
		if len(got) != 1 || !strings.Contains(last.Content, "do not answer") || last.Finish != "no_answer" || last.Model != "extract" || len(last.Citations) > 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestGenerate_questionFromMessages(t *testing.T) {
	var asked string
	p := provider(t, extract.Config{Embed: func(ctx context.Context, texts []string) ([][]float32, error) {
		asked = texts[0]
		return letters(ctx, texts)
	}})
	answer(t, p, llm.Prompt{Sources: files.Sources, Messages: []llm.Message{
		{Role: llm.User, Content: "first"}, {Role: llm.Assistant, Content: "x"}, {Role: llm.User, Content: "second"}, {Role: llm.System, Content: "y"},
	}})
	if asked != "second" {
		t.Errorf("asked %q", asked)
	}
	if _, err := p.Generate(t.Context(), llm.Prompt{Sources: files.Sources}); fault.Field(err) != "/question" {
		t.Errorf("no question: %v", err)
	}
}

// TestGenerate_marksInSources holds that a source cannot cite for itself.
func TestGenerate_marksInSources(t *testing.T) {
	p := provider(t, extract.Config{Embed: letters, Floor: -1})
	got := answer(t, p, llm.Prompt{Question: "who", Sources: []llm.Source{{N: 1, Text: "This has been shown before [2] by others [13]."}}})
	if s := text(got); !strings.HasSuffix(s, "“This has been shown before (2) by others (13).” [1]") {
		t.Errorf("answer %q", s)
	}
	if q := got[len(got)-1].Citations[0].Quote; q != "This has been shown before [2] by others [13]." {
		t.Errorf("quote %q: the quote is the source's own text", q)
	}
}

func TestGenerate_errors(t *testing.T) {
	down := fault.New(fault.Unavailable, "down")
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		vectors [][]float32
		err     error
		want    error
	}{
		"embedding fails": {nil, down, down},
		"too few vectors": {[][]float32{{1}}, nil, fault.Unavailable},
	} {
		p := provider(t, extract.Config{Embed: func(context.Context, []string) ([][]float32, error) { return c.vectors, c.err }})
		if _, err := p.Generate(t.Context(), files); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := provider(t, extract.Config{Embed: func(_ context.Context, texts []string) ([][]float32, error) {
		out := make([][]float32, len(texts))
		for i := range out {
			out[i] = []float32{nan, 0, 1}[:1+i%3]
		}
		return out, nil
	}})
	if got := answer(t, p, files); got[0].Finish != "no_answer" {
		t.Errorf("from vectors that are none: %+v", got)
	}
}

func TestStream_ends(t *testing.T) {
	p := provider(t, extract.Config{Embed: letters})
	ctx, cancel := context.WithCancel(t.Context())
	s, err := p.Generate(ctx, files)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := s.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("behind its context: %v", err)
	}
	s, err = p.Generate(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	if _, err := s.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("behind Close: %v", err)
	}
}

// TestGenerate_property holds what is true of every answer: it keeps to its
// limits, cites only sources there are, quotes only their words, ends with one
// finish reason, and is always the same.
func TestGenerate_property(t *testing.T) {
	sentence := rapid.StringMatching(`[A-Z][a-z]{1,8}( [a-z\[\]0-9]{1,8}){2,12}[.!?]`)
	rapid.Check(t, func(r *rapid.T) {
		c := extract.Config{Embed: letters, Sentences: rapid.IntRange(1, 5).Draw(r, "sentences"), Floor: rapid.Float64Range(-1, 1).Draw(r, "floor")}
		p := provider(t, c)
		prompt := llm.Prompt{Question: sentence.Draw(r, "question"), MaxTokens: rapid.IntRange(0, 80).Draw(r, "limit")}
		for n := range rapid.IntRange(0, 5).Draw(r, "sources") {
			text := strings.Join(rapid.SliceOfN(sentence, 0, 5).Draw(r, "text"), " ")
			prompt.Sources = append(prompt.Sources, llm.Source{N: n + 1, Text: text})
		}
		got := answer(t, p, prompt)
		used, quotes := 0, 0
		for i, c := range got {
			used += tokens.Estimate(c.Content)
			if last := i == len(got)-1; last != (c.Finish != "") || last != (c.Usage != nil) {
				r.Errorf("chunk %d of %d: %+v", i, len(got), c)
			}
			for _, cite := range c.Citations {
				quotes++
				if !strings.Contains(prompt.Sources[cite.N-1].Text, strings.TrimRight(cite.Quote, " …")) {
					r.Errorf("%q is not in source %d", cite.Quote, cite.N)
				}
			}
		}
		if prompt.MaxTokens > 0 && used > prompt.MaxTokens || quotes > c.Sentences {
			r.Errorf("%d tokens of %d, %d quotes of %d", used, prompt.MaxTokens, quotes, c.Sentences)
		}
		if diff := cmp.Diff(got, answer(t, p, prompt)); diff != "" {
			r.Errorf("not always the same: %s", diff)
		}
	})
}

func TestGenerate_limit(t *testing.T) {
	p := provider(t, extract.Config{Embed: topics("read", "file", "line")})
	for limit, want := range map[int]string{
		100: "Quoted from the sources, not generated:\n“A scanner reads the lines of a file.” [2]",
		14:  "“A scanner reads the lines of a file.” [2]",
		12:  "“A scanner reads the …” [2]",
		1:   "",
	} {
		prompt := files
		prompt.MaxTokens = limit
		got := answer(t, p, prompt)
		if s := text(got); s != want {
			t.Errorf("limit %d: %q, want %q", limit, s, want)
		}
		if finish := got[len(got)-1].Finish; (finish == "length") != (limit < 14) {
			t.Errorf("limit %d: finish %q", limit, finish)
		}
	}
}

func TestNew_refuses(t *testing.T) {
	for field, c := range map[string]extract.Config{
		"/embed":     {},
		"/sentences": {Embed: letters, Sentences: -1},
		"/floor":     {Embed: letters, Floor: 1.5},
	} {
		if _, err := extract.New(c); !errors.Is(err, fault.Invalid) || fault.Field(err) != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func BenchmarkGenerate(b *testing.B) {
	p := provider(b, extract.Config{Embed: letters})
	prompt := llm.Prompt{Question: files.Question}
	for n := range 8 {
		prompt.Sources = append(prompt.Sources, llm.Source{N: n + 1, Text: strings.Repeat(fmt.Sprintf("Source %d reads lines of files. ", n), 20)})
	}
	for b.Loop() {
		if _, err := p.Generate(b.Context(), prompt); err != nil {
			b.Fatal(err)
		}
	}
}

func Example() {
	p, err := extract.New(extract.Config{Embed: letters}) // embed.Embedder in earnest
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := p.Generate(context.Background(), llm.Prompt{
		Question: "How are lines of a file read?",
		Sources: []llm.Source{
			{N: 1, Text: "A Scanner reads a file line by line. Zip it up."},
			{N: 2, Text: "Bytes hum."},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close() //nolint:errcheck // never fails
	for {
		c, err := s.Next()
		if err != nil {
			break
		}
		fmt.Print(c.Content)
	}
	fmt.Println()
	// Output:
	// Quoted from the sources, not generated:
	// “A Scanner reads a file line by line.” [1]
}
