package openaiwire

import (
	"regexp"
	"strconv"
	"strings"
)

// overlong are the ways in which servers say that a prompt does not fit into a
// model's window. The first group, where there is one, is the window in tokens.
var overlong = [...]*regexp.Regexp{
	// OpenAI, vLLM and SGLang; vLLM since 0.9 says "context length is only".
	regexp.MustCompile(`(?i)(?:maximum context|context) (?:length|window)(?: is| of)?(?: only)?:? *\(?(\d{2,9})`),
	// TGI; it counts the answer's room, too.
	regexp.MustCompile("(?i)inputs`? tokens (?:\\+ `?max_new_tokens`? )?must (?:be|have) (?:<=|less than) *(\\d{2,9})"),
	// Anthropic.
	regexp.MustCompile(`(?i)prompt is too long:? *\d+ tokens > (\d{2,9})`),
	regexp.MustCompile(`(?i)exceed (?:the )?context limit: *\d+ \+ \d+ > (\d{2,9})`),
	// llama.cpp, and others that name no figure.
	regexp.MustCompile(`(?i)exceeds? the (?:available |model's )?(?:maximum )?context (?:size|length|window)`),
	regexp.MustCompile(`(?i)prompt is too long`),
}

// window reports whether an error says that the prompt does not fit into the
// model's window, and the window's tokens where it names them.
func window(status int, body problem) (limit int, ok bool) {
	switch strings.ToLower(body.code()) {
	case "context_length_exceeded", "exceed_context_size_error":
		ok = true
	}
	ok = ok || strings.EqualFold(body.Type, "exceed_context_size_error")
	if !ok && status != 400 && status != 413 && status != 422 && status != 200 {
		return 0, false // 200: an event of a stream
	}
	for _, form := range overlong {
		m := form.FindStringSubmatch(body.Message)
		if m == nil {
			continue
		}
		ok = true
		if len(m) > 1 {
			limit, _ = strconv.Atoi(m[1]) //nolint:errcheck // nine digits at most
			return limit, true
		}
		break
	}
	if !ok {
		return 0, false
	}
	return max(body.Window, 0), true
}
