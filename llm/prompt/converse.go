package prompt

import (
	"slices"
	"strings"
	"unicode"

	"github.com/lanewise/lanewise/internal/tokens"
	"github.com/lanewise/lanewise/llm"
)

// Bounds of what is searched for.
const (
	fewWords   = 4   // a question of so many words, or fewer, leans on what was said before
	mostBefore = 3   // earlier turns that are added
	turnTokens = 128 // of each
)

// referring are words that stand for something that was said before. English, German,
// French, Spanish.
const referring = ` it its they them their theirs this that these those he she him her his hers former latter same such there else instead
 er sie es ihn ihm ihr ihre ihren dies diese dieser dieses diesen diesem dessen deren dort dazu davon damit dafür dabei
 il elle ils elles ce cela ça ceci celui celle ceux celles lui leur leurs y
 él ella ello ellos ellas esto eso este esta ese esa estos estas esos esas su sus `

// SearchText returns what to search for to answer a question in a conversation,
// without asking a model: the question itself if it can stand alone. One of four words or
// fewer, or with a word that refers to something said before ("it", "those"), gets the
// user's turns before it, the newest first, until one of them can stand alone, three at
// most; each is cut to 128 tokens. The question stays last.
func SearchText(question string, conversation []llm.Message) string {
	parts := []string{question}
	for _, m := range slices.Backward(conversation) {
		if standsAlone(parts[len(parts)-1]) || len(parts) > mostBefore {
			break
		}
		if text := strings.TrimSpace(tokens.Cut(m.Content, turnTokens)); m.Role == llm.User && text != "" {
			parts = append(parts, text)
		}
	}
	slices.Reverse(parts)
	return strings.Join(parts, "\n")
}

// standsAlone reports whether a question says what it is about.
func standsAlone(question string) bool {
	words := strings.FieldsFunc(strings.ToLower(question), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\'' && r != '_'
	})
	if len(words) <= fewWords && !dense(question) {
		return false
	}
	return !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(referring, " "+w+" ") })
}

// dense reports whether a text is of a script that puts no blanks between words, and long enough.
func dense(text string) bool {
	letters := 0
	for _, r := range text {
		if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer) {
			letters++
		}
	}
	return letters > 3*fewWords
}

// Bounds of what a model reads to rephrase a question.
const (
	rephraseTurns  = 6
	rephraseTokens = 256 // of each turn
)

const rephraseSystem = `Rewrite the last question so that it can be understood without the conversation before it.
Keep its language, names and numbers. Do not answer it: reply with the rewritten question and nothing else.`

// Rephrase lays out what a model reads to put the last question of a conversation
// into words that can stand alone: the newest six turns, each cut to 256 tokens, and the question.
func Rephrase(question string, conversation []llm.Message) []llm.Message {
	var text strings.Builder
	for _, m := range conversation[max(0, len(conversation)-rephraseTurns):] {
		text.WriteString(string(m.Role) + ": " + tokens.Cut(Clean(m.Content), rephraseTokens) + "\n")
	}
	text.WriteString("\nLast question: " + Clean(question))
	return []llm.Message{{Role: llm.System, Content: rephraseSystem}, {Role: llm.User, Content: text.String()}}
}

// Rephrased reads a model's answer to that: its text on one line, without quotation
// marks around it, or "" where it is no question that can be searched for.
func Rephrased(answer string) string {
	text := strings.Trim(strings.Join(strings.Fields(Clean(answer)), " "), `"'“”„ `)
	if tokens.Estimate(text) > rephraseTokens {
		return ""
	}
	return text
}
