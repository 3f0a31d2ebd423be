package relay

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/lanewise/lanewise/fault"
)

// The members of a body that are read. Servers that match names in any case
// (Ollama) must not find others than were found here.
const (
	memberModel = iota
	memberStream
	memberOptions
	memberMessages
	memberPrompt
	memberLimit
	memberNewLimit
	memberAnswers
	memberBestOf
	memberTools
	memberForm
	memberFunctions
	memberSession
	memberUnknown
)

// names are spelled as the constants above are ordered.
var names = [...]string{
	"model", "stream", "stream_options", "messages", "prompt", "max_tokens", "max_completion_tokens", "n", "best_of",
	"tools", "response_format", "functions", "prompt_cache_key",
}

// Parse reads a body. Its errors are fault.Invalid with the pointer of the field.
// Members that it does not know are left to the upstream; one that it reads must
// not be there twice, not even in other letters.
func Parse(e Endpoint, body []byte) (*Call, error) {
	p := parser{scanner: scanner{data: body}, call: &Call{Endpoint: e, Answers: 1, body: new(atomic.Pointer[[]byte])}}
	p.call.body.Store(&body)
	if p.peek() != '{' {
		return nil, fault.BadField("", "the body must be a JSON object")
	}
	p.i++
	p.call.spans.open = p.i
	for name, ok := p.member(true); ok && p.err == nil; name, ok = p.member(false) {
		p.read(name)
	}
	switch {
	case p.err != nil:
		return nil, p.err
	case p.bad:
		return nil, fault.BadField("", "the body is no JSON")
	case p.peek() != 0 || p.i < len(body):
		return nil, fault.BadField("", "data follows the JSON value, at byte %d", p.i)
	case e == Chat && !p.has(memberMessages):
		return nil, fault.BadField("/messages", "is missing")
	case e == Text && !p.has(memberPrompt):
		return nil, fault.BadField("/prompt", "is missing")
	}
	return p.call, nil
}

// known returns which member a name is; exact is false where the name has other
// letters.
func known(name []byte) (member int, exact bool) {
	if bytes.IndexByte(name, '\\') >= 0 {
		var plain string
		if json.Unmarshal(slices.Concat([]byte{'"'}, name, []byte{'"'}), &plain) != nil {
			return memberUnknown, true
		}
		name = []byte(plain)
	}
	for at, text := range names {
		if text == string(name) {
			return at, true
		}
		if strings.EqualFold(text, string(name)) {
			return at, false
		}
	}
	return memberUnknown, true
}

// parser fills a call.
type parser struct {
	scanner
	call *Call
	seen uint
	err  error
}

func (p *parser) has(member int) bool { return p.seen>>member&1 == 1 }

// read reads the value of a member.
func (p *parser) read(name []byte) {
	member, exact := known(name)
	switch {
	case member == memberUnknown:
		p.value()
		return
	case !exact:
		p.blame(member, "must be written like this")
		return
	case p.has(member):
		p.blame(member, "is there twice")
		return
	}
	p.seen |= 1 << member
	switch member {
	case memberModel:
		p.call.Model = p.string(member, &p.call.spans.model)
	case memberSession:
		p.call.Session = p.string(member, new(span))
	case memberStream:
		p.call.Stream = p.flag(member)
	case memberOptions:
		p.options()
	case memberMessages:
		p.messages()
	case memberPrompt:
		p.prompt()
	case memberLimit, memberNewLimit:
		p.call.MaxTokens = max(p.number(member), p.call.MaxTokens)
	case memberAnswers, memberBestOf:
		p.call.Answers = max(p.number(member), p.call.Answers)
	default:
		p.tools(member)
	}
}

func (p *parser) blame(member int, text string) {
	if p.err == nil {
		p.err = fault.BadField("/"+names[member], "%s", text)
	}
}

// string reads a text, and where it is.
func (p *parser) string(member int, at *span) (plain string) {
	p.peek()
	from := p.i
	if p.peek() != '"' {
		if value := p.value(); member == memberModel || string(value) != "null" {
			p.blame(member, "must be a string")
		}
		return ""
	}
	text := p.text()
	*at = span{from, p.i}
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text)
	}
	if json.Unmarshal(p.data[from:p.i], &plain) != nil {
		p.blame(member, "is no string")
	}
	return plain
}

// spanOf returns where the value is that step steps over.
func (p *parser) spanOf(step func()) span {
	p.peek()
	from := p.i
	step()
	return span{from, p.i}
}

func (p *parser) flag(member int) bool {
	switch value := p.value(); string(value) {
	case "true":
		return true
	case "false", "null", "":
	default:
		p.blame(member, "must be true or false")
	}
	return false
}

// number reads a count; null is none.
func (p *parser) number(member int) int {
	value := p.value()
	n, ok := integer(value)
	if !ok && string(value) != "null" && !p.bad {
		p.blame(member, "must be a whole number")
	}
	return max(n, 0)
}

// options reads "stream_options".
func (p *parser) options() {
	s := &p.call.spans
	s.options = p.spanOf(func() {
		if p.peek() != '{' {
			if string(p.value()) != "null" && !p.bad {
				p.blame(memberOptions, "must be an object")
			}
			return
		}
		p.i++
		s.inner, s.empty = p.i, true
		for name, ok := p.member(true); ok; name, ok = p.member(false) {
			s.empty = false
			if !strings.EqualFold(string(name), "include_usage") {
				p.value()
				continue
			}
			if s.usage != (span{}) {
				p.blame(memberOptions, "include_usage is there twice")
			}
			s.usage = p.spanOf(func() { p.call.Usage = p.flag(memberOptions) })
		}
	})
}

// tools reads what the model may call, which is a part of the prompt, or the form
// that it is held to.
func (p *parser) tools(member int) {
	raw := p.value()
	if string(raw) == "null" || string(raw) == "[]" {
		return
	}
	p.call.Tools = true
	if member != memberForm {
		p.call.PromptTokens += len(raw) / 4
		p.call.Prefix += xxhash.Sum64(raw[:min(len(raw), prefixBytes)]) * 31
	}
}
