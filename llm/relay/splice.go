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
}

// edit replaces a span by a text.
type edit struct {
	span
	text string
}

// Bytes returns the body as it is sent: with the model of the call (as the client
// wrote it, where that is empty) or, where the call has none, otherwise; and, if
// usage is set and the answer is streamed, with the option that has the upstream
// report the usage. All other bytes are the client's. Body itself is returned
// where nothing has to be changed; it must not be written to.
func (c *Call) Bytes(otherwise string, usage bool) []byte {
	body := c.Body()
	if body == nil {
		return nil
	}
	var room [2]edit
	edits := room[:0]
	if e, ok := c.editModel(body, otherwise); ok {
		edits = append(edits, e)
	}
	if e, ok := c.editOptions(body); ok && usage && c.Stream {
		if len(edits) > 0 && e.from < edits[0].from {
			edits = append(edits[:0], e, edits[0])
		} else {
			edits = append(edits, e)
		}
	}
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
