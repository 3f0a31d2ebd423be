package qdrant

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/qdrant/go-client/qdrant"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// point reads a point of an external collection, without its vectors.
func (x *External) point(from stored, f search.Fields) search.Point {
	payload := from.GetPayload()
	p := search.Point{Key: search.Key{ID: textOfID(from.GetId())}}
	if x.ID != "" {
		p.ID = plainText(at(payload, x.ID))
	}
	if f.Text && x.Text != "" {
		p.Text = at(payload, x.Text).GetStringValue()
	}
	if f.Meta {
		p.Meta = x.meta(payload)
	}
	return p
}

// meta is the metadata of a payload: all of it but the text, or what stands in a field.
func (x *External) meta(payload map[string]*qdrant.Value) json.RawMessage {
	if x.Meta != "" {
		payload = at(payload, x.Meta).GetStructValue().GetFields()
	} else if _, has := payload[x.Text]; has {
		payload = maps.Clone(payload)
		delete(payload, x.Text)
	}
	if len(payload) == 0 {
		return nil
	}
	return appendObject(nil, payload)
}

// at is the value at a dotted path, or nil.
func at(payload map[string]*qdrant.Value, path string) *qdrant.Value {
	name, rest, deeper := strings.Cut(path, ".")
	if !deeper {
		return payload[path]
	}
	return at(payload[name].GetStructValue().GetFields(), rest)
}

// plainText is an id that a payload holds as a text or a number.
func plainText(v *qdrant.Value) string {
	if s, ok := v.GetKind().(*qdrant.Value_StringValue); ok {
		return s.StringValue
	}
	return string(appendValue(nil, v))
}

// appendValue writes a value as JSON. Numbers that JSON does not have become null.
func appendValue(b []byte, v *qdrant.Value) []byte {
	var plain any
	switch k := v.GetKind().(type) {
	case *qdrant.Value_BoolValue:
		plain = k.BoolValue
	case *qdrant.Value_IntegerValue:
		plain = k.IntegerValue
	case *qdrant.Value_DoubleValue:
		plain = k.DoubleValue
	case *qdrant.Value_StringValue:
		plain = strings.ToValidUTF8(k.StringValue, "\uFFFD")
	case *qdrant.Value_ListValue:
		b = append(b, '[')
		for i, element := range k.ListValue.GetValues() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, element)
		}
		return append(b, ']')
	case *qdrant.Value_StructValue:
		return appendObject(b, k.StructValue.GetFields())
	}
	text, err := json.Marshal(plain)
	if err != nil {
		text = []byte("null")
	}
	return append(b, text...)
}

// appendObject writes an object, its names in order.
func appendObject(b []byte, fields map[string]*qdrant.Value) []byte {
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(fields)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendValue(b, qdrant.NewValueString(name))
		b = append(b, ':')
		b = appendValue(b, fields[name])
	}
	return append(b, '}')
}

func sortedNames[T any](m map[string]T) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}

// deepestPath bounds the names of a path in a filter on an external collection: each
// doubles the ways to get there.
const deepestPath = 4

// paths are the ways to a field in Qdrant's own payload. A path of Qdrant stops at an
// array unless it says "[]", where search.Filter goes on into its elements.
func (x *External) paths(field string) ([]string, error) {
	names := strings.Split(field, ".")
	if len(names) > deepestPath || strings.ContainsAny(field, `"[]`) {
		return nil, fault.BadField("/filter", "%q cannot be filtered by in an external collection of Qdrant: at most %d names, without quotes and brackets", field, deepestPath)
	}
	ways := []string{""}
	if x.Meta != "" {
		ways[0] = x.Meta + "."
	}
	for i, name := range names {
		if !simpleName(name) {
			name = `"` + name + `"`
		}
		var longer []string
		for _, way := range ways {
			longer = append(longer, way+name)
			if i < len(names)-1 {
				longer[len(longer)-1] += "."
				longer = append(longer, way+name+"[].")
			}
		}
		ways = longer
	}
	return ways, nil
}

func simpleName(name string) bool {
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' {
			return false
		}
	}
	return name != ""
}

// condition translates a filter into one on Qdrant's own payload.
func (x *External) condition(f search.Filter, depth int) (*qdrant.Condition, error) {
	if depth > deepestFilter {
		return nil, fault.BadField("/filter", "nests conditions deeper than %d, which Qdrant cannot read", deepestFilter)
	}
	switch f.Op {
	case "":
		return every(), nil
	case search.And, search.Or, search.Not:
		return x.combined(f, depth)
	case search.Ne, search.Nin:
		held, err := x.held(f)
		return not(held), err
	default:
		return x.held(f)
	}
}

func (x *External) combined(f search.Filter, depth int) (*qdrant.Condition, error) {
	terms := make([]*qdrant.Condition, len(f.Terms))
	for i, t := range f.Terms {
		var err error
		if terms[i], err = x.condition(t, depth+1); err != nil {
			return nil, err
		}
	}
	switch {
	case f.Op == search.And && len(terms) > 0:
		return all(terms...), nil
	case f.Op == search.And:
		return every(), nil
	case len(terms) == 0:
		return nothing(), nil
	case f.Op == search.Or:
		return anyOf(terms...), nil
	default:
		return not(terms[0]), nil
	}
}

// every matches all points.
func every() *qdrant.Condition { return not(nothing()) }

// held is the condition that the field holds one of the values, or one on a side of it.
func (x *External) held(f search.Filter) (*qdrant.Condition, error) {
	ways, err := x.paths(f.Field)
	if err != nil {
		return nil, err
	}
	var either []*qdrant.Condition
	for _, v := range f.Values {
		for _, way := range ways {
			c, err := x.one(f, way, v)
			if err != nil {
				return nil, err
			}
			either = append(either, c)
		}
	}
	if len(either) == 0 {
		return nothing(), nil
	}
	return anyOf(either...), nil
}

// mostExact is the largest size of an integer that Qdrant compares exactly: it reads all
// numbers of a range as float64.
const mostExact = 1 << 53

// one compares what stands at one path of Qdrant with one value.
func (x *External) one(f search.Filter, path string, v search.Value) (*qdrant.Condition, error) {
	equal := f.Op == search.Eq || f.Op == search.Ne || f.Op == search.In || f.Op == search.Nin
	n, number := numberOf(v.Any())
	switch operand := v.Any().(type) {
	case string:
		if equal {
			return qdrant.NewMatch(path, operand), nil
		}
	case bool:
		if equal {
			return qdrant.NewMatchBool(path, operand), nil
		}
	default:
		switch {
		case !number:
		case n.rest != 0 || n.high >= mostExact || n.high <= -mostExact:
			return nil, fault.BadField("/filter", "%q: Qdrant compares numbers exactly up to 2^53 in size", f.Field)
		case equal:
			return qdrant.NewRange(path, &qdrant.Range{Gte: &n.high, Lte: &n.high}), nil
		default:
			return qdrant.NewRange(path, compared(f.Op, n.high)), nil
		}
	}
	return nil, fault.BadField("/filter", "%s %v on %q: Qdrant cannot answer this in an external collection", f.Op, v.Any(), f.Field)
}
