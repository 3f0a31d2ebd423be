package milvus

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// is is a constant condition.
func (o *outline) is(holds bool) string {
	number, text := "pk < 0", `pk == ""`
	condition := number
	if o.pk.GetDataType() == schemapb.DataType_VarChar {
		condition = text
	}
	condition = strings.ReplaceAll(condition, "pk", o.pk.GetName())
	if holds {
		return "(" + condition + ") or not (" + condition + ")"
	}
	return "(" + condition + ") and not (" + condition + ")"
}

// among is the condition that a point has one of the ids.
func (o *outline) among(keys []search.Key) string {
	var list []string
	for _, k := range keys {
		if id, ok := o.literal(k.ID); ok && k.Tenant == "" {
			list = append(list, id)
		}
	}
	if len(list) == 0 {
		return o.is(false)
	}
	return o.pk.GetName() + " in [" + strings.Join(list, ",") + "]"
}

// literal is an id as the primary key is compared with it.
func (o *outline) literal(id string) (string, bool) {
	if o.pk.GetDataType() == schemapb.DataType_VarChar {
		return literal(id), utf8.ValidString(id)
	}
	v, err := search.ValueOf(json.Number(id))
	if err != nil {
		return "", false
	}
	_, isInt := v.Any().(int64)
	return id, isInt && !strings.ContainsAny(id, ".eE+")
}

// filter writes a filter as an expression on the scalar fields; "" for the zero filter.
func (o *outline) filter(f search.Filter) (string, error) {
	switch f.Op {
	case "":
		return "", nil
	case search.And, search.Or, search.Not:
		parts := make([]string, len(f.Terms))
		for i, t := range f.Terms {
			part, err := o.filter(t)
			if err != nil {
				return "", err
			}
			parts[i] = "(" + cmp.Or(part, o.is(true)) + ")"
		}
		switch {
		case len(parts) == 0:
			return o.is(f.Op == search.And), nil
		case f.Op == search.Not:
			return "not " + parts[0], nil
		case f.Op == search.Or:
			return strings.Join(parts, " or "), nil
		default:
			return strings.Join(parts, " and "), nil
		}
	case search.Ne, search.Nin:
		held, err := o.held(f)
		return "not (" + held + ")", err
	default:
		return o.held(f)
	}
}

// held is the condition that a scalar field holds one of the values, or one on a side of it.
func (o *outline) held(f search.Filter) (string, error) {
	i := slices.IndexFunc(o.fields, func(c *schemapb.FieldSchema) bool { return c.GetName() == f.Field && o.meta == "" && filterable(c) })
	switch {
	case i < 0:
		return "", fault.BadField("/filter", "%q: in the external collection %q Milvus answers filters on: %s", f.Field, o.Name, cmp.Or(o.filterable(), "no field"))
	case f.Op == search.Exists:
		there, ok := f.Values[0].Any().(bool)
		return o.is(ok && there), nil // a field of the schema is never missing
	}
	parts := []string{}
	for _, v := range f.Values {
		parts = append(parts, "("+cmp.Or(compare(o.fields[i], f.Op, v), o.is(false))+")")
	}
	if len(parts) == 0 {
		return o.is(false), nil
	}
	return strings.Join(parts, " or "), nil
}

func filterable(f *schemapb.FieldSchema) bool {
	switch f.GetDataType() {
	case schemapb.DataType_Bool, schemapb.DataType_Int8, schemapb.DataType_Int16, schemapb.DataType_Int32, schemapb.DataType_Int64,
		schemapb.DataType_Double, schemapb.DataType_VarChar:
		return true
	default: // a float32 is another number as a float64, and JSON is compared by other rules
		return false
	}
}

func (o *outline) filterable() string {
	var names []string
	for _, f := range o.fields {
		if o.meta == "" && filterable(f) {
			names = append(names, f.GetName())
		}
	}
	return strings.Join(names, ", ")
}

// compare is a condition on one field with one value; "" where it never holds, values of
// unlike types being neither equal nor in order.
func compare(f *schemapb.FieldSchema, op search.Op, v search.Value) string {
	sign := map[search.Op]string{search.Gt: " > ", search.Gte: " >= ", search.Lt: " < ", search.Lte: " <= "}[op]
	order := sign != ""
	sign = cmp.Or(sign, " == ")
	switch x := v.Any().(type) {
	case string:
		if f.GetDataType() == schemapb.DataType_VarChar && utf8.ValidString(x) {
			return f.GetName() + sign + literal(x)
		}
	case bool:
		if f.GetDataType() == schemapb.DataType_Bool && !order {
			return f.GetName() + sign + map[bool]string{true: "true", false: "false"}[x]
		}
	case nil:
	default:
		return compareNumber(f, op, sign, v)
	}
	return ""
}

func compareNumber(f *schemapb.FieldSchema, op search.Op, sign string, v search.Value) string {
	switch f.GetDataType() {
	case schemapb.DataType_Bool, schemapb.DataType_VarChar:
		return ""
	default:
	}
	if x, fraction := v.Any().(float64); fraction && f.GetDataType() != schemapb.DataType_Double {
		switch { // the whole numbers on one side of it
		case math.Abs(x) >= 1<<62 || op == search.Eq || op == search.Ne || op == search.In || op == search.Nin:
			if order := op == search.Gt || op == search.Gte; (order && x < 0) || ((op == search.Lt || op == search.Lte) && x > 0) {
				return f.GetName() + " >= 0 or " + f.GetName() + " < 0"
			}
			return ""
		case op == search.Gt || op == search.Gte:
			return f.GetName() + " >= " + jsonOf(int64(math.Ceil(x)))
		default:
			return f.GetName() + " <= " + jsonOf(int64(math.Floor(x)))
		}
	}
	if x, large := v.Any().(uint64); large && f.GetDataType() != schemapb.DataType_Double { // above every int64
		if op == search.Lt || op == search.Lte {
			return f.GetName() + " >= 0 or " + f.GetName() + " < 0"
		}
		_ = x
		return ""
	}
	text := jsonOf(v)
	if f.GetDataType() == schemapb.DataType_Double && !strings.ContainsAny(text, ".eE") {
		text += ".0"
	}
	return f.GetName() + sign + text
}

// jsonOf is a number as JSON, which is also how Milvus writes it.
func jsonOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil { // numbers of a filter are finite
		return "0"
	}
	return string(text)
}
