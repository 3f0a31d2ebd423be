package weaviate

import (
	"context"
	"maps"
	"slices"

	pb "github.com/weaviate/weaviate/grpc/generated/protocol/v1"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/scalars"
	"github.com/lanewise/lanewise/search"
)

// The properties of an object. Those that filters look at beside them are made when a
// value needs them: see orderName.
const (
	keyProperty    = "key"    // of a point, with its version
	tenantProperty = "tenant" // of a point: a term
	termsProperty  = "terms"  // of a point
	textProperty   = "text"   //
	metaProperty   = "meta"   // byte for byte
	sparseProperty = "sparse" //
	digestProperty = "digest" // of a point
	markProperty   = "mark"   // of a deletion: when, in seconds
	goneProperty   = "gone"   // of a deletion: its version; of what follows a write: the newest one
	fenceProperty  = "fence"  // of the fence: the epoch
	fencedProperty = "fenced" // of the fence: 1
	fullProperty   = "full"   // its being there says that no field gets an order any more
	idProperty     = "_id"    // Weaviate's own
)

func property(name string) *pb.FilterTarget {
	return &pb.FilterTarget{Target: &pb.FilterTarget_Property{Property: name}}
}

func compare(name string, op pb.Filters_Operator, text string) *pb.Filters {
	return &pb.Filters{Operator: op, Target: property(name), TestValue: &pb.Filters_ValueText{ValueText: text}}
}

func hasTerm(term string) *pb.Filters {
	return compare(termsProperty, pb.Filters_OPERATOR_EQUAL, term)
}

// anyOf holds where the property has one of the values; there is at least one.
func anyOf(name string, values []string) *pb.Filters {
	if len(values) == 1 && name != idProperty {
		return compare(name, pb.Filters_OPERATOR_EQUAL, values[0])
	}
	return &pb.Filters{
		Operator: pb.Filters_OPERATOR_CONTAINS_ANY, Target: property(name),
		TestValue: &pb.Filters_ValueTextArray{ValueTextArray: &pb.TextArray{Values: values}},
	}
}

// join makes one condition of several; those that are nil always hold.
func join(op pb.Filters_Operator, list ...*pb.Filters) *pb.Filters {
	var terms []*pb.Filters
	for _, f := range list {
		if f != nil {
			terms = append(terms, f)
		}
	}
	switch len(terms) {
	case 0:
		return nil
	case 1:
		return terms[0]
	}
	return &pb.Filters{Operator: op, Filters: terms}
}

func both(list ...*pb.Filters) *pb.Filters { return join(pb.Filters_OPERATOR_AND, list...) }

func not(f *pb.Filters) *pb.Filters {
	return &pb.Filters{Operator: pb.Filters_OPERATOR_NOT, Filters: []*pb.Filters{f}}
}

// ofTenant holds for the points of a tenant, and for nothing that is not a point.
func ofTenant(tenant string) *pb.Filters {
	return compare(tenantProperty, pb.Filters_OPERATOR_EQUAL, term(tenantTerm, tenant, ""))
}

// pushdown writes filters for one class.
type pushdown struct {
	s     *Store
	c     *class
	fresh bool // the class has just been looked at
}

// condition is the filter of a query as one of Weaviate's; nil for the zero filter. It must
// stand beside a condition on the tenant: by itself it may hold for objects that are no
// points. What ParseFilter would refuse is fault.Invalid.
func (p *pushdown) condition(ctx context.Context, f *search.Filter) (*pb.Filters, error) {
	switch f.Op {
	case "":
		return nil, nil //nolint:nilnil // no condition
	case search.And:
		return p.joined(ctx, f, pb.Filters_OPERATOR_AND)
	case search.Or:
		return p.joined(ctx, f, pb.Filters_OPERATOR_OR)
	case search.Not:
		if len(f.Terms) != 1 {
			return nil, errMalformed(f)
		}
		inner, err := p.term(ctx, &f.Terms[0])
		return not(inner), err
	case search.In:
		return p.isOneOf(ctx, f)
	case search.Nin:
		inner, err := p.isOneOf(ctx, f)
		return not(inner), err
	default:
		return p.compared(ctx, f)
	}
}

// term is condition for a part of a filter: the zero filter always holds.
func (p *pushdown) term(ctx context.Context, f *search.Filter) (*pb.Filters, error) {
	out, err := p.condition(ctx, f)
	if out == nil {
		out = not(hasTerm(never))
	}
	return out, err
}

func (p *pushdown) joined(ctx context.Context, f *search.Filter, op pb.Filters_Operator) (*pb.Filters, error) {
	if len(f.Terms) == 0 {
		return nil, errMalformed(f)
	}
	terms := make([]*pb.Filters, len(f.Terms))
	for i := range f.Terms {
		var err error
		if terms[i], err = p.term(ctx, &f.Terms[i]); err != nil {
			return nil, err
		}
	}
	return join(op, terms...), nil
}

func errMalformed(f *search.Filter) error {
	return fault.BadField("/filter", "%q on %q with %d terms and %d values is no condition", f.Op, f.Field, len(f.Terms), len(f.Values))
}

// compared writes the conditions on a field with one value.
func (p *pushdown) compared(ctx context.Context, f *search.Filter) (*pb.Filters, error) {
	if len(f.Values) != 1 {
		return nil, errMalformed(f)
	}
	switch f.Op { //nolint:exhaustive // the others have been there
	case search.Eq:
		return p.isOneOf(ctx, f)
	case search.Ne:
		inner, err := p.isOneOf(ctx, f)
		return not(inner), err
	case search.Exists:
		wanted, ok := f.Values[0].Any().(bool)
		if !ok {
			return nil, errMalformed(f)
		}
		there, err := p.exists(ctx, f.Field)
		if err != nil || wanted {
			return there, err
		}
		return not(there), nil
	case search.Gt, search.Gte, search.Lt, search.Lte:
		return p.ordered(ctx, f)
	default:
		return nil, errMalformed(f)
	}
}

// exists holds where the field has any value: one of those that have an order, or another.
func (p *pushdown) exists(ctx context.Context, path string) (*pb.Filters, error) {
	found := []*pb.Filters{hasTerm(term(existsTerm, path, ""))}
	for _, kind := range []string{scalars.Number, scalars.Text} {
		name := orderName(path, kind)
		known, err := p.keeps(ctx, name)
		if err != nil {
			return nil, err
		}
		if known {
			found = append(found, compare(name, pb.Filters_OPERATOR_GREATER_THAN_EQUAL, kind))
		}
	}
	return join(pb.Filters_OPERATOR_OR, found...), nil
}

// isOneOf holds where any value of the field equals any of the filter's.
func (p *pushdown) isOneOf(ctx context.Context, f *search.Filter) (*pb.Filters, error) {
	values := map[string][]string{} // to look for, by property
	var found []*pb.Filters
	for _, v := range f.Values {
		x := v.Any()
		equal, ok := scalars.Equal(x)
		if !ok { // null
			there, err := p.exists(ctx, f.Field)
			if err != nil {
				return nil, err
			}
			found = append(found, not(there))
			continue
		}
		name, text := termsProperty, term(valueTerm, f.Field, equal)
		if token, hasOrder := scalars.Order(x); hasOrder && isWhole(x) {
			known, err := p.keeps(ctx, orderName(f.Field, token))
			if err != nil {
				return nil, err
			}
			if known {
				name, text = orderName(f.Field, token), orderText(token)
			}
		}
		values[name] = append(values[name], text)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		found = append(found, anyOf(name, values[name]))
	}
	if out := join(pb.Filters_OPERATOR_OR, found...); out != nil {
		return out, nil
	}
	return hasTerm(never), nil
}

// ordered holds where any value of the value's type stands in that order to it.
func (p *pushdown) ordered(ctx context.Context, f *search.Filter) (*pb.Filters, error) {
	x := f.Values[0].Any()
	token, ok := scalars.Order(x)
	if !ok {
		return nil, errMalformed(f)
	}
	if text, isText := x.(string); isText && len(text) > scalars.MostOrdered {
		return nil, fault.BadField("/filter", "%s on %q: this engine compares texts of at most %d bytes by order, this one has %d",
			f.Op, f.Field, scalars.MostOrdered, len(text))
	}
	name := orderName(f.Field, token)
	if known, err := p.keeps(ctx, name); err != nil {
		return nil, err
	} else if !known {
		if p.c.full {
			return nil, fault.BadField("/filter", "%s on %q: this engine orders the first %d fields of a collection, and this is none of them",
				f.Op, f.Field, p.s.cfg.MaxOrdered)
		}
		return hasTerm(never), nil // no point has such a value
	}
	return compare(name, signOf(f.Op), orderText(token)), nil
}

// keeps reports whether the class has a property. One that another Store has added since
// is looked for.
func (p *pushdown) keeps(ctx context.Context, name string) (bool, error) {
	if p.c.orders[name] || p.fresh {
		return p.c.orders[name], nil
	}
	fresh, err := p.s.describe(ctx, p.c.Name)
	if err != nil {
		return false, err
	}
	p.c, p.fresh = fresh, true
	return p.c.orders[name], nil
}

func signOf(op search.Op) pb.Filters_Operator {
	switch op { //nolint:exhaustive // the four that have an order
	case search.Gt:
		return pb.Filters_OPERATOR_GREATER_THAN
	case search.Gte:
		return pb.Filters_OPERATOR_GREATER_THAN_EQUAL
	case search.Lt:
		return pb.Filters_OPERATOR_LESS_THAN
	default:
		return pb.Filters_OPERATOR_LESS_THAN_EQUAL
	}
}
