package search

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"strconv"

	"github.com/lanewise/lanewise/fault"
)

// Value is a JSON scalar in a filter. The zero Value is null. Values are
// comparable: == is the equality of the filter's truth table.
type Value struct {
	kind kind
	bits uint64 // of the number, or 1 for true
	text string // of a string
}

// kind is the type of a scalar. Numbers have one canonical kind each, so that
// equal numbers have equal bits: integer before unsigned before float.
type kind uint8

const (
	null kind = iota
	boolean
	str
	integer  // int64
	unsigned // uint64 above the largest int64
	float    // float64 that is no integer in either range
	other    // an object, an array, a number out of range: equals nothing, has no order
)

// ValueOf returns x as a Value: nil, a bool, a string, an integer or a float of
// any size, or a json.Number. Anything else, and NaN and infinities, are
// fault.Invalid.
func ValueOf(x any) (Value, error) {
	if f, ok := wholeFloat(x); ok {
		s := scanFloat(f) // as text, 2^63 would be the integer 9223372036854776000
		return Value{kind: s.kind, bits: s.bits}, nil
	}
	raw, err := json.Marshal(x)
	if err != nil {
		return Value{}, fault.New(fault.Invalid, "a filter value must be null, a boolean, a string or a finite number, not %v", x)
	}
	return parseValue(raw)
}

func wholeFloat(x any) (f float64, ok bool) {
	switch x := x.(type) {
	case float64:
		f = x
	case float32:
		f = float64(x)
	default:
		return 0, false
	}
	return f, math.Trunc(f) == f && !math.IsInf(f, 0)
}

// Any returns v as nil, bool, string, int64, uint64 (only above the largest
// int64) or float64 (only where it is no integer in either range).
func (v Value) Any() any {
	switch v.kind {
	case boolean:
		return v.isTrue()
	case str:
		return v.text
	case integer:
		return int64(v.bits) //nolint:gosec // the bits of an int64
	case unsigned:
		return v.bits
	case float:
		return math.Float64frombits(v.bits)
	default:
		return nil
	}
}

// MarshalJSON returns v as JSON. A float is written in the shortest form that
// gives the same float64 back.
func (v Value) MarshalJSON() ([]byte, error) { return json.Marshal(v.Any()) }

// UnmarshalJSON reads a JSON scalar; anything else is fault.Invalid.
func (v *Value) UnmarshalJSON(data []byte) error {
	parsed, err := parseValue(data)
	*v = parsed
	return err
}

func (v *Value) isTrue() bool { return v.bits == 1 }

// parseValue reads one valid JSON value without white space around it.
func parseValue(raw []byte) (Value, error) {
	s := scan(raw)
	if s.kind != other {
		return Value{kind: s.kind, bits: s.bits, text: string(s.text)}, nil
	}
	if raw[0] == '{' || raw[0] == '[' {
		return Value{}, fault.New(fault.Invalid, "a filter value must be null, a boolean, a string or a number")
	}
	return Value{}, fault.New(fault.Invalid, "%s is out of the range of a float64", raw)
}

// scalar is a Value whose text still lies in the metadata.
type scalar struct {
	kind kind
	bits uint64
	text []byte
}

// scan reads one valid JSON value.
func scan(raw []byte) scalar {
	switch raw[0] {
	case 'n':
		return scalar{kind: null}
	case 't':
		return scalar{kind: boolean, bits: 1}
	case 'f':
		return scalar{kind: boolean}
	case '"':
		return scalar{kind: str, text: scanText(raw)}
	case '{', '[':
		return scalar{kind: other}
	default:
		return scanNumber(raw)
	}
}

func scanText(quoted []byte) []byte {
	if len(quoted) < 2 {
		return nil
	}
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	return []byte(unquote(quoted))
}

// scanNumber reads short integers by hand: nearly all numbers are.
func scanNumber(raw []byte) scalar {
	digits := raw
	if raw[0] == '-' {
		digits = raw[1:]
	}
	var n int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return parseFloat(raw)
		}
		n = n*10 + int64(c-'0') // may overflow, then it is not used
	}
	switch {
	case len(digits) > 18: // 10^18 - 1 fits an int64
		return parseLong(raw)
	case raw[0] == '-':
		n = -n
	}
	return scalar{kind: integer, bits: uint64(n)} //nolint:gosec // the bits of an int64
}

// parseLong reads an integer of any length.
func parseLong(raw []byte) scalar {
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return scalar{kind: integer, bits: uint64(n)} //nolint:gosec // the bits of an int64
	}
	if n, err := strconv.ParseUint(string(raw), 10, 64); err == nil {
		return scalar{kind: unsigned, bits: n}
	}
	return parseFloat(raw)
}

func parseFloat(raw []byte) scalar {
	x, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return scalar{kind: other}
	}
	return scanFloat(x)
}

// scanFloat gives x its canonical kind.
func scanFloat(x float64) scalar {
	const two63, two64 = 1 << 63, 1 << 64
	switch {
	case x != math.Trunc(x) || x < -two63 || x >= two64:
		return scalar{kind: float, bits: math.Float64bits(x)}
	case x < two63:
		return scalar{kind: integer, bits: uint64(int64(x))} //nolint:gosec // the bits of an int64
	default:
		return scalar{kind: unsigned, bits: uint64(x)}
	}
}

// equals compares with a Value that is not null.
func (s *scalar) equals(v *Value) bool {
	return s.kind == v.kind && s.kind != other && s.bits == v.bits && string(s.text) == v.text
}

// compare orders s and v where both are strings or both are numbers.
func (s *scalar) compare(v *Value) (order int, ok bool) {
	switch {
	case s.kind == str && v.kind == str:
		return compareText(s.text, v.text), true
	case isNumber(s.kind) && isNumber(v.kind):
		return compareNumbers(s.kind, s.bits, v.kind, v.bits), true
	default:
		return 0, false
	}
}

func compareText(a []byte, b string) int {
	switch {
	case string(a) < b:
		return -1
	case string(a) > b:
		return 1
	default:
		return 0
	}
}

func isNumber(k kind) bool { return k == integer || k == unsigned || k == float }

// compareNumbers compares two canonical numbers exactly.
func compareNumbers(ak kind, a uint64, bk kind, b uint64) int {
	switch {
	case ak == float && bk == float:
		return cmp.Compare(math.Float64frombits(a), math.Float64frombits(b))
	case ak == float:
		return -compareNumbers(bk, b, ak, a)
	case bk == float:
		return compareFloat(ak, a, math.Float64frombits(b))
	case ak != bk: // an unsigned number is above every int64
		return cmp.Compare(ak, bk)
	case ak == unsigned:
		return cmp.Compare(a, b)
	default:
		return cmp.Compare(int64(a), int64(b)) //nolint:gosec // the bits of int64s
	}
}

// compareFloat compares an integer with a float64 that is out of the integers'
// range or has a fraction. No float64 at or above 2^52 has a fraction, so that
// inside the range the float's floor decides, and it is exact.
func compareFloat(k kind, bits uint64, x float64) int {
	const two63, two64 = 1 << 63, 1 << 64
	switch {
	case x >= two64:
		return -1
	case x < -two63 || k == unsigned: // x has a fraction and is therefore below 2^52
		return 1
	case int64(bits) <= int64(math.Floor(x)): //nolint:gosec // the bits of an int64
		return -1
	default:
		return 1
	}
}
