package relay

import "bytes"

// Look is what there is to know about an event, or a whole answer, while it passes.
type Look struct {
	Done  bool // the end mark "[DONE]"
	Error bool // it is an error, with whatever status the answer began
	// Says tells that there is content: a text, reasoning, a refusal, a tool call.
	// A role alone is none.
	Says    bool
	Ends    bool  // an answer in it has a finish reason
	Choices bool  // it holds answers, or parts of them
	Counts  bool  // it reports the usage
	Usage   Usage // if so
	// Content is the text of the first answer in it, as JSON without the quotes;
	// valid as long as the data that was looked at.
	Content []byte
}

// LookAt reads the data of an event, or a whole answer. ok is false where that is
// no JSON object and not the end mark.
func LookAt(data []byte) (l Look, ok bool) {
	s := scanner{data: data}
	if s.peek() != '{' {
		l.Done = string(bytes.TrimSpace(data)) == "[DONE]"
		return l, l.Done
	}
	s.i++
	for name, more := s.member(true); more; name, more = s.member(false) {
		switch string(name) {
		case "choices":
			l.choices(&s)
		case "usage":
			l.usage(&s)
		case "error":
			l.Error = something(s.value())
		case "object":
			l.Error = l.Error || string(s.value()) == `"error"`
		default:
			s.value()
		}
	}
	return l, !s.bad && s.peek() == 0
}

// something reports whether a value is more than nothing.
func something(value []byte) bool {
	switch string(value) {
	case "", "null", `""`, "[]", "{}", "false":
		return false
	}
	return true
}

func (l *Look) choices(s *scanner) {
	if !s.take('[') {
		s.value() // null
		return
	}
	for first := true; s.element(first); first = false {
		l.Choices = true
		if !s.take('{') {
			s.fail()
			return
		}
		l.choice(s, first)
	}
}

func (l *Look) choice(s *scanner, first bool) {
	for name, more := s.member(true); more; name, more = s.member(false) {
		switch string(name) {
		case "delta", "message":
			l.delta(s, first)
		case "text":
			if value := s.value(); something(value) {
				l.say(value, first)
			}
		case "finish_reason":
			l.Ends = something(s.value()) || l.Ends
		default:
			s.value()
		}
	}
}

// delta reads a part of a message. What servers put there beside the role is
// content, by whichever name.
func (l *Look) delta(s *scanner, first bool) {
	if !s.take('{') {
		s.value() // null
		return
	}
	for name, more := s.member(true); more; name, more = s.member(false) {
		value := s.value()
		switch {
		case !something(value) || string(name) == "role":
		case string(name) == "content":
			l.say(value, first)
		default:
			l.Says = true
		}
	}
}

// say notes a text.
func (l *Look) say(value []byte, first bool) {
	l.Says = true
	if first && len(value) > 1 && value[0] == '"' {
		l.Content = value[1 : len(value)-1]
	}
}

func (l *Look) usage(s *scanner) {
	if !s.take('{') {
		s.value() // null
		return
	}
	l.Counts = true
	for name, more := s.member(true); more; name, more = s.member(false) {
		switch string(name) {
		case "prompt_tokens":
			l.Usage.PromptTokens = s.count()
		case "completion_tokens":
			l.Usage.CompletionTokens = s.count()
		case "prompt_tokens_details":
			l.details(s)
		default:
			s.value()
		}
	}
	l.Usage.CachedTokens = min(l.Usage.CachedTokens, l.Usage.PromptTokens)
}

func (l *Look) details(s *scanner) {
	if !s.take('{') {
		s.value() // null
		return
	}
	for name, more := s.member(true); more; name, more = s.member(false) {
		if string(name) == "cached_tokens" {
			l.Usage.CachedTokens = s.count()
		} else {
			s.value()
		}
	}
}

// count reads a number of tokens; what is none counts as 0, and nobody used more
// than maxCount.
func (s *scanner) count() int {
	n, _ := integer(s.value())
	return min(max(n, 0), maxCount)
}

// maxCount bounds what an upstream can make a lane believe.
const maxCount = 1 << 30
