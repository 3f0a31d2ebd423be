package search

import (
	"encoding/json"
	"slices"
	"strings"
)

// Op is the operation of a [Filter].
type Op string

// The operations of a filter.
const (
	Eq     Op = "$eq"
	Ne     Op = "$ne"
	Gt     Op = "$gt"
	Gte    Op = "$gte"
	Lt     Op = "$lt"
	Lte    Op = "$lte"
	In     Op = "$in"
	Nin    Op = "$nin"
	Exists Op = "$exists"
	And    Op = "$and"
	Or     Op = "$or"
	Not    Op = "$not"
)

// Filter is a condition on a point's metadata. The zero Filter matches every
// point. A Filter is not changed once it is built; it is safe for concurrent use.
//
// # What a field holds
//
// A field is a dotted path through objects. The values of a field are what
// stands at its path, taken apart by these rules:
//
//	metadata                      values of "a"   values of "a.b"
//	{"a": 1}                      1               none
//	{"a": [1, "x"]}               1, "x"          none
//	{"a": {"b": 1}}               the object      1
//	{"a": [{"b": 1}, {"b": [2]}]} two objects     1, 2
//	{"a": [[1]]}                  the array [1]   none
//	{"a": null}, {"a": []}, {}    none            none
//	{"a": [null, 1]}              1               none
//	{"a.b": 1}                    none            none
//
// So an array stands for its elements, one level deep, also on the way to a
// field; null and the empty array are the same as no field; and a name that has
// a dot in it cannot be reached. Where an object has a name twice the last one
// counts. Metadata that is no JSON object has no fields.
//
// # When a condition holds
//
//	$eq v             any value equals v
//	$gt $gte $lt $lte any value of v's type stands in that order to v
//	$in [v, w]        $eq v or $eq w; of an empty list: never
//	$exists true      there is any value, be it an object or an array
//	$eq null          there is no value: the same as $exists false
//	$ne $nin $not     whenever $eq, $in, the condition does not hold
//	$and $or          all of the conditions, one of them
//
// Values of unlike types are never equal and have no order, so that $ne, $nin
// and $not are true where the field is missing or is of another type. Objects
// and nested arrays equal nothing. Booleans and null have no order. Strings are
// ordered by the bytes of their UTF-8, which is the order of their code points;
// there is no case folding, normalisation or collation.
//
// A number that is written as an integer and fits int64 or uint64 is that
// integer; every other number is the nearest float64. The two compare exactly:
// 1 equals 1.0, and 9007199254740993 is greater than 9007199254740992.0. A number in the metadata that
// float64 cannot hold (1e400) is a value that equals nothing and has no order.
type Filter struct {
	Op     Op
	Field  string   // dotted path, for every operation but And, Or and Not
	Values []Value  // one, or any number for In and Nin; a boolean for Exists
	Terms  []Filter // of And and Or; one for Not

	set map[Value]struct{} // of In and Nin with many values; nil: search Values
}

// IsZero reports whether f is the zero Filter, which matches every point.
func (f Filter) IsZero() bool { return f.Op == "" }

// Equal reports whether f and g are written the same way: the order of terms
// and values counts.
func (f Filter) Equal(g Filter) bool {
	return f.Op == g.Op && f.Field == g.Field && slices.Equal(f.Values, g.Values) &&
		slices.EqualFunc(f.Terms, g.Terms, Filter.Equal)
}

// Match reports whether a point with this metadata passes. It reads the JSON in
// place and allocates nothing, except for strings that hold escapes. A Filter
// that [ParseFilter] would refuse matches nothing where it is malformed.
func (f Filter) Match(meta json.RawMessage) bool {
	return f.match(object(meta))
}

// match is Match on an object without white space around it, or on nil.
func (f *Filter) match(meta []byte) bool {
	switch f.Op {
	case "":
		return true
	case And:
		return f.all(meta)
	case Or:
		return f.some(meta)
	case Not:
		return len(f.Terms) == 1 && !f.Terms[0].match(meta)
	case Ne:
		return !f.is(meta)
	case Nin:
		return !f.isIn(meta)
	case In:
		return f.isIn(meta)
	case Exists:
		return len(f.Values) == 1 && f.Values[0].kind == boolean && f.exists(meta) == f.Values[0].isTrue()
	case Eq:
		return f.is(meta)
	case Gt, Gte, Lt, Lte:
		return len(f.Values) == 1 && anyAt(meta, f.Field, f.ordered)
	default:
		return false
	}
}

func (f *Filter) all(meta []byte) bool {
	for i := range f.Terms {
		if !f.Terms[i].match(meta) {
			return false
		}
	}
	return true
}

func (f *Filter) some(meta []byte) bool {
	for i := range f.Terms {
		if f.Terms[i].match(meta) {
			return true
		}
	}
	return false
}

// is answers Eq, and its opposite for Ne.
func (f *Filter) is(meta []byte) bool {
	if len(f.Values) != 1 {
		return false
	}
	if f.Values[0].kind == null {
		return !f.exists(meta)
	}
	return anyAt(meta, f.Field, f.equals)
}

// isIn answers In, and its opposite for Nin.
func (f *Filter) isIn(meta []byte) bool {
	return anyAt(meta, f.Field, f.contains) || f.listsNull() && !f.exists(meta)
}

func (f *Filter) exists(meta []byte) bool {
	return anyAt(meta, f.Field, func([]byte) bool { return true })
}

// equals tests one raw value of the field.
func (f *Filter) equals(raw []byte) bool {
	s := scan(raw)
	return s.equals(&f.Values[0])
}

func (f *Filter) contains(raw []byte) bool {
	s := scan(raw)
	if f.set != nil {
		_, ok := f.set[Value{kind: s.kind, bits: s.bits, text: string(s.text)}]
		return ok
	}
	for i := range f.Values {
		if s.equals(&f.Values[i]) {
			return true
		}
	}
	return false
}

func (f *Filter) listsNull() bool {
	if f.set != nil {
		_, ok := f.set[Value{kind: null}]
		return ok
	}
	return slices.Contains(f.Values, Value{kind: null})
}

func (f *Filter) ordered(raw []byte) bool {
	s := scan(raw)
	order, ok := s.compare(&f.Values[0])
	if !ok {
		return false
	}
	switch f.Op {
	case Gt:
		return order > 0
	case Gte:
		return order >= 0
	case Lt:
		return order < 0
	default: // Lte
		return order <= 0
	}
}

// anyAt reports whether test holds for any value at the path of the object. It
// is never called with null.
func anyAt(obj []byte, path string, test func(raw []byte) bool) bool {
	name, rest, deeper := strings.Cut(path, ".")
	raw := member(obj, name)
	if len(raw) == 0 {
		return false
	}
	if raw[0] != '[' {
		return oneAt(raw, rest, deeper, test)
	}
	c := cursor{b: raw, i: 1}
	for {
		element, ok := c.element()
		if !ok {
			return false
		}
		if oneAt(element, rest, deeper, test) {
			return true
		}
	}
}

// oneAt tests raw itself, or what stands at the rest of the path below it.
func oneAt(raw []byte, rest string, deeper bool, test func(raw []byte) bool) bool {
	if deeper {
		return raw[0] == '{' && anyAt(raw, rest, test)
	}
	return raw[0] != 'n' && test(raw)
}
