package wire

import (
	"fmt"
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
	s    string
	i    int
	data []byte // what s was made from, if what is read may share memory with both
	at   string // pointer of the error, from the value being read downwards
	err  *fault.Error
}

const maxNesting = 10_000 // of values that are taken as they are

func newReader(data []byte, share bool) *reader {
	r := &reader{s: string(data)}
	if share {
		r.data = data
	}
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
		if r.err != nil {
			return
		}
		switch i := indexOf(names, name); {
		case i < 0:
			r.fail("unknown field")
		case seen&(1<<i) != 0:
			r.fail("the field is there twice")
		default:
			seen |= 1 << i
			field(i)
		}
		if r.err != nil {
			r.at = string(jsontext.Pointer("").AppendToken(name)) + r.at
			return
		}
		if r.ends('}') {
			return
		}
	}
}

// ends reports whether the object or array is over, be it by an error.
func (r *reader) ends(with byte) bool {
	if r.take(with) {
		return true
	}
	if !r.take(',') {
		r.syntax()
	}
	return r.err != nil
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
		if r.ends(']') {
			return
		}
	}
}
