package milvus

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/scalars"
	"github.com/lanewise/lanewise/search"
)

// What stands behind every token of a number, and of a text.
const (
	numberAfter = "o"
	stringAfter = "t"
)

// Every primary key holds a separator, so these two are a constant false and true.
const (
	never  = `pk == ""`
	always = `pk != ""`
)

// literal writes s as a string of Milvus' expressions. Only letters, digits and a
// few marks stand for themselves; everything else is a \u escape, so that no byte of
// s can end the string or begin an escape of its own. s is valid UTF-8.
func literal(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(" .-_:/", r):
			b.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func literals(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = literal(s)
	}
	return "[" + strings.Join(quoted, ",") + "]"
}

// among is the condition that a point is one of those keys.
func among(keys []search.Key) string {
	list := make([]string, 0, len(keys))
	for _, k := range keys {
		if storable(k) {
			list = append(list, primary(k))
		}
	}
	if len(list) == 0 {
		return never
	}
	return "pk in " + literals(list)
}

// ofTenant is the condition that a point is the tenant's.
func ofTenant(tenant string) string {
	if !utf8.ValidString(tenant) {
		return never
	}
	return "tenant == " + literal(tenant)
}

// both joins conditions that must all hold; empty ones always do.
func both(conditions ...string) string {
	var parts []string
	for _, c := range conditions {
		if c != "" {
			parts = append(parts, "("+c+")")
		}
	}
	return strings.Join(parts, " and ")
}

// filterOf writes a filter as an expression on the field "filter"; "" for the zero
// filter.
func filterOf(f search.Filter) (string, error) {
	switch f.Op {
	case "":
		return "", nil
	case search.And:
		return joined(f.Terms, " and ", always)
	case search.Or:
		return joined(f.Terms, " or ", never)
	case search.Not:
		if len(f.Terms) != 1 {
			return "", malformed(f)
		}
		inner, err := filterOf(f.Terms[0])
		return inverse(inner), err
	case search.In:
		return within(f), nil
	case search.Nin:
		return inverse(within(f)), nil
	default:
		return compared(f)
	}
}

// joined writes the terms of an And or Or. A term that is the zero filter holds.
func joined(terms []search.Filter, word, none string) (string, error) {
	if len(terms) == 0 {
		return none, nil
	}
	parts := make([]string, len(terms))
	for i, t := range terms {
		part, err := filterOf(t)
		if err != nil {
			return "", err
		}
		if part == "" {
			part = always
		}
		parts[i] = "(" + part + ")"
	}
	return strings.Join(parts, word), nil
}

func inverse(condition string) string {
	if condition == "" {
		return never
	}
	return "not (" + condition + ")"
}

func malformed(f search.Filter) error {
	return fault.BadField("/filter", "%s with %d terms and %d values", f.Op, len(f.Terms), len(f.Values))
}

// compared writes the conditions on a field with one value.
func compared(f search.Filter) (string, error) {
	if len(f.Values) != 1 {
		return "", malformed(f)
	}
	switch f.Op {
	case search.Eq:
		return within(f), nil
	case search.Ne:
		return inverse(within(f)), nil
	case search.Exists:
		wanted, ok := f.Values[0].Any().(bool)
		if !ok {
			return "", malformed(f)
		}
		if wanted {
			return exists(f.Field), nil
		}
		return inverse(exists(f.Field)), nil
	case search.Gt, search.Gte, search.Lt, search.Lte:
		return ordered(f)
	default:
		return "", fault.BadField("/filter", "%q is no operation", f.Op)
	}
}

// at names a part of a field's entry.
func at(field, part string) string {
	return `filter["` + member(field) + `"]["` + part + `"]`
}

func exists(field string) string { return at(field, "x") + " == 1" }

// within holds where any value of the field equals any of the filter's.
func within(f search.Filter) string {
	var tokens []string
	condition := ""
	for _, v := range f.Values {
		x := v.Any()
		if token, ok := scalars.Equal(x); ok {
			tokens = append(tokens, token)
		} else if x == nil {
			condition = inverse(exists(f.Field))
		}
	}
	one, many := at(f.Field, "v"), at(f.Field, "m")
	switch {
	case len(tokens) == 1:
		found := fmt.Sprintf("%s == %s or json_contains(%s, %s)", one, literal(tokens[0]), many, literal(tokens[0]))
		return either(condition, found)
	case len(tokens) > 1:
		list := literals(tokens)
		return either(condition, fmt.Sprintf("%s in %s or json_contains_any(%s, %s)", one, list, many, list))
	case condition == "":
		return never
	default:
		return condition
	}
}

func either(a, b string) string {
	if a == "" {
		return b
	}
	return a + " or " + b
}

// ordered holds where any value of the value's type stands in that order to it. The
// least and the greatest value of the field decide.
func ordered(f search.Filter) (string, error) {
	x := f.Values[0].Any()
	token, ok := scalars.Order(x)
	if !ok {
		return never, nil // booleans and null have no order
	}
	kind, after, least, greatest := scalars.Number, numberAfter, "n0", "n1"
	if text, isText := x.(string); isText {
		kind, after, least, greatest = scalars.Text, stringAfter, "s0", "s1"
		if len(text) > scalars.MostOrdered {
			return "", fault.BadField("/filter", "%s on %q: this engine compares strings of at most %d bytes by order, this one has %d",
				f.Op, f.Field, scalars.MostOrdered, len(text))
		}
	}
	one, sign, t := at(f.Field, "v"), signs(f.Op), literal(token)
	if f.Op == search.Gt || f.Op == search.Gte {
		return fmt.Sprintf("(%s %s %s and %s < %s) or %s %s %s", one, sign, t, one, literal(after), at(f.Field, greatest), sign, t), nil
	}
	return fmt.Sprintf("(%s %s %s and %s >= %s) or %s %s %s", one, sign, t, one, literal(kind), at(f.Field, least), sign, t), nil
}

func signs(op search.Op) string {
	switch op { //nolint:exhaustive // the four that have an order
	case search.Gt:
		return ">"
	case search.Gte:
		return ">="
	case search.Lt:
		return "<"
	default:
		return "<="
	}
}
