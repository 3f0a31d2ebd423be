package relay

import (
	"bytes"
	"slices"
	"strconv"
	"unicode/utf8"
)

// span is a part of a body; the zero span is none.
type span struct{ from, to int }

// spans are the places of a body where it may be spliced.
type spans struct {
	open    int  // behind the brace of the body
	model   span // value of "model"
	options span // value of "stream_options"
	inner   int  // behind the brace of that, where it is an object
	empty   bool // that object has no members
	usage   span // value of "include_usage" in it
	prompt  span // value of "messages" or "prompt"
	turns   int  // behind the last message of "messages"; 0: there are none
}

// edit replaces a span by a text.
type edit struct {
	span
	text string
}

// Splice says what an upstream needs changed of a body.
type Splice struct {
	Model string // for calls that name none
	Usage bool   // the upstream reports the usage of streams if it is asked to
	// Flags has a continuation (Call.Continue) marked by "continue_final_message", for
	// engines that would take the text so far for a turn that is over.
	Flags bool
}

// Bytes returns the body as it is sent: with the model of the call (as the client
// wrote it, where that is empty) or, where the call has none, otherwise; with the
// option that has the upstream report the usage of a stream; and, where it continues
// an answer, with the text so far. All other bytes are the client's. The body itself
// is returned where nothing has to be changed; it must not be written to.
func (c *Call) Bytes(o Splice) []byte {
	body := c.Body()
	if body == nil {
		return nil
	}
	var room [4]edit
	edits := room[:0]
	if e, ok := c.editModel(body, o.Model); ok {
		edits = append(edits, e)
	}
	if e, ok := c.editOptions(body); ok && o.Usage && c.Stream {
		edits = append(edits, e)
	}
	if len(c.Continue) > 0 && c.spans.turns > 0 {
		text := slices.Concat([]byte(`,{"role":"assistant","content":"`), c.Continue, []byte(`"}`))
		edits = append(edits, edit{span{c.spans.turns, c.spans.turns}, string(text)})
		if o.Flags {
			at := c.spans.open
			edits = append(edits, edit{span{at, at}, `"continue_final_message":true,"add_generation_prompt":false,`})
		}
	}
	slices.SortStableFunc(edits, func(a, b edit) int { return a.from - b.from })
	return apply(body, edits)
}

// editModel returns the edit that puts the model.
func (c *Call) editModel(body []byte, otherwise string) (edit, bool) {
	model := c.Model
	if model == "" {
		model = otherwise
	}
	s := c.spans.model
	switch {
	case model == "":
		return edit{}, false
	case s == span{}:
		return edit{span{c.spans.open, c.spans.open}, `"model":` + quote(model) + `,`}, true
	}
	text := quote(model)
	return edit{s, text}, string(body[s.from:s.to]) != text
}

// editOptions returns the edit that asks for the usage.
func (c *Call) editOptions(body []byte) (edit, bool) {
	s := c.spans
	switch {
	case s.usage != span{}:
		return edit{s.usage, "true"}, string(body[s.usage.from:s.usage.to]) != "true"
	case s.inner > 0 && s.empty:
		return edit{span{s.inner, s.inner}, `"include_usage":true`}, true
	case s.inner > 0:
		return edit{span{s.inner, s.inner}, `"include_usage":true,`}, true
	case s.options != span{}: // null
		return edit{s.options, `{"include_usage":true}`}, true
	}
	return edit{span{s.open, s.open}, `"stream_options":{"include_usage":true},`}, true
}

// apply makes edits, which are in the order of the body.
func apply(body []byte, edits []edit) []byte {
	if len(edits) == 0 {
		return body
	}
	size := len(body)
	for _, e := range edits {
		size += len(e.text)
	}
	out, at := make([]byte, 0, size), 0
	for _, e := range edits {
		out = append(out, body[at:e.from]...)
		out = append(out, e.text...)
		at = e.to
	}
	return append(out, body[at:]...)
}

// quote writes a name as a JSON string.
func quote(text string) string {
	out := make([]byte, 0, len(text)+2)
	out = append(out, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			out = append(out, '\\', byte(r))
		case r < ' ':
			out = append(out, `\u00`...)
			out = append(out, "0123456789abcdef"[r>>4], "0123456789abcdef"[r&15])
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return string(append(out, '"'))
}

// WithCost returns an answer, or the event that reports its usage, with the cost in
// the usage as its member "cost", where there is one. data is not changed.
func WithCost(data []byte, u *Usage) []byte {
	if u == nil || u.Cost <= 0 {
		return data
	}
	s := scanner{data: data, i: max(bytes.IndexByte(data, '{'), 0)}
	if !s.take('{') {
		return data
	}
	for name, more := s.member(true); more; name, more = s.member(false) {
		if string(name) != "usage" || s.peek() != '{' {
			s.value()
			continue
		}
		s.i++
		text := append([]byte(`"cost":`), strconv.FormatFloat(u.Cost, 'g', -1, 64)...)
		if s.peek() != '}' {
			text = append(text, ',')
		}
		return slices.Concat(data[:s.i], text, data[s.i:])
	}
	return data
}

// Marked returns an event whose data has a member "lanewise" that says which upstream
// continues the answer from here on. Raw is not changed.
func Marked(raw []byte, upstream string) []byte {
	at := bytes.IndexByte(raw, '{') + 1
	if at == 0 {
		return raw
	}
	return slices.Concat(raw[:at], []byte(`"lanewise":{"resumed":`+quote(upstream)+`},`), raw[at:])
}
