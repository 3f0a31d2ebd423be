package extract

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lanewise/lanewise/internal/tokens"
	"github.com/lanewise/lanewise/llm"
)

// What an answer says besides its quotes.
const (
	intro   = "Quoted from the sources, not generated:\n"
	nothing = "The sources do not answer this question. (Only their own words are quoted; nothing is generated.)"
)

// mark matches what would read as one of the answer's own citations.
var mark = regexp.MustCompile(`\[(\d+)\]`)

// compose writes the answer, at most limit tokens long by estimate (0: no limit).
// There is always at least one chunk; the last one has the finish reason.
func compose(chosen []candidate, limit int) []llm.Chunk {
	w := writer{left: limit, bounded: limit > 0}
	if len(chosen) == 0 {
		w.finish = "no_answer"
		w.write(llm.Chunk{Content: nothing})
		return w.end()
	}
	w.finish = "stop"
	if first := line(chosen[0], chosen[0].text); !w.bounded || w.cost(intro)+w.cost(first) <= w.left {
		w.write(llm.Chunk{Content: intro})
	}
	for i, c := range chosen {
		quote := c.text
		if i == 0 {
			quote = w.shorten(c)
		}
		if quote == "" || !w.write(llm.Chunk{Content: line(c, quote), Citations: []llm.Citation{{N: c.source, Quote: quote}}}) {
			w.finish = "length"
			break
		}
	}
	return w.end()
}

// line quotes a sentence of a candidate's source. Marks like [3] in the sentence
// itself would pass for citations, so they lose their brackets.
func line(c candidate, quote string) string {
	return "“" + mark.ReplaceAllString(quote, "($1)") + "” [" + strconv.Itoa(c.source) + "]\n"
}

// writer collects chunks within a budget of tokens.
type writer struct {
	chunks  []llm.Chunk
	left    int
	bounded bool
	finish  string
}

func (w *writer) cost(text string) int { return tokens.Estimate(text) }

// write adds a chunk if it fits.
func (w *writer) write(c llm.Chunk) bool {
	cost := w.cost(c.Content)
	if w.bounded && cost > w.left {
		w.finish = "length"
		return false
	}
	w.left -= cost
	w.chunks = append(w.chunks, c)
	return true
}

// shorten returns the beginning of a candidate's sentence that fits, or "" where
// not even a few words do.
func (w *writer) shorten(c candidate) string {
	quote := c.text
	for w.bounded && w.cost(line(c, quote)) > w.left {
		length := utf8.RuneCountInString(quote)
		if length < shortest {
			return ""
		}
		quote = cut(c.text, min(length-1, length*3/4))
	}
	if quote != c.text {
		w.finish = "length"
	}
	return quote
}

// end returns the chunks with the finish reason on the last one.
func (w *writer) end() []llm.Chunk {
	if len(w.chunks) == 0 {
		w.chunks = []llm.Chunk{{}}
	}
	last := &w.chunks[len(w.chunks)-1]
	last.Content = strings.TrimRight(last.Content, "\n")
	last.Finish = w.finish
	return w.chunks
}

// usage estimates what was read and written.
func usage(question string, candidates []candidate, chunks []llm.Chunk) *llm.Usage {
	u := &llm.Usage{PromptTokens: tokens.Estimate(question), Estimated: true}
	for _, c := range candidates {
		u.PromptTokens += tokens.Estimate(c.text)
	}
	for _, c := range chunks {
		u.CompletionTokens += tokens.Estimate(c.Content)
	}
	return u
}
