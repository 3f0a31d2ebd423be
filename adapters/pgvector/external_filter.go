package pgvector

import (
	"encoding/json"
	"strings"

	"github.com/lanewise/lanewise/search"
)

// raw appends a condition on metadata as it is, and not in the form of fieldsOf. What a
// caller gave becomes a parameter, the path included.
func (st *statement) raw(f *search.Filter) error {
	if len(f.Values) != 1 && f.Op != search.In && f.Op != search.Nin || !storable(f.Field) {
		return errMalformed(f)
	}
	switch f.Op {
	case search.Eq, search.In:
		return st.rawAnyOf(f)
	case search.Ne, search.Nin:
		st.write("not ")
		return st.rawAnyOf(f)
	case search.Exists:
		there, ok := f.Values[0].Any().(bool)
		if !ok {
			return errMalformed(f)
		}
		if !there {
			st.write("not ")
		}
		st.some(f, "jsonb_typeof(e) <> 'null'")
		return nil
	default:
		return st.rawOrdered(f)
	}
}

// some appends that a condition holds for any value e of a field. jsonpath in its lax
// mode goes through arrays on the way as search.Filter does, one level at each name.
func (st *statement) some(f *search.Filter, condition string) {
	var path strings.Builder
	path.WriteByte('$')
	for name := range strings.SplitSeq(f.Field, ".") {
		quoted, err := json.Marshal(name)
		if err != nil { // a text always has a form in JSON
			quoted = []byte(`""`)
		}
		path.WriteByte('.')
		path.Write(quoted)
	}
	st.write("exists (select from jsonb_path_query(coalesce(fields, '{}'), ", st.param(path.String()), "::text::jsonpath, '{}', true) as v, ",
		"jsonb_array_elements(case jsonb_typeof(v) when 'array' then v else jsonb_build_array(v) end) as e where ", condition, ")")
}

func (st *statement) rawAnyOf(f *search.Filter) error {
	values, null := []string{}, false
	for _, v := range f.Values {
		if text, ok := v.Any().(string); ok && !storable(text) {
			continue // jsonb cannot hold it
		}
		if v.Any() == nil {
			null = true
			continue
		}
		text, err := json.Marshal(v)
		if err != nil {
			return errMalformed(f)
		}
		values = append(values, string(text))
	}
	st.write("(")
	st.some(f, "e = any("+st.param(values)+"::text[]::jsonb[])")
	if null {
		st.write(" or not ")
		st.some(f, "jsonb_typeof(e) <> 'null'")
	}
	st.write(")")
	return nil
}

func (st *statement) rawOrdered(f *search.Filter) error {
	sign := signOf(f.Op)
	switch v := f.Values[0].Any().(type) {
	case nil, bool:
		return errMalformed(f)
	case string:
		if !storable(v) {
			return errMalformed(f)
		}
		st.some(f, "case jsonb_typeof(e) when 'string' then (e #>> '{}') collate \"C\" "+sign+" "+st.param(v)+"::text else false end")
	default:
		number, err := json.Marshal(f.Values[0])
		if err != nil {
			return errMalformed(f)
		}
		st.some(f, "case jsonb_typeof(e) when 'number' then e::numeric "+sign+" "+st.param(string(number))+"::text::numeric else false end")
	}
	return nil
}
