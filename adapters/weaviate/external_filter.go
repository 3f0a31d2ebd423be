package weaviate

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/weaviate/weaviate/entities/models"
	pb "github.com/weaviate/weaviate/grpc/generated/protocol/v1"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// foreign writes filters on the properties of an external class. Weaviate cuts white space
// off texts before it compares them, so an equality of texts holds for a few objects too
// many: those are looked at here again, and an equality of texts that is negated, which
// would hold for too few, is refused.
type foreign struct {
	c      *class
	verify bool // what the condition finds must be looked at again
}

// kindOf is the type of a property that filters may look at, without that of a list: "int",
// "number", "boolean", "uuid" or "text"; "" for any other.
func kindOf(p *models.Property) string {
	if p == nil || len(p.DataType) != 1 || p.IndexFilterable != nil && !*p.IndexFilterable {
		return ""
	}
	switch kind := strings.TrimSuffix(p.DataType[0], "[]"); kind {
	case "int", "number", "boolean", "uuid":
		return kind
	case "text":
		if p.Tokenization == models.PropertyTokenizationField {
			return kind
		}
	}
	return ""
}

// always and nothing are constant conditions.
func always() *pb.Filters { return join(pb.Filters_OPERATOR_OR, nobody(), not(nobody())) }

func nothing() *pb.Filters { return both(nobody(), not(nobody())) }

// nobody holds for the lowest id that there can be, which hardly any object has.
func nobody() *pb.Filters { return anyOf(idProperty, []string{uuid.Nil.String()}) }

// condition is a filter as one of Weaviate's; nil for the zero filter.
func (w *foreign) condition(f *search.Filter, negated bool) (*pb.Filters, error) {
	switch f.Op {
	case "":
		return nil, nil //nolint:nilnil // no condition
	case search.And, search.Or, search.Not:
		return w.joined(f, negated != (f.Op == search.Not))
	case search.Ne, search.Nin:
		held, err := w.held(f, !negated)
		return not(held), err
	default:
		return w.held(f, negated)
	}
}

func (w *foreign) joined(f *search.Filter, negated bool) (*pb.Filters, error) {
	if len(f.Terms) == 0 || f.Op == search.Not && len(f.Terms) != 1 {
		return nil, errMalformed(f)
	}
	terms := make([]*pb.Filters, len(f.Terms))
	for i := range f.Terms {
		term, err := w.condition(&f.Terms[i], negated)
		if err != nil {
			return nil, err
		}
		if terms[i] = term; term == nil {
			terms[i] = always()
		}
	}
	switch f.Op { //nolint:exhaustive // the others have been elsewhere
	case search.Not:
		return not(terms[0]), nil
	case search.Or:
		return join(pb.Filters_OPERATOR_OR, terms...), nil
	default:
		return both(terms...), nil
	}
}

// held is the condition that a property holds one of the values, or one on a side of it.
func (w *foreign) held(f *search.Filter, negated bool) (*pb.Filters, error) {
	kind := kindOf(w.c.outline.properties[f.Field])
	if kind == "" {
		return nil, fault.BadField("/filter", "%q: in the external collection %q Weaviate answers filters exactly on: %s", f.Field, w.c.Name, cmp.Or(w.answered(), "no property"))
	}
	if f.Op == search.Exists {
		return nil, errInexact(f)
	}
	terms := []*pb.Filters{nothing()}
	for _, v := range f.Values {
		term, err := w.one(f, kind, v.Any())
		switch {
		case err != nil:
			return nil, err
		case term == nil:
			continue
		case kind == "text" && negated:
			return nil, fault.BadField("/filter", "%q: Weaviate compares texts without the white space around them, so it cannot tell which differ", f.Field)
		}
		w.verify = w.verify || kind == "text"
		terms = append(terms, term)
	}
	return join(pb.Filters_OPERATOR_OR, terms...), nil
}

func (w *foreign) answered() string {
	names := slices.Sorted(maps.Keys(w.c.outline.properties))
	return strings.Join(slices.DeleteFunc(names, func(name string) bool { return kindOf(w.c.outline.properties[name]) == "" }), ", ")
}

func errInexact(f *search.Filter) error {
	return fault.BadField("/filter", "%s on %q: Weaviate cannot answer this exactly in an external collection", f.Op, f.Field)
}

// longestText is below the longest key of Weaviate's indexes.
const longestText = 32 << 10

// one compares a property with one value; nil where that never holds, values of unlike types
// being neither equal nor in order.
func (w *foreign) one(f *search.Filter, kind string, v any) (*pb.Filters, error) {
	order := f.Op == search.Gt || f.Op == search.Gte || f.Op == search.Lt || f.Op == search.Lte
	equal := &pb.Filters{Operator: pb.Filters_OPERATOR_EQUAL, Target: property(f.Field)}
	switch x := v.(type) {
	case nil:
		return nil, errInexact(f)
	case bool:
		if kind != "boolean" {
			return nil, nil //nolint:nilnil // never
		}
		equal.TestValue = &pb.Filters_ValueBoolean{ValueBoolean: x}
		return equal, nil
	case string:
		switch {
		case kind != "text" && kind != "uuid":
			return nil, nil //nolint:nilnil // never
		case order || kind == "text" && (strings.TrimSpace(x) == "" || len(x) > longestText):
			return nil, errInexact(f)
		case kind == "uuid" && !isUUID(x):
			return nil, nil //nolint:nilnil // never
		}
		return compare(f.Field, equal.GetOperator(), x), nil
	}
	return w.number(f, kind, v)
}

// isUUID reports whether a text is a UUID as Weaviate writes it.
func isUUID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && id.String() == s
}

// mostExact is the largest size of a number that Weaviate keeps exactly as an integer.
const mostExact = 1 << 53

func (w *foreign) number(f *search.Filter, kind string, v any) (*pb.Filters, error) {
	var x float64
	switch n := v.(type) {
	case int64:
		x = float64(n)
	case uint64:
		x = float64(n)
	case float64:
		x = n
	}
	switch {
	case kind != "int" && kind != "number":
		return nil, nil //nolint:nilnil // never
	case math.Abs(x) >= mostExact:
		return nil, fault.BadField("/filter", "%q: Weaviate compares numbers exactly below 2^53 in size", f.Field)
	case kind == "int":
		return integerFilter(f, x), nil
	default:
		return w.numberFilter(f, x)
	}
}

// integerFilter compares integers; a bound with a fraction stands between two of them.
func integerFilter(f *search.Filter, x float64) *pb.Filters {
	op, whole := pb.Filters_OPERATOR_EQUAL, x == math.Trunc(x)
	switch {
	case f.Op == search.Gt || f.Op == search.Gte:
		if op = signOf(f.Op); !whole {
			op, x = pb.Filters_OPERATOR_GREATER_THAN, math.Floor(x)
		}
	case f.Op == search.Lt || f.Op == search.Lte:
		if op = signOf(f.Op); !whole {
			op, x = pb.Filters_OPERATOR_LESS_THAN, math.Ceil(x)
		}
	case !whole:
		return nil
	}
	return &pb.Filters{Operator: op, Target: property(f.Field), TestValue: &pb.Filters_ValueInt{ValueInt: int64(x)}}
}

// numberFilter compares numbers. To Weaviate zero with a sign is another number than zero,
// and below all others.
func (w *foreign) numberFilter(f *search.Filter, x float64) (*pb.Filters, error) {
	with := func(op pb.Filters_Operator, x float64) *pb.Filters {
		return &pb.Filters{Operator: op, Target: property(f.Field), TestValue: &pb.Filters_ValueNumber{ValueNumber: x}}
	}
	signed := with(pb.Filters_OPERATOR_EQUAL, math.Copysign(0, -1))
	if x == 0 {
		x = math.Abs(x)
	}
	op, isIn := pb.Filters_OPERATOR_EQUAL, x == 0
	switch f.Op { //nolint:exhaustive // the others are equalities
	case search.Gt:
		op, isIn = signOf(f.Op), x < 0
	case search.Gte:
		op, isIn = signOf(f.Op), x <= 0
	case search.Lt, search.Lte:
		op = signOf(f.Op)
		if x > 0 || x == 0 && f.Op == search.Lte {
			return with(op, x), nil
		}
		if w.c.outline.properties[f.Field].DataType[0] != "number" { // another number of the list may be below
			return nil, errInexact(f)
		}
		return both(with(op, x), not(signed)), nil
	}
	if isIn {
		return join(pb.Filters_OPERATOR_OR, with(op, x), signed), nil
	}
	return with(op, x), nil
}
