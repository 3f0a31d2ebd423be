package prompt

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// Fence puts marks around retrieved texts that these cannot forge: the mark of a
// text is a keyed hash of it, so a text that holds its own mark cannot be written
// without the key. Equal texts get equal marks, which a mark drawn for each request
// would not give: prompts with the same passages share their beginning, and an
// engine's prefix cache stays warm. Safe for concurrent use.
type Fence struct{ key []byte }

// NewFence returns a fence. Routers with the same key lay the same passages out in
// the same way; without a key one is drawn.
func NewFence(key []byte) Fence {
	if len(key) == 0 {
		key = make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("lanewise: fence of retrieved texts"))
	return Fence{mac.Sum(nil)}
}

// markLen is the length of a mark: 40 bits in base32.
const markLen = 8

// mark returns the mark of a text that has been cleaned.
func (f Fence) mark(text string) string {
	mac := hmac.New(sha256.New, f.key)
	for {
		mac.Write([]byte(text))
		mark := strings.ToLower(base32.StdEncoding.EncodeToString(mac.Sum(nil)))[:markLen]
		if !strings.Contains(text, mark) {
			return mark
		}
	}
}

// block returns a text between its marks, under its number.
func (f Fence) block(n int, text string) string {
	text = Clean(text)
	mark := f.mark(text)
	return `<source n="` + strconv.Itoa(n) + `" mark="` + mark + "\">\n" + text + "\n</source " + mark + ">\n"
}

// What a model's tokenizer or a prompt's layout could take for structure: the
// fence's own tags, and the marks of roles and turns that chat templates are made of.
var (
	tags  = regexp.MustCompile(`(?i)<(\s*/?\s*source|\||｜|/?s>|/?(?:bos|eos|pad|unk)>|(?:start|end)_of_turn>|<\s*/?\s*sys\s*>>)`)
	turns = regexp.MustCompile(`(?i)\[(/?(?:inst|system_prompt|tool_calls|tool_results|available_tools)\])`)
)

// Clean makes a text safe to stand in a prompt: its words stay, and nothing in it
// is structure any more. Opening brackets of tags that would be are replaced by
// similar letters, line ends made one, and characters removed that are not seen:
// control characters, overrides of the writing direction and Unicode's tag characters.
// Invalid UTF-8 becomes U+FFFD. Cleaning twice changes nothing.
func Clean(text string) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\r\n", "\n"), "\uFFFD")
	text = strings.Map(visible, text)
	text = tags.ReplaceAllString(text, "‹$1")
	return turns.ReplaceAllString(text, "⁅$1")
}

// visible maps characters that are not to be kept to -1.
func visible(r rune) rune {
	switch {
	case r == '\n' || r == '\t':
		return r
	case r == '\r':
		return '\n'
	case unicode.IsControl(r),
		r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069, // direction
		r >= 0xE0000 && r <= 0xE007F: // tags: letters that nobody sees
		return -1
	}
	return r
}
