package wire

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/lanewise/lanewise/fault"
)

// reader reads one JSON value in a single pass, strictly: the grammar of RFC
// 8259, known names only, each once. The first error sticks and ends every
// loop; its pointer is put together while the calls return, so that success
// pays nothing for it.
type reader struct {
	s     string
	i     int
	share bool   // strings may lie in s
	at    string // pointer of the error, from the value being read downwards
	err   *fault.Error
}

const maxNesting = 1_000 // of values that are skipped as they are

func newReader(data []byte, share bool) *reader {
	r := &reader{s: string(data), share: share}
	if !utf8.ValidString(r.s) {
		r.fail("not valid UTF-8")
	}
	return r
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = &fault.Error{Class: fault.Invalid, Message: fmt.Sprintf(format, args...)}
	}
	r.i = len(r.s)
}

func (r *reader) syntax() {
	if r.i >= len(r.s) {
		r.fail("the JSON ends too early")
		return
	}
	r.fail("not valid JSON at byte %d", r.i)
}

// finish checks that nothing follows the value.
func (r *reader) finish() error {
	if r.err == nil && r.peek() != 0 {
		r.fail("data follows the JSON value, at byte %d", r.i)
	}
	if r.err == nil {
		return nil
	}
	r.err.Field = r.at
	return r.err
}

// peek steps over white space and returns the next byte, or 0 at the end.
func (r *reader) peek() byte {
	for ; r.i < len(r.s); r.i++ {
		switch c := r.s[r.i]; c {
		case ' ', '\n', '\t', '\r':
		case 0:
			r.syntax()
			return 0
		default:
			return c
		}
	}
	return 0
}

// take steps over c if it comes next.
func (r *reader) take(c byte) bool {
	if r.peek() != c {
		return false
	}
	r.i++
	return true
}

// expect steps over c or fails.
func (r *reader) expect(c byte, what string) bool {
	if r.take(c) {
		return true
	}
	if r.i < len(r.s) && r.startsValue() {
		r.fail("must be %s", what)
	}
	r.syntax()
	return false
}

func (r *reader) startsValue() bool {
	return strings.IndexByte(`"{[-0123456789tfn`, r.s[r.i]) >= 0
}

// null steps over null, which stands for an absent field.
func (r *reader) null() bool {
	if r.peek() != 'n' || !strings.HasPrefix(r.s[r.i:], "null") {
		return false
	}
	r.i += len("null")
	return true
}

// object calls field with the index of each member's name; field reads the value.
func (r *reader) object(names []string, field func(i int)) {
	if r.err != nil || r.null() || !r.expect('{', "an object") || r.take('}') {
		return
	}
	var seen uint64
	for {
		name := r.key()
		i := indexOf(names, name)
		switch {
		case r.err != nil:
		case i < 0:
			r.fail("unknown field")
		case seen&(1<<i) != 0:
			r.fail("the field is there twice")
		default:
			seen |= 1 << i
			field(i)
		}
		if r.err != nil {
			r.at = "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name) + r.at
			return
		}
		if r.take('}') {
			return
		}
		if !r.take(',') {
			r.syntax()
			return
		}
	}
}

// key reads a member's name and its colon.
func (r *reader) key() string {
	if r.peek() != '"' {
		r.syntax()
		return ""
	}
	name := r.quoted()
	if !r.take(':') {
		r.syntax()
	}
	return name
}

func indexOf(names []string, name string) int {
	for i, n := range names {
		if n == name {
			return i
		}
	}
	return -1
}

// array calls element for each element; it reads the value.
func (r *reader) array(element func(i int)) {
	if r.err != nil || r.null() || !r.expect('[', "a list") || r.take(']') {
		return
	}
	for i := 0; ; i++ {
		element(i)
		if r.err != nil {
			r.at = "/" + strconv.Itoa(i) + r.at
			return
		}
		if r.take(']') {
			return
		}
		if !r.take(',') {
			r.syntax()
			return
		}
	}
}

// text reads a string that outlives the body, or shares it.
func (r *reader) text() string {
	if r.null() || r.peek() != '"' && !r.expect('"', "a string") {
		return ""
	}
	s := r.quoted()
	if r.share {
		return s
	}
	return strings.Clone(s)
}

// same is text for a field that mostly repeats: it returns last if it is equal.
func (r *reader) same(last string) string {
	if r.share {
		return r.text()
	}
	r.share = true
	s := r.text()
	r.share = false
	if s == last {
		return last
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
	for r.err == nil {
		r.key()
		r.skipValue(depth)
		if r.err != nil || r.take('}') {
			return
		}
		if !r.take(',') {
			r.syntax()
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
		if err != nil || got%4 != 0 || got < block && s != "" {
			r.fail("must be base64 of whole 4-byte numbers")
			return
		}
		for i := 0; i < got; i += 4 {
			word(binary.LittleEndian.Uint32(out[i:]))
		}
	}
}
