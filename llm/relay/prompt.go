package relay

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

const (
	// prefixBytes bounds what of a prompt tells its cache: long enough for most
	// instructions, and short enough that a long document with a question behind
	// it goes where that document was read before.
	prefixBytes = 4096
	// templateTokens is what a chat template puts around a message.
	templateTokens = 4
	// mediaTokens is what an image or a recording counts as; its bytes say nothing.
	mediaTokens = 1000
)

// messages reads a conversation. The prefix ends with the first message of the
// user, so that the turns of a conversation have the same one, or after prefixBytes.
func (p *parser) messages() {
	if p.peek() != '[' {
		p.value()
		p.blame(memberMessages, "must be a list")
		return
	}
	start, end := p.i, 0
	p.i++
	first := true
	for ; p.element(first) && p.err == nil; first = false {
		if p.message() && end == 0 {
			end = p.i
		}
		p.call.spans.turns = p.i
	}
	if first {
		p.blame(memberMessages, "must not be empty")
	}
	if end == 0 {
		end = p.i
	}
	if !p.bad {
		p.call.spans.prompt = span{start, p.i}
		p.call.Prefix += xxhash.Sum64(p.data[start:min(end, start+prefixBytes)])
	}
}

// message reads one message, and reports whether it is the user's.
func (p *parser) message() (user bool) {
	if !p.take('{') {
		p.value()
		p.blame(memberMessages, "must be a list of objects")
		return false
	}
	p.call.PromptTokens += templateTokens
	for name, ok := p.member(true); ok; name, ok = p.member(false) {
		switch string(name) {
		case "role":
			user = string(p.value()) == `"user"`
		case "content":
			p.content()
		default: // tool calls and their ids, names
			p.call.PromptTokens += len(p.value()) / 4
		}
	}
	return user
}

// content reads a text, or a list of parts.
func (p *parser) content() {
	if p.peek() != '[' {
		p.call.PromptTokens += estimate(p.value())
		return
	}
	p.i++
	for first := true; p.element(first); first = false {
		if !p.take('{') {
			p.call.PromptTokens += estimate(p.value())
			continue
		}
		media := false
		for name, ok := p.member(true); ok; name, ok = p.member(false) {
			value := p.value()
			switch string(name) {
			case "text", "refusal":
				p.call.PromptTokens += estimate(value)
			case "image_url", "input_audio", "file", "video_url", "audio_url", "image":
				media = true
			}
		}
		if media {
			p.call.PromptTokens += mediaTokens
		}
	}
}

// prompt reads the text of a completion: one or several, as text or as token ids.
func (p *parser) prompt() {
	raw := p.value()
	p.call.spans.prompt = span{p.i - len(raw), p.i}
	p.call.Prefix += xxhash.Sum64(raw[:min(len(raw), prefixBytes)])
	if len(raw) == 0 || raw[0] == '"' || bytes.IndexByte(raw, '"') >= 0 {
		p.call.PromptTokens += estimate(raw)
		return
	}
	p.call.PromptTokens += bytes.Count(raw, []byte{','}) + 1
}

// estimate returns about how many tokens the text of a JSON value has; the rule
// is that of package tokens, without decoding.
func estimate(raw []byte) int {
	text := max(len(raw)-2, 0)
	if ascii := narrow(raw); ascii < len(raw) {
		return (text-len(raw)+ascii+3)/4 + utf8.RuneCount(raw) - ascii
	}
	// An escape is not six tokens: "\u4e2d" is one rune of another script.
	if n := bytes.Count(raw, []byte(`\u`)); n > 0 {
		return (text-6*n+3)/4 + n
	}
	return (text + 3) / 4
}

// narrow counts ASCII bytes, eight at a time.
func narrow(raw []byte) int {
	wide, at := 0, 0
	for ; at+8 <= len(raw); at += 8 {
		wide += bits.OnesCount64(binary.LittleEndian.Uint64(raw[at:]) & 0x8080808080808080)
	}
	for ; at < len(raw); at++ {
		wide += int(raw[at] >> 7)
	}
	return len(raw) - wide
}
