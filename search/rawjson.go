package search

import (
	"bytes"
	"encoding/json"
)

// cursor walks through the members of an object or the elements of an array
// without decoding them. It expects valid JSON; on anything else it stops
// early, but it never reads out of bounds and always ends.
type cursor struct {
	b []byte
	i int // behind the opening bracket, or behind the last value read
}

// object returns b from its opening brace, or nil where b is no object.
func object(b []byte) []byte {
	i := skipSpace(b, 0)
	if i == len(b) || b[i] != '{' {
		return nil
	}
	return b[i:]
}

// member returns the value of the object's last member with that name, or nil.
// It does what a cursor does, in one loop: this is where a match spends its time.
func member(obj []byte, name string) []byte {
	var found []byte
	for i := 1; i < len(obj); {
		switch obj[i] {
		case '}':
			return found
		case '"':
			end := skipString(obj, i)
			start := skipSpace(obj, end)
			if start < len(obj) && obj[start] == ':' {
				start = skipSpace(obj, start+1)
			}
			quoted := obj[i:end]
			i = skipValue(obj, start)
			if names(quoted, name) {
				found = obj[start:i]
			}
		default: // a comma or white space
			i++
		}
	}
	return found
}

// names reports whether a quoted string spells name.
func names(quoted []byte, name string) bool {
	if len(quoted) == len(name)+2 {
		return string(quoted[1:len(quoted)-1]) == name
	}
	return len(quoted) > len(name)+2 && bytes.IndexByte(quoted, '\\') >= 0 && unquote(quoted) == name // an escape is longer than what it stands for
}

// unquote decodes a JSON string as encoding/json does.
func unquote(quoted []byte) string {
	if len(quoted) < 2 {
		return ""
	}
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return ""
	}
	return s
}

// member reads the next member of an object; name is still quoted.
func (c *cursor) member() (name, value []byte, ok bool) {
	if !c.more() || c.b[c.i] != '"' {
		return nil, nil, false
	}
	start := c.i
	end := skipString(c.b, start)
	name = c.b[start:end]
	c.i = skipSpace(c.b, end)
	if c.i == len(c.b) || c.b[c.i] != ':' || len(name) < 2 {
		return nil, nil, false
	}
	c.i = skipSpace(c.b, c.i+1)
	value, ok = c.value()
	return name, value, ok
}

// element reads the next element of an array.
func (c *cursor) element() (value []byte, ok bool) {
	if !c.more() {
		return nil, false
	}
	return c.value()
}

// more steps over a comma and reports whether another value follows.
func (c *cursor) more() bool {
	c.i = skipSpace(c.b, c.i)
	if c.i < len(c.b) && c.b[c.i] == ',' {
		c.i = skipSpace(c.b, c.i+1)
	}
	return c.i < len(c.b) && c.b[c.i] != '}' && c.b[c.i] != ']'
}

func (c *cursor) value() (value []byte, ok bool) {
	start := c.i
	c.i = skipValue(c.b, start)
	return c.b[start:c.i], c.i > start
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns the index behind the value that starts at i.
func skipValue(b []byte, i int) int {
	if i == len(b) {
		return i
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipNested(b, i)
	default:
		return skipToken(b, i)
	}
}

// skipToken returns the index behind the number or word that starts at i.
func skipToken(b []byte, i int) int {
	for ; i < len(b); i++ {
		switch b[i] {
		case ',', '}', ']', ':', ' ', '\n', '\t', '\r':
			return i
		}
	}
	return i
}

// skipString returns the index behind the string whose opening quote is at i.
func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return len(b)
}

// skipNested returns the index behind the object or array that starts at i. It
// does not recurse, so that no depth of nesting can exhaust the stack.
func skipNested(b []byte, i int) int {
	for depth := 0; i < len(b); {
		switch b[i] {
		case '"':
			i = skipString(b, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		i++
		if depth == 0 {
			return i
		}
	}
	return len(b)
}
