package pgvector

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// bland returns the filter with every name and value replaced by a harmless one of the
// same type.
func bland(t *testing.T, f search.Filter) search.Filter {
	t.Helper()
	if f.Field != "" {
		f.Field = "x"
	}
	values := f.Values
	f.Values = nil
	for _, v := range values {
		f.Values = append(f.Values, blandValue(t, v))
	}
	terms := f.Terms
	f.Terms = nil
	for _, term := range terms {
		f.Terms = append(f.Terms, bland(t, term))
	}
	return f
}

func blandValue(t *testing.T, v search.Value) search.Value {
	t.Helper()
	var x any
	switch v.Any().(type) {
	case nil, bool:
		return v
	case string:
		x = "s"
	default:
		x = 1
	}
	harmless, err := search.ValueOf(x)
	if err != nil {
		t.Fatal(err)
	}
	return harmless
}

// The text of a statement depends on the shape of a filter and on nothing else: names and
// values only ever travel as parameters.
func FuzzFilter_neverConcatenates(f *testing.F) {
	for _, text := range filters() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := search.ParseFilter([]byte(text))
		if err != nil {
			t.Skip()
		}
		var sharp, blunt statement
		if err := sharp.filter(&filter); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		harmless := bland(t, filter)
		if err := blunt.filter(&harmless); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if sharp.String() != blunt.String() || len(sharp.args) != len(blunt.args) {
			t.Fatalf("%s becomes %q, with harmless values %q", text, sharp.String(), blunt.String())
		}
	})
}

func filters() []string {
	return []string{
		`{}`, `{"a":1}`, `{"a":null}`, `{"a":{"$ne":null}}`, `{"a":{"$in":[1,"x",null,true]}}`, `{"a":{"$nin":[]}}`,
		`{"a":{"$gt":1,"$lt":9007199254740993}}`, `{"a":{"$lte":"x'; drop table docs; --"}}`, `{"a'\"$1":{"$exists":true}}`,
		`{"$or":[{"a":"\u0000"},{"$not":{"a.b":{"$gte":2.5}}}]}`, `{"a":{"$gt":"é"}}`, `{"a":18446744073709551615}`,
		`{"a":{"$gte":1e300}}`, `{"$and":[{"a":{"$exists":false}},{"b":false}]}`, `{"a":{"$lt":5e-324}}`, `{"a":{"$in":["{}","[]","\\"]}}`,
	}
}

func documents() []string {
	return []string{
		`{}`, `{"a":1}`, `{"a":[1,"x",null]}`, `{"a":{"b":2.5}}`, `{"a":"x'; drop table docs; --"}`, `{"a'\"$1":0}`, `{"a":"\u0000"}`,
		`{"a":[{"b":3},{"b":"\ud800"}]}`, `{"a":9007199254740992.0}`, `{"a":1e400}`, `{"a":18446744073709551615,"b":false}`, `{"a":"e\u0301"}`,
		`{"a":5e-324}`, `{"a":-1e-400}`, `{"a":[[1]]}`, `{"a.b":1}`, `{"a":["{}","\\"]}`,
	}
}

// What the database says of a filter is what search.Filter says.
func FuzzFilter_matchesLikeSearch(f *testing.F) {
	url := os.Getenv("LANEWISE_TEST_POSTGRES")
	if url == "" {
		f.Skip("LANEWISE_TEST_POSTGRES is not set: scripts/servers/postgres up prints it")
	}
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = conn.Close(context.Background()) })
	for _, filter := range filters() {
		for _, document := range documents() {
			f.Add(document, filter)
		}
	}
	f.Fuzz(func(t *testing.T, document, text string) {
		filter, err := search.ParseFilter([]byte(text))
		point := search.Point{Key: search.Key{ID: "a"}, Meta: json.RawMessage(document)}
		if err != nil || checkPoint(1, &point) != nil {
			t.Skip()
		}
		packed, err := fieldsOf(point.Meta)
		if err != nil {
			t.Skip()
		}
		st := new(statement)
		st.write("select ")
		if err := st.filter(&filter); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		st.write(" from (select ", st.param(string(packed)), "::text::jsonb) as p (fields)")
		var got bool
		if err := conn.QueryRow(t.Context(), st.String(), st.args...).Scan(&got); err != nil {
			t.Fatalf("%s on %s: %v", text, document, err)
		}
		if want := filter.Match(point.Meta); got != want {
			t.Fatalf("%s on %s, kept as %s: got %t, want %t", text, document, packed, got, want)
		}
	})
}

func TestFilter_refusesWhatCannotBeRead(t *testing.T) {
	for name, f := range map[string]search.Filter{
		"unknown operation": {Op: "$regex", Field: "a", Values: make([]search.Value, 1)},
		"no value":          {Op: search.Eq, Field: "a"},
		"two values":        {Op: search.Gt, Field: "a", Values: make([]search.Value, 2)},
		"order of null":     {Op: search.Lt, Field: "a", Values: make([]search.Value, 1)},
		"exists null":       {Op: search.Exists, Field: "a", Values: make([]search.Value, 1)},
		"empty and":         {Op: search.And},
		"not of two":        {Op: search.Not, Terms: make([]search.Filter, 2)},
		"broken name":       {Op: search.Eq, Field: "\xff", Values: make([]search.Value, 1)},
		"deep inside":       {Op: search.Or, Terms: []search.Filter{{Op: search.Not}}},
	} {
		if err := new(statement).filter(&f); !errors.Is(err, fault.Invalid) || !strings.HasPrefix(fault.Field(err), "/filter") {
			t.Errorf("%s: got %v, want that /filter is invalid", name, err)
		}
	}
}
