package prompt

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Cited are the marks of an answer.
type Cited struct {
	Sources []int // numbers of sources that were in the prompt, ascending, each once
	Unknown []int // numbers of sources that were not: no citations
}

// A mark is [1], [1, 2] or [1-3]. One that follows a word at once is none: a[1].
var marks = regexp.MustCompile(`\[(\d{1,4}(?:\s*[,;–-]\s*\d{1,4}){0,15})\]`)

// Citations resolves the marks of an answer against the numbers of the sources in
// its prompt. Marks in code, between backticks, are part of the code.
func Citations(answer string, inPrompt func(n int) bool) Cited {
	var c Cited
	for _, m := range markings(answer) {
		for _, n := range numbers(answer[m[2]:m[3]]) {
			if inPrompt(n) {
				c.Sources = append(c.Sources, n)
			} else {
				c.Unknown = append(c.Unknown, n)
			}
		}
	}
	return Cited{unique(c.Sources), unique(c.Unknown)}
}

// markings returns where the marks are, as regexp does.
func markings(answer string) [][]int {
	code := codeOf(answer)
	return slices.DeleteFunc(marks.FindAllStringSubmatchIndex(answer, -1), func(m []int) bool {
		before, _ := utf8.DecodeLastRuneInString(answer[:m[0]])
		index := m[0] > 0 && (before == '_' || before == ')' || before < utf8.RuneSelf && unicode.IsLetter(before)) && sticks(answer[m[1]:])
		return index || slices.ContainsFunc(code, func(span [2]int) bool { return m[0] >= span[0] && m[0] < span[1] })
	})
}

// sticks reports whether what follows a mark makes an expression of it: a[1].b, a[1](, a[1]=.
func sticks(rest string) bool {
	next, size := utf8.DecodeRuneInString(rest)
	switch {
	case size == 0:
		return false
	case next == '.':
		after, _ := utf8.DecodeRuneInString(rest[size:])
		return unicode.IsLetter(after)
	}
	return next == '(' || next == '=' || next == '_' || unicode.IsLetter(next)
}

// codeOf returns the spans of an answer that are code: between runs of backticks of one length.
func codeOf(answer string) (spans [][2]int) {
	for at := 0; at < len(answer); {
		start := strings.IndexByte(answer[at:], '`')
		if start < 0 {
			break
		}
		start += at
		ticks := len(answer[start:]) - len(strings.TrimLeft(answer[start:], "`"))
		inside := start + ticks
		end := strings.Index(answer[inside:], answer[start:inside])
		if end < 0 {
			at = inside
			continue
		}
		at = inside + end + ticks
		spans = append(spans, [2]int{start, at})
	}
	return spans
}

// numbers reads a mark's inside; a range is each number of it.
func numbers(inside string) (out []int) {
	for _, part := range strings.FieldsFunc(inside, func(r rune) bool { return r == ',' || r == ';' }) {
		var ends []int
		for _, word := range strings.FieldsFunc(part, func(r rune) bool { return r == '-' || r == '–' || unicode.IsSpace(r) }) {
			n, err := strconv.Atoi(word)
			if err == nil {
				ends = append(ends, n)
			}
		}
		if len(ends) == 2 && ends[0] < ends[1] && ends[1]-ends[0] < 50 {
			for n := ends[0]; n <= ends[1]; n++ {
				out = append(out, n)
			}
			continue
		}
		out = append(out, ends...)
	}
	return out
}

func unique(numbers []int) []int {
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// maxQuote bounds a quote, in characters.
const maxQuote = 200

// Quote returns what of a passage an answer rests on where it cites it as n: the
// given words if the passage has them, else the sentence of it that shares most
// words with the sentences that cite it, else its beginning. White space is made
// one blank; a quote that is cut ends in "…".
func Quote(answer string, n int, passage, given string) string {
	passage = strings.Join(strings.Fields(passage), " ")
	given = strings.Join(strings.Fields(given), " ")
	if given != "" && strings.Contains(passage, given) {
		return given
	}
	asked := wordsOf(citing(answer, n))
	best, most := passage, 0.0
	for _, sentence := range sentences(passage) {
		if share := overlap(asked, wordsOf(sentence)); share > most {
			best, most = sentence, share
		}
	}
	return cut(best)
}

// citing returns the sentences of an answer that cite n.
func citing(answer string, n int) string {
	var out strings.Builder
	for _, m := range markings(answer) {
		if !slices.Contains(numbers(answer[m[2]:m[3]]), n) {
			continue
		}
		text := answer[:m[0]]
		for len(text) > 0 && strings.HasSuffix(strings.TrimRight(text, " "), "]") { // marks before this one
			open := strings.LastIndexByte(text, '[')
			if open < 0 {
				break
			}
			text = text[:open]
		}
		text = strings.TrimRight(text, " .!?\n")
		out.WriteString(text[strings.LastIndexAny(text, ".!?\n")+1:] + " ")
	}
	return out.String()
}

// sentences cuts a text of single blanks behind ". ", "! " and "? ".
func sentences(text string) (out []string) {
	from := 0
	for i := 1; i < len(text); i++ {
		if text[i] == ' ' && strings.IndexByte(".!?", text[i-1]) >= 0 {
			out, from = append(out, text[from:i]), i+1
		}
	}
	return append(out, text[from:])
}

// wordsOf returns the words of a text that are three letters long or longer.
func wordsOf(text string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if utf8.RuneCountInString(w) > 2 {
			out[w] = true
		}
	}
	return out
}

// overlap is how many words two texts share, with a discount for long ones.
func overlap(a, b map[string]bool) float64 {
	shared := 0
	for w := range a {
		if b[w] {
			shared++
		}
	}
	return float64(shared) / (10 + float64(len(b)))
}

// cut returns the first characters of a text, cut between words.
func cut(text string) string {
	end := runes(text, maxQuote)
	if end == len(text) {
		return text
	}
	text = text[:end]
	if i := strings.LastIndexByte(text, ' '); i > 0 {
		text = text[:i]
	}
	return text + " …"
}
