package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// text reads a string that outlives the body, or shares it.
func (r *reader) text() string {
	if r.null() || r.peek() != '"' && !r.expect('"', "a string") {
		return ""
	}
	s := r.quoted()
	if r.data != nil {
		return s
	}
	return strings.Clone(s)
}

// quoted reads a string at its opening quote. Without escapes it lies in r.s.
func (r *reader) quoted() string {
	start := r.i
	escaped := r.skipString()
	if r.err != nil {
		return ""
	}
	if !escaped {
		return r.s[start+1 : r.i-1]
	}
	s, err := jsontext.AppendUnquote(nil, r.s[start:r.i])
	if err != nil {
		r.fail("not a valid string")
	}
	return string(s)
}

// skipString checks a string's form and steps over it.
func (r *reader) skipString() (escaped bool) {
	for r.i++; r.i < len(r.s); r.i++ {
		switch c := r.s[r.i]; {
		case c == '"':
			r.i++
			return escaped
		case c < ' ':
			r.syntax()
			return escaped
		case c == '\\':
			escaped = true
			r.skipEscape()
		}
	}
	r.syntax()
	return escaped
}

// skipEscape stops at the last byte of an escape.
func (r *reader) skipEscape() {
	r.i++
	switch {
	case r.i == len(r.s):
	case r.s[r.i] == 'u':
		for range 4 {
			if r.i++; r.i >= len(r.s) || !isHex(r.s[r.i]) {
				r.syntax()
				return
			}
		}
	case strings.IndexByte(`"\/bfnrt`, r.s[r.i]) < 0:
		r.syntax()
	}
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func (r *reader) bool() bool {
	if r.null() {
		return false
	}
	switch c := r.peek(); {
	case c == 't' && r.word("true"):
		return true
	case c == 'f' && r.word("false"):
	default:
		r.fail("must be true or false")
	}
	return false
}

func (r *reader) word(word string) bool {
	if !strings.HasPrefix(r.s[r.i:], word) {
		return false
	}
	r.i += len(word)
	return true
}

// number returns the text of a number.
func (r *reader) number() string {
	c := r.peek()
	if c != '-' && (c < '0' || c > '9') {
		r.fail("must be a number")
		return ""
	}
	start := r.i
	r.skipNumber()
	return r.s[start:r.i]
}

// skipNumber follows the grammar: no leading zeros, digits around a point.
func (r *reader) skipNumber() {
	if r.s[r.i] == '-' {
		r.i++
	}
	if r.i < len(r.s) && r.s[r.i] == '0' {
		r.i++
	} else {
		r.skipDigits()
	}
	if r.i < len(r.s) && r.s[r.i] == '.' {
		r.i++
		r.skipDigits()
	}
	if r.i < len(r.s) && r.s[r.i]|0x20 == 'e' {
		if r.i++; r.i < len(r.s) && (r.s[r.i] == '+' || r.s[r.i] == '-') {
			r.i++
		}
		r.skipDigits()
	}
}

// skipDigits steps over at least one digit.
func (r *reader) skipDigits() {
	start := r.i
	for r.i < len(r.s) && '0' <= r.s[r.i] && r.s[r.i] <= '9' {
		r.i++
	}
	if r.i == start {
		r.syntax()
	}
}

func (r *reader) integer() int64 {
	if r.null() {
		return 0
	}
	s := r.number()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil && r.err == nil {
		r.fail("must be an integer, is %s", s)
	}
	return n
}

func (r *reader) unsigned() uint64 {
	if r.null() {
		return 0
	}
	s := r.number()
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil && r.err == nil {
		r.fail("must be a non-negative integer, is %s", s)
	}
	return n
}

func (r *reader) float() float64 {
	if r.null() {
		return 0
	}
	s := r.number()
	x, err := strconv.ParseFloat(s, 64)
	if err != nil && r.err == nil {
		r.fail("is out of range: %s", s)
	}
	return x
}

// raw returns the text of any value, checked but not decoded.
func (r *reader) raw() string {
	r.peek()
	start := r.i
	r.skipValue(0)
	if r.err != nil {
		return ""
	}
	return r.s[start:r.i]
}

func (r *reader) skipValue(depth int) {
	switch c := r.peek(); {
	case depth > maxNesting:
		r.fail("nested deeper than %d", maxNesting)
	case c == '"':
		r.skipString()
	case c == '{':
		r.skipMembers(depth + 1)
	case c == '[':
		r.array(func(int) { r.skipValue(depth + 1) })
	case c == '-' || '0' <= c && c <= '9':
		r.skipNumber()
	case r.word("true"), r.word("false"), r.word("null"):
	default:
		r.syntax()
	}
}

func (r *reader) skipMembers(depth int) {
	r.i++
	if r.take('}') {
		return
	}
	for {
		r.key()
		r.skipValue(depth)
		if r.err != nil || r.ends('}') {
			return
		}
	}
}

// floats reads a vector from base64 of little-endian float32.
func (r *reader) floats() []float32 {
	var out []float32
	r.words(func(n int) { out = make([]float32, 0, n) }, func(bits uint32) {
		x := math.Float32frombits(bits)
		if !finite(float64(x)) {
			r.fail("number %d is not finite", len(out))
		}
		out = append(out, x)
	})
	return out
}

// uints reads dimensions from base64 of little-endian uint32.
func (r *reader) uints() []uint32 {
	var out []uint32
	r.words(func(n int) { out = make([]uint32, 0, n) }, func(bits uint32) { out = append(out, bits) })
	return out
}

// words reads a base64 string of 4-byte words, block by block.
func (r *reader) words(size func(n int), word func(bits uint32)) {
	if r.null() || r.peek() != '"' && !r.expect('"', "a base64 string") {
		return
	}
	s := r.quoted()
	if r.err != nil {
		return
	}
	size(len(s) / 4 * 3 / 4)
	var in [block / 3 * 4]byte
	var out [block]byte
	for len(s) > 0 {
		n := copy(in[:], s)
		s = s[n:]
		got, err := base64.StdEncoding.Strict().Decode(out[:], in[:n])
		if err != nil || got%4 != 0 || got != decodedLen(in[:n]) || got < block && s != "" {
			r.fail("must be base64 of whole 4-byte numbers")
			return
		}
		for i := 0; i < got; i += 4 {
			word(binary.LittleEndian.Uint32(out[i:]))
		}
	}
}

// decodedLen is the length of padded base64 once it is decoded. Line breaks,
// which the decoder would ignore, do not fit it.
func decodedLen(text []byte) int {
	if len(text)%4 != 0 {
		return -1
	}
	return len(text)/4*3 - (len(text) - len(bytes.TrimRight(text, "=")))
}
