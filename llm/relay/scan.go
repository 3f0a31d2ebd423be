package relay

import (
	"bytes"
	"math"
	"strconv"
)

// scanner walks through one JSON text without decoding it. It is exact about
// where values begin and end, and leaves the finer points of the grammar to the
// upstream, which reads the same bytes. The first error sticks.
type scanner struct {
	data []byte
	i    int
	bad  bool
}

// maxDepth of values within values: nobody asks for as many, and some parsers do
// not survive them.
const maxDepth = 512

func (s *scanner) fail() { s.bad, s.i = true, len(s.data) }

// peek steps over white space and returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	for ; s.i < len(s.data); s.i++ {
		switch c := s.data[s.i]; c {
		case ' ', '\n', '\t', '\r':
		default:
			return c
		}
	}
	return 0
}

// take steps over c if it comes next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.i++
	return true
}

// expect steps over c or fails.
func (s *scanner) expect(c byte) {
	if !s.take(c) {
		s.fail()
	}
}

// member steps to the value of an object's next member and returns its name
// without quotes, escapes and all; ok is false behind the last one. first is true
// for the first call in an object, whose brace has been taken.
func (s *scanner) member(first bool) (name []byte, ok bool) {
	if s.take('}') {
		return nil, false
	}
	if !first {
		s.expect(',')
	}
	name = s.text()
	s.expect(':')
	s.peek()
	return name, !s.bad
}

// element steps to the next value of an array, as member does.
func (s *scanner) element(first bool) bool {
	if s.take(']') {
		return false
	}
	if !first {
		s.expect(',')
	}
	s.peek()
	return !s.bad
}

// text steps over a string and returns what is between its quotes.
func (s *scanner) text() []byte {
	if !s.take('"') {
		s.fail()
		return nil
	}
	start := s.i
	for {
		n := bytes.IndexByte(s.data[s.i:], '"')
		if n < 0 {
			s.fail()
			return nil
		}
		s.i += n + 1
		if !escaped(s.data[start : s.i-1]) {
			return s.data[start : s.i-1]
		}
	}
}

// escaped reports whether text ends in a backslash that escapes what follows.
func escaped(text []byte) bool {
	n := 0
	for n < len(text) && text[len(text)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// value steps over any value and returns its bytes.
func (s *scanner) value() []byte {
	s.peek()
	start := s.i
	switch s.peek() {
	case '"':
		s.text()
	case '{', '[':
		s.nested()
	case 0, ',', ':', '}', ']':
		s.fail()
	default:
		s.literal()
	}
	if s.bad {
		return nil
	}
	return s.data[start:s.i]
}

// nested steps over an object or an array, whose brackets have to match.
func (s *scanner) nested() {
	var open [maxDepth / 64]uint64 // a bit for each level: is it an object?
	depth := 0
	for s.i < len(s.data) {
		switch c := s.data[s.i]; c {
		case '"':
			s.text()
			continue
		case '{', '[':
			if depth == maxDepth {
				s.fail()
				return
			}
			open[depth/64] &^= 1 << (depth % 64)
			if c == '{' {
				open[depth/64] |= 1 << (depth % 64)
			}
			depth++
		case '}', ']':
			depth--
			if object := open[depth/64]>>(depth%64)&1 == 1; object != (c == '}') {
				s.fail()
				return
			}
			if depth == 0 {
				s.i++
				return
			}
		}
		s.i++
	}
	s.fail()
}

// literal steps over a number, true, false or null.
func (s *scanner) literal() {
	for ; s.i < len(s.data); s.i++ {
		switch s.data[s.i] {
		case ',', '}', ']', ' ', '\n', '\t', '\r':
			return
		case '"', '{', '[', ':':
			s.fail()
			return
		}
	}
}

// most is what a number counts for at most.
const most = 1 << 52

// integer reads a JSON number that is a whole one, also one written as 1e3 or 4.0.
func integer(value []byte) (int, bool) {
	if n, err := strconv.Atoi(string(value)); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || f != math.Trunc(f) {
		return 0, false
	}
	return int(max(min(f, most), -most)), true
}
