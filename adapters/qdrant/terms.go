package qdrant

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/qdrant/go-client/qdrant"

	"github.com/lanewise/lanewise/search"
)

// Filters do not look at the metadata as Qdrant would understand it: there, 1 is
// not 1.0, integers above int64 do not exist, strings have no order, and a path
// stops at an array. Instead, three fields are made from it:
//
//	terms  a keyword for each field that holds a value, and for each pair of a
//	       field and a scalar that it holds: equality is the match of a keyword
//	num    for each field, those of its numbers that Qdrant keeps as they are
//	ord    an object for each other number and each string of a field, with whole
//	       numbers in it whose lexicographic order is that of the values
const (
	longestTerm  = 200 // bytes; a longer term is replaced by its hash
	chunkBytes   = 6   // of a string in one number
	chunks       = 8   // of a string that are kept
	longestOrder = chunks*chunkBytes - 1
	deepest      = 100 // names in a path: no filter asks for more
)

// numeric is a number as the sum of a float64 and the rest above it, which is 0
// where the float64 alone holds it.
type numeric struct {
	high float64
	rest uint64
}

// numberOf splits a number of a search.Value.
func numberOf(v any) (numeric, bool) {
	switch v := v.(type) {
	case float64:
		return numeric{high: v}, true
	case uint64:
		return split(v, false), true
	case int64:
		if v < 0 {
			return split(uint64(-(v+1))+1, true), true
		}
		return split(uint64(v), false), true
	default:
		return numeric{}, false
	}
}

// split rounds an integer towards minus infinity to the 53 bits of a float64.
func split(magnitude uint64, negative bool) numeric {
	unit := uint64(1) << max(bits.Len64(magnitude)-53, 0)
	rest := magnitude & (unit - 1)
	high := float64(magnitude - rest)
	switch {
	case !negative:
		return numeric{high, rest}
	case rest == 0:
		return numeric{high: -high}
	default:
		return numeric{-(high + float64(unit)), unit - rest}
	}
}

// kept is what stands in num for a number, if Qdrant keeps it as it is. It writes
// payloads as JSON and reads a fraction back as its digits, rounded to 53 bits,
// times or by a power of ten, rounded again: the last bit may be another one. Up to 15
// digits and 22 places, only the quotient is rounded.
func (n numeric) kept() (v *qdrant.Value, ok bool) {
	const digits, places = 15, 22
	switch {
	case n.rest > 0 || math.Abs(n.high) >= mostExact:
		return nil, false
	case n.high == math.Trunc(n.high):
		return qdrant.NewValueInt(int64(n.high)), true
	}
	text := strconv.FormatFloat(math.Abs(n.high), 'e', -1, 64)
	mantissa, power, _ := strings.Cut(text, "e")
	exponent, err := strconv.Atoi(power)
	fraction := max(len(mantissa)-2, 0) // digits behind the point
	return qdrant.NewValueDouble(n.high), err == nil && fraction < digits && fraction-exponent <= places
}

// parts are numbers in whose lexicographic order numbers are ordered: the halves of
// the float64's bits, turned so that they rise with it, and the rest.
func (n numeric) parts() []int64 {
	b := math.Float64bits(n.high + 0) // no -0
	if b>>63 == 0 {
		b |= 1 << 63
	} else {
		b = ^b
	}
	return []int64{int64(b >> 32), int64(b & math.MaxUint32), int64(n.rest)} //nolint:gosec // 32, 32 and 11 bits
}

// chunked writes the first bytes of a string as numbers of 51 bits each: six
// bytes, and how many of them there are. A full chunk is followed by another one,
// save for the last that is kept; no operand is as long as that.
func chunked(s string) []int64 {
	var out []int64
	for {
		n := min(len(s), chunkBytes)
		var x int64
		for i := range chunkBytes {
			x <<= 8
			if i < n {
				x |= int64(s[i])
			}
		}
		out = append(out, x<<3|int64(n))
		if n < chunkBytes || len(out) == chunks {
			return out
		}
		s = s[n:]
	}
}

// The names in ord of the i-th chunk of a string and of the i-th part of a number.
func chunkName(i int) string { return "c" + strconv.Itoa(i) }
func partName(i int) string  { return "n" + strconv.Itoa(i) }

// existsTerm is the keyword of a field that holds any value.
func existsTerm(field string) string { return shortened("?" + field) }

// valueTerm is the keyword of a field that holds v, which is not null. The length
// keeps the field and the value apart, whatever is in them.
func valueTerm(field string, v search.Value) string {
	prefix := "=" + strconv.Itoa(len(field)) + ":" + field
	switch x := v.Any().(type) {
	case string:
		return shortened(prefix + "s" + x)
	case bool:
		return shortened(prefix + "b" + strconv.FormatBool(x))
	case int64:
		return shortened(prefix + "n" + strconv.FormatInt(x, 10))
	case uint64:
		return shortened(prefix + "n" + strconv.FormatUint(x, 10))
	case float64:
		return shortened(prefix + "n" + strconv.FormatFloat(x, 'x', -1, 64))
	default:
		return never
	}
}

// never is a keyword that no point has.
const never = "!"

func shortened(term string) string {
	if len(term) <= longestTerm {
		return term
	}
	sum := sha256.Sum256([]byte(term))
	return "#" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// numName is the name under num of a field's numbers: letters and digits, and
// every other byte as _ and two hexadecimal digits, so that it needs no quotes in
// Qdrant's paths and has no dots.
func numName(field string) string {
	b := make([]byte, 0, len(field)+8)
	for i := range len(field) {
		switch c := field[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			b = append(b, c)
		default:
			b = append(b, '_')
			b = hex.AppendEncode(b, []byte{c})
		}
	}
	return string(b)
}

// numPath is the path of a field's numbers.
func numPath(field string) string { return fieldNum + "." + numName(field) }

// index collects what filters look at in one point.
type index struct {
	terms []string
	num   map[string]*qdrant.Value
	ord   []*qdrant.Value
}

// newIndex reads metadata that is a valid JSON object or empty.
func newIndex(meta json.RawMessage) (*index, error) {
	x := &index{}
	if len(meta) == 0 {
		return x, nil
	}
	d := json.NewDecoder(bytes.NewReader(meta))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		return nil, err
	}
	x.object("", object, 1)
	slices.Sort(x.terms)
	x.terms = slices.Compact(x.terms)
	return x, nil
}

// object enters the fields of an object. A name that is empty or has a dot in it
// cannot be reached by a filter.
func (x *index) object(path string, object map[string]any, depth int) {
	if depth > deepest {
		return
	}
	for name, value := range object {
		if name == "" || strings.Contains(name, ".") {
			continue
		}
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, v := range list { // an array stands for its elements, one level deep
			x.value(path+name, v, depth)
		}
	}
}

// value enters one value of a field.
func (x *index) value(field string, v any, depth int) {
	if v == nil {
		return
	}
	x.terms = append(x.terms, existsTerm(field))
	switch v := v.(type) {
	case map[string]any:
		x.object(field+".", v, depth+1)
	case []any: // in an array: equals nothing
	default:
		scalar, err := search.ValueOf(v)
		if err != nil { // a number that no float64 holds: equals nothing, has no order
			return
		}
		x.terms = append(x.terms, valueTerm(field, scalar))
		x.order(field, scalar)
	}
}

// order enters what a scalar is ordered by.
func (x *index) order(field string, v search.Value) {
	if text, ok := v.Any().(string); ok {
		x.apart(field, chunkName, chunked(text))
		return
	}
	n, ok := numberOf(v.Any())
	if !ok {
		return
	}
	if v, ok := n.kept(); ok {
		x.number(numName(field), v)
	} else {
		x.apart(field, partName, n.parts())
	}
}

// apart enters an object in ord.
func (x *index) apart(field string, name func(int) string, parts []int64) {
	fields := map[string]*qdrant.Value{"f": qdrant.NewValueString(field)}
	for i, part := range parts {
		fields[name(i)] = qdrant.NewValueInt(part)
	}
	x.ord = append(x.ord, qdrant.NewValueStruct(&qdrant.Struct{Fields: fields}))
}

func (x *index) number(name string, n *qdrant.Value) {
	if x.num == nil {
		x.num = map[string]*qdrant.Value{}
	}
	list := x.num[name].GetListValue()
	if list == nil {
		list = &qdrant.ListValue{}
		x.num[name] = qdrant.NewValueList(list)
	}
	list.Values = append(list.Values, n)
}
