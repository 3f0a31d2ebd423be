package qdrant

import (
	"slices"

	"github.com/qdrant/go-client/qdrant"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// deepestFilter is how deep conditions may nest. Qdrant's decoder gives up at 100
// messages, and a condition inside a condition is up to three of them.
const deepestFilter = 30

// live returns the filter that all reads start from: the points of a tenant, or
// of all, that are not marks of deletions, and that pass f.
func live(tenant *string, f search.Filter) (*qdrant.Filter, error) {
	out := &qdrant.Filter{MustNot: []*qdrant.Condition{qdrant.NewMatchBool(fieldDeleted, true)}}
	if tenant != nil {
		out.Must = append(out.Must, qdrant.NewMatch(fieldTenant, *tenant))
	}
	if f.IsZero() {
		return out, nil
	}
	c, err := condition(f, 1)
	out.Must = append(out.Must, c)
	return out, err
}

// condition translates a filter.
func condition(f search.Filter, depth int) (*qdrant.Condition, error) {
	if depth > deepestFilter {
		return nil, fault.BadField("/filter", "nests conditions deeper than %d, which Qdrant cannot read", deepestFilter)
	}
	switch f.Op {
	case "":
		return not(nothing()), nil
	case search.And, search.Or, search.Not:
		return combined(f, depth)
	case search.Exists:
		return exists(f), nil
	case search.Eq:
		return among(f, len(f.Values) == 1), nil
	case search.In:
		return among(f, true), nil
	case search.Ne:
		return not(among(f, len(f.Values) == 1)), nil
	case search.Nin:
		return not(among(f, true)), nil
	case search.Gt, search.Gte, search.Lt, search.Lte:
		return ordered(f)
	default:
		return nothing(), nil // as Filter.Match has it
	}
}

func combined(f search.Filter, depth int) (*qdrant.Condition, error) {
	terms := make([]*qdrant.Condition, len(f.Terms))
	for i, t := range f.Terms {
		c, err := condition(t, depth+1)
		if err != nil {
			return nil, err
		}
		terms[i] = c
	}
	switch {
	case f.Op == search.Not && len(terms) == 1:
		return not(terms[0]), nil
	case f.Op == search.And && len(terms) == 0:
		return not(nothing()), nil
	case f.Op == search.Not, len(terms) == 0:
		return nothing(), nil
	case f.Op == search.And:
		return all(terms...), nil
	default:
		return anyOf(terms...), nil
	}
}

// nothing matches no point.
func nothing() *qdrant.Condition { return qdrant.NewMatch(fieldTerms, never) }

func not(c *qdrant.Condition) *qdrant.Condition {
	return qdrant.NewFilterAsCondition(&qdrant.Filter{MustNot: []*qdrant.Condition{c}})
}

func all(c ...*qdrant.Condition) *qdrant.Condition {
	return qdrant.NewFilterAsCondition(&qdrant.Filter{Must: c})
}

func anyOf(c ...*qdrant.Condition) *qdrant.Condition {
	return qdrant.NewFilterAsCondition(&qdrant.Filter{Should: c})
}

func exists(f search.Filter) *qdrant.Condition {
	if len(f.Values) != 1 {
		return nothing()
	}
	wanted, ok := f.Values[0].Any().(bool)
	there := qdrant.NewMatch(fieldTerms, existsTerm(f.Field))
	switch {
	case !ok:
		return nothing()
	case wanted:
		return there
	default:
		return not(there)
	}
}

// among matches the points whose field holds one of the values.
func among(f search.Filter, valid bool) *qdrant.Condition {
	if !valid {
		return nothing()
	}
	var terms []string
	var null bool
	for _, v := range f.Values {
		if v.Any() == nil {
			null = true
			continue
		}
		terms = append(terms, valueTerm(f.Field, v))
	}
	var held *qdrant.Condition
	switch len(terms) {
	case 0:
		held = nothing()
	case 1:
		held = qdrant.NewMatch(fieldTerms, terms[0])
	default:
		held = qdrant.NewMatchKeywords(fieldTerms, terms...)
	}
	if null {
		return anyOf(held, not(qdrant.NewMatch(fieldTerms, existsTerm(f.Field))))
	}
	return held
}

// ordered matches the points whose field holds a value on one side of the
// operand.
func ordered(f search.Filter) (*qdrant.Condition, error) {
	if len(f.Values) != 1 {
		return nothing(), nil
	}
	operand := f.Values[0].Any()
	if text, ok := operand.(string); ok {
		if len(text) > longestOrder {
			return nil, fault.BadField("/filter", "orders %q by a text of %d bytes, Qdrant can compare %d", f.Field, len(text), longestOrder)
		}
		return lexicographic(f, chunkName, chunked(text)), nil
	}
	n, ok := numberOf(operand)
	if !ok {
		return nothing(), nil
	}
	// What is kept in num lies on one side of an operand that has a rest, and of its high part.
	return anyOf(qdrant.NewRange(numPath(f.Field), compared(f.Op, n.high)), lexicographic(f, partName, n.parts())), nil
}

func compared(op search.Op, x float64) *qdrant.Range {
	switch op {
	case search.Gt:
		return &qdrant.Range{Gt: &x}
	case search.Gte:
		return &qdrant.Range{Gte: &x}
	case search.Lt:
		return &qdrant.Range{Lt: &x}
	default:
		return &qdrant.Range{Lte: &x}
	}
}

// lexicographic compares an object in ord, part by part: for some i the parts
// before i are equal, and part i decides. Only the last part may be equal too.
func lexicographic(f search.Filter, name func(int) string, operand []int64) *qdrant.Condition {
	strict := search.Lt
	if f.Op == search.Gt || f.Op == search.Gte {
		strict = search.Gt
	}
	var ways, equal []*qdrant.Condition
	for i, x := range operand {
		op := strict
		if i == len(operand)-1 {
			op = f.Op
		}
		decides := append(slices.Clone(equal), qdrant.NewRange(name(i), compared(op, float64(x))))
		ways = append(ways, all(decides...))
		equal = append(equal, qdrant.NewMatchInt(name(i), x))
	}
	return qdrant.NewNestedFilter(fieldOrd, &qdrant.Filter{
		Must: []*qdrant.Condition{qdrant.NewMatch("f", f.Field), anyOf(ways...)},
	})
}
