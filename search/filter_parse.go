package search

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lanewise/lanewise/fault"
)

const (
	maxFilterParts = 10_000 // terms and values of one filter
	maxFilterDepth = 100    // of nested conditions, and of the names in a path
	manyValues     = 8      // of In, from which a hash lookup beats a loop
)

const allOps = "$eq $ne $gt $gte $lt $lte $in $nin $exists $and $or $not"

// ParseFilter reads a filter in its JSON form:
//
//	{"year": {"$gte": 2020}, "$or": [{"lang": "go"}, {"lang": {"$in": ["c", "rust"]}}]}
//
// A bare value means $eq; several fields or operations in one object must all
// hold. $not stands before a whole condition or before the operations of a
// field. Nothing, null and {} are the zero Filter.
//
// What cannot be read is fault.Invalid, with the JSON pointer of the place inside
// the filter: unknown operations, repeated names, objects or arrays as values,
// booleans and null where an order is asked for, conditions without content
// anywhere but at the top (they would match everything by accident), invalid
// UTF-8, more than 10,000 terms and values, a nesting deeper than 100.
func ParseFilter(data []byte) (Filter, error) {
	start := skipSpace(data, 0)
	if start == len(data) {
		return Filter{}, nil
	}
	if !json.Valid(data) || !utf8.Valid(data) {
		return Filter{}, fault.BadField("", "the filter is not valid JSON")
	}
	switch data[start] {
	case 'n':
		return Filter{}, nil
	case '{':
	default:
		return Filter{}, fault.BadField("", "a filter must be an object")
	}
	p := parser{}
	terms, err := p.conditions(data[start:], place{depth: 1})
	if err != nil {
		return Filter{}, err
	}
	return join(terms), nil
}

// join makes one filter of the conditions of one object.
func join(terms []Filter) Filter {
	switch len(terms) {
	case 0:
		return Filter{}
	case 1:
		return terms[0]
	default:
		return Filter{Op: And, Terms: terms}
	}
}

// parser counts what it has read, over the whole filter.
type parser struct{ parts int }

// place is where in the filter something stands.
type place struct {
	pointer string // JSON pointer
	depth   int    // of nested conditions
}

func (at place) member(name string) place {
	return place{at.pointer + "/" + escapePointer(name), at.depth}
}

func (at place) element(i int) place {
	return place{at.pointer + "/" + strconv.Itoa(i), at.depth}
}

// deeper is the same place one condition further down.
func (at place) deeper() place { return place{at.pointer, at.depth + 1} }

// bad is an error about what stands here.
func (at place) bad(format string, args ...any) error {
	return fault.BadField(at.pointer, format, args...)
}

// conditions reads an object of fields and of $and, $or, $not.
func (p *parser) conditions(obj []byte, at place) ([]Filter, error) {
	if at.depth > maxFilterDepth {
		return nil, at.bad("nested deeper than %d conditions", maxFilterDepth)
	}
	var terms []Filter
	var seen nameSet
	c := cursor{b: obj, i: 1}
	for {
		quoted, value, ok := c.member()
		if !ok {
			return terms, nil
		}
		name := unquote(quoted)
		here := at.member(name)
		if !seen.add(name) {
			return nil, here.bad("the name is there twice")
		}
		more, err := p.condition(name, value, here)
		if err != nil {
			return nil, err
		}
		terms = append(terms, more...)
	}
}

func (p *parser) condition(name string, value []byte, at place) ([]Filter, error) {
	op := Op(name)
	if op == And || op == Or {
		f, err := p.list(op, value, at)
		return []Filter{f}, err
	}
	if op == Not {
		inner, err := p.inner(value, at)
		return []Filter{{Op: Not, Terms: []Filter{inner}}}, err
	}
	if strings.HasPrefix(name, "$") {
		return nil, at.bad("unknown operation, or one that belongs behind a field: there are %s", allOps)
	}
	if err := checkPath(name, at); err != nil {
		return nil, err
	}
	if value[0] == '{' {
		return p.operations(name, value, at)
	}
	f, err := p.leaf(Eq, name, value, at)
	return []Filter{f}, err
}

// list reads the conditions of $and and $or.
func (p *parser) list(op Op, value []byte, at place) (Filter, error) {
	f := Filter{Op: op}
	if value[0] != '[' {
		return f, at.bad("must be a list of conditions")
	}
	c := cursor{b: value, i: 1}
	for i := 0; ; i++ {
		element, ok := c.element()
		if !ok {
			break
		}
		term, err := p.inner(element, at.element(i))
		if err != nil {
			return f, err
		}
		f.Terms = append(f.Terms, term)
	}
	if len(f.Terms) == 0 {
		return f, at.bad("must hold at least one condition")
	}
	return f, nil
}

// inner reads a condition below the top, which must not be empty.
func (p *parser) inner(value []byte, at place) (Filter, error) {
	if value[0] != '{' {
		return Filter{}, at.bad("must be a condition, such as {\"year\": 2024}")
	}
	terms, err := p.conditions(value, at.deeper())
	if err == nil && len(terms) == 0 {
		err = at.bad("the condition is empty")
	}
	return join(terms), err
}

// operations reads what stands behind a field: {"$gte": 1, "$lt": 9}.
func (p *parser) operations(field string, obj []byte, at place) ([]Filter, error) {
	if at.depth > maxFilterDepth {
		return nil, at.bad("nested deeper than %d conditions", maxFilterDepth)
	}
	var terms []Filter
	var seen nameSet
	c := cursor{b: obj, i: 1}
	for {
		quoted, value, ok := c.member()
		if !ok {
			break
		}
		name := unquote(quoted)
		here := at.member(name)
		if !seen.add(name) {
			return nil, here.bad("the name is there twice")
		}
		f, err := p.operation(Op(name), field, value, here)
		if err != nil {
			return nil, err
		}
		terms = append(terms, f)
	}
	if len(terms) == 0 {
		return nil, at.bad("must hold an operation, such as {\"$gte\": 2020}")
	}
	return terms, nil
}

func (p *parser) operation(op Op, field string, value []byte, at place) (Filter, error) {
	switch op {
	case Eq, Ne, Gt, Gte, Lt, Lte, Exists:
		return p.leaf(op, field, value, at)
	case In, Nin:
		return p.set(op, field, value, at)
	case Not:
		if value[0] != '{' {
			return Filter{}, at.bad("must hold operations, such as {\"$gte\": 2020}")
		}
		terms, err := p.operations(field, value, at.deeper())
		return Filter{Op: Not, Terms: []Filter{join(terms)}}, err
	case And, Or:
		return Filter{}, at.bad("stands before whole conditions, not behind a field")
	}
	if !strings.HasPrefix(string(op), "$") {
		return Filter{}, at.bad("not an operation; a field of an object is written as a path, %q", field+"."+string(op))
	}
	return Filter{}, at.bad("unknown operation: there are %s", allOps)
}

// leaf reads an operation with one value.
func (p *parser) leaf(op Op, field string, value []byte, at place) (Filter, error) {
	v, err := p.value(value, at)
	if err != nil {
		return Filter{}, err
	}
	ordered := op == Gt || op == Gte || op == Lt || op == Lte
	switch {
	case op == Exists && v.kind != boolean:
		return Filter{}, at.bad("must be true or false")
	case ordered && v.kind != str && !isNumber(v.kind):
		return Filter{}, at.bad("only numbers and strings have an order")
	}
	return Filter{Op: op, Field: field, Values: []Value{v}}, nil
}

// set reads the values of $in and $nin.
func (p *parser) set(op Op, field string, value []byte, at place) (Filter, error) {
	f := Filter{Op: op, Field: field}
	if value[0] != '[' {
		return f, at.bad("must be a list of values")
	}
	p.parts++ // an empty list counts too
	c := cursor{b: value, i: 1}
	for i := 0; ; i++ {
		element, ok := c.element()
		if !ok {
			break
		}
		v, err := p.value(element, at.element(i))
		if err != nil {
			return f, err
		}
		f.Values = append(f.Values, v)
	}
	if len(f.Values) >= manyValues {
		f.set = make(map[Value]struct{}, len(f.Values))
		for _, v := range f.Values {
			f.set[v] = struct{}{}
		}
	}
	return f, nil
}

// value reads a scalar and counts it.
func (p *parser) value(raw []byte, at place) (Value, error) {
	if p.parts++; p.parts > maxFilterParts {
		return Value{}, at.bad("the filter has more than %d terms and values", maxFilterParts)
	}
	v, err := parseValue(raw)
	if err == nil {
		return v, nil
	}
	if raw[0] == '[' {
		return v, at.bad("a list is no value; for one of several values write {\"$in\": [...]}")
	}
	return v, at.bad("%v", err)
}

// checkPath refuses paths that can never match.
func checkPath(path string, at place) error {
	switch {
	case strings.Count(path, ".") >= maxFilterDepth:
		return at.bad("the path has more than %d names", maxFilterDepth)
	case path == "", path[0] == '.', path[len(path)-1] == '.', strings.Contains(path, ".."):
		return at.bad("a field is one or more names joined by dots; a name is empty")
	}
	return nil
}

// escapePointer writes a name as a part of a JSON pointer (RFC 6901).
func escapePointer(name string) string {
	if !strings.ContainsAny(name, "~/") {
		return name
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// nameSet finds repeated names: by a loop while they are few.
type nameSet struct {
	few  [8]string
	n    int // of few
	many map[string]struct{}
}

// add reports whether name is new.
func (s *nameSet) add(name string) bool {
	if s.many == nil && slices.Contains(s.few[:s.n], name) {
		return false
	}
	if s.many == nil && s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	if s.many == nil {
		s.many = make(map[string]struct{})
		for _, old := range s.few {
			s.many[old] = struct{}{}
		}
	}
	_, old := s.many[name]
	s.many[name] = struct{}{}
	return !old
}
