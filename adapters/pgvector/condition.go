package pgvector

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// statement is an SQL text under construction and its parameters. Nothing that a caller
// gave ever becomes a part of the text.
type statement struct {
	strings.Builder
	args   []any
	asItIs bool // filters look at metadata as it is, not at the form of fieldsOf
}

// filter appends a filter on the table's rows.
func (t *table) filter(st *statement, f *search.Filter) error {
	st.asItIs = t.view != nil
	return st.filter(f)
}

// checkTenant refuses a tenant where there are none.
func (t *table) checkTenant(tenant string) error {
	if t.view != nil && tenant != "" {
		return fault.BadField("/tenant", "collection %q is external: its points belong to no tenant", t.Name)
	}
	return nil
}

// param adds a parameter and returns its place, such as "$3".
func (st *statement) param(v any) string {
	st.args = append(st.args, v)
	return "$" + strconv.Itoa(len(st.args))
}

// write appends pieces of SQL.
func (st *statement) write(pieces ...string) {
	for _, piece := range pieces {
		st.WriteString(piece)
	}
}

// tenant appends a condition on the tenant.
func (st *statement) tenant(tenant string) {
	if !storable(tenant) {
		st.write("false") // nobody has it
		return
	}
	st.write("tenant = ", st.param(tenant))
}

// filter appends the filter as a condition that is true or false and never null. It
// is the truth table of [search.Filter] on the form that fieldsOf makes. What ParseFilter
// would refuse is fault.Invalid.
func (st *statement) filter(f *search.Filter) error {
	switch f.Op {
	case "":
		st.write("true")
		return nil
	case search.And:
		return st.join(f.Terms, " and ")
	case search.Or:
		return st.join(f.Terms, " or ")
	case search.Not:
		if len(f.Terms) != 1 {
			return errMalformed(f)
		}
		st.write("not ")
		return st.join(f.Terms, "")
	case search.Eq, search.Ne, search.Gt, search.Gte, search.Lt, search.Lte, search.In, search.Nin, search.Exists:
		if st.asItIs {
			return st.raw(f)
		}
		return st.leaf(f)
	default:
		return errMalformed(f)
	}
}

// join appends terms in parentheses.
func (st *statement) join(terms []search.Filter, with string) error {
	if len(terms) == 0 {
		return fault.BadField("/filter", "a list of conditions is empty")
	}
	st.write("(")
	for i := range terms {
		if i > 0 {
			st.write(with)
		}
		if err := st.filter(&terms[i]); err != nil {
			return err
		}
	}
	st.write(")")
	return nil
}

func (st *statement) leaf(f *search.Filter) error {
	if !utf8.ValidString(f.Field) || len(f.Values) != 1 && f.Op != search.In && f.Op != search.Nin {
		return errMalformed(f)
	}
	path := escapeText(f.Field)
	switch f.Op {
	case search.Ne, search.Nin:
		st.write("not ")
		return st.anyOf(path, f.Values)
	case search.Eq, search.In:
		return st.anyOf(path, f.Values)
	case search.Exists:
		there, ok := f.Values[0].Any().(bool)
		if !ok {
			return errMalformed(f)
		}
		st.exists(path, there)
		return nil
	default:
		return st.ordered(f, path)
	}
}

func (st *statement) exists(path string, there bool) {
	if !there {
		st.write("not ")
	}
	st.write("jsonb_exists(fields, ", st.param(path), ")")
}

// anyOf appends the condition that one of the values is in the path's list. It is a
// containment, {"path": [value]}, which an index of the fields can answer. Null stands for no value.
func (st *statement) anyOf(path string, values []search.Value) error {
	var documents []string
	null := false
	for _, v := range values {
		if v.Any() == nil {
			null = true
			continue
		}
		document, err := json.Marshal(map[string][]any{path: {operand(v)}})
		if err != nil {
			return fault.BadField("/filter", "a value of %q cannot be written: %v", path, err)
		}
		documents = append(documents, string(document))
	}
	st.write("(")
	switch len(documents) {
	case 0:
		st.write("false")
	case 1:
		st.write("fields @> ", st.param(documents[0]), "::text::jsonb")
	default:
		st.write("fields @> any(", st.param(documents), "::text[]::jsonb[])")
	}
	if null {
		st.write(" or ")
		st.exists(path, false)
	}
	st.write(")")
	return nil
}

// operand is a value as plain stores it.
func operand(v search.Value) any {
	if text, ok := v.Any().(string); ok {
		return escapeText(text)
	}
	return v
}

// ordered appends a comparison with any value of the same type in the path's list.
func (st *statement) ordered(f *search.Filter, path string) error {
	sign := signOf(f.Op)
	kind, value := "number", ""
	switch v := f.Values[0].Any().(type) {
	case nil, bool:
		return errMalformed(f)
	case string:
		kind, value = "string", escapeText(v)
	default:
		number, err := json.Marshal(f.Values[0])
		if err != nil {
			return errMalformed(f)
		}
		value = string(number)
	}
	place := st.param(value)
	// case and not and: the cast must not see values of other types.
	st.write("exists (select from jsonb_array_elements(fields -> ", st.param(path), "::text) as e where case jsonb_typeof(e) when '", kind, "' then ")
	if kind == "number" {
		st.write("e::numeric ", sign, " ", place, "::text::numeric")
	} else {
		st.write("(e #>> '{}') collate \"C\" ", sign, " ", place, "::text")
	}
	st.write(" else false end)")
	return nil
}

func signOf(op search.Op) string {
	return map[search.Op]string{search.Gt: ">", search.Gte: ">=", search.Lt: "<", search.Lte: "<="}[op]
}

func errMalformed(f *search.Filter) error {
	return fault.BadField("/filter", "%q on %q is not a condition that can be pushed down", f.Op, f.Field)
}
