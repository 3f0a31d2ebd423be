package milvus

import (
	"cmp"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/scalars"
	"github.com/lanewise/lanewise/search"
)

func TestPrimary_keepsTheOrderOfKeys(t *testing.T) {
	parts := []string{"", "\x00", "\x00\x00", "\x01", "\x01\x02", "\x02", "\x03", "a", "a\x00", "a\x01", "a\x02", "ab", "b", "é", "日本", "🙂"}
	var keys []search.Key
	for _, tenant := range parts {
		for _, id := range parts {
			keys = append(keys, search.Key{Tenant: tenant, ID: id})
		}
	}
	for _, a := range keys {
		for _, b := range keys {
			if got, want := cmp.Compare(primary(a), primary(b)), a.Compare(b); got != want {
				t.Fatalf("%q and %q compare as %d, their primary keys as %d", a, b, want, got)
			}
		}
		if back, err := keyOf(primary(a)); err != nil || back != a {
			t.Errorf("%q comes back as %q, %v", a, back, err)
		}
	}
}

func TestKeyOf_refusesAForeignKey(t *testing.T) {
	if _, err := keyOf("plain"); !errors.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
}

func TestEngineName_isOneToOne(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"docs", "docs-1", "docs.1", "docs_1", "docs__1", "1docs", "_docs", "a__2d", "a-", "a_-", "__", "___", "a_", "é"} {
		engine := engineName(name)
		if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(engine) {
			t.Errorf("%q becomes %q, which Milvus does not take", name, engine)
		}
		if other, ok := seen[engine]; ok {
			t.Errorf("%q and %q both become %q", name, other, engine)
		}
		seen[engine] = name
		if back := plainName(engine); back != name {
			t.Errorf("%q becomes %q and comes back as %q", name, engine, back)
		}
	}
}

// FuzzLiteral: whatever stands in a filter or an id, nothing gets out of the quotes.
func FuzzLiteral(f *testing.F) {
	for _, s := range []string{"", `"`, `\`, `\"`, `" or pk != "`, "'; drop", "\x00\n\r", "日本🙂", "\u2028", `\u0022`, "%", "{}"} {
		f.Add(s)
	}
	shape := regexp.MustCompile(`^"([A-Za-z0-9 ._:/-]|\\u[0-9a-f]{4}|\\U[0-9a-f]{8})*"$`)
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "?")
		quoted := literal(s)
		if !shape.MatchString(quoted) {
			t.Fatalf("%q becomes %s", s, quoted)
		}
		if back, err := strconv.Unquote(quoted); err != nil || back != s {
			t.Fatalf("%q becomes %s, which reads as %q, %v", s, quoted, back, err)
		}
	})
}

// FuzzFilter: a condition is made of the writer's own words and of strings, whatever
// the filter holds.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		`{"a\"] == 1 or pk != \"": "x"}`, `{"a":{"$in":["\" or true","\\"]}}`, `{"$not":{"$or":[{"a":1},{"b":{"$lt":"\u0000"}}]}}`,
		`{"a":{"$gt":18446744073709551615}}`, `{"a":{"$nin":[null,1]}}`, `{"a":{"$exists":false}}`,
	} {
		f.Add([]byte(s))
	}
	text := regexp.MustCompile(`"([A-Za-z0-9 ._:/-]|\\u[0-9a-f]{4}|\\U[0-9a-f]{8})*"`)
	words := regexp.MustCompile(`^(filter|pk|not|and|or|in|json_contains|json_contains_any|1|==|!=|>=?|<=?|[][(),S ])*$`)
	f.Fuzz(func(t *testing.T, data []byte) {
		filter, err := search.ParseFilter(data)
		if err != nil {
			return
		}
		condition, err := filterOf(filter)
		if err != nil {
			if !errors.Is(err, fault.Invalid) {
				t.Fatalf("%s: %v", data, err)
			}
			return
		}
		if rest := text.ReplaceAllString(condition, "S"); !words.MatchString(rest) {
			t.Fatalf("%s becomes %s", data, condition)
		}
	})
}

func TestFilterOf_refusesOrderOnLongStrings(t *testing.T) {
	long := strings.Repeat("x", scalars.MostOrdered+1)
	for text, want := range map[string]bool{
		`{"a":{"$gt":"` + long + `"}}`:                    false,
		`{"$or":[{"b":1},{"a":{"$lte":"` + long + `"}}]}`: false,
		`{"a":{"$gt":"` + long[1:] + `"}}`:                true,
		`{"a":"` + long + `"}`:                            true,
		`{"a":{"$nin":["` + long + `"]}}`:                 true,
	} {
		f, err := search.ParseFilter([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		_, err = filterOf(f)
		if want && err != nil || !want && !errors.Is(err, fault.Invalid) {
			t.Errorf("%.40s…: got %v", text, err)
		}
	}
}

func TestShadowOf_keepsEveryValue(t *testing.T) {
	n := func(x int64) string {
		token, _ := scalars.Order(x)
		return token
	}
	for meta, want := range map[string]map[string]entry{
		``:                  {},
		`{}`:                {},
		`{"a":null,"b":[]}`: {},
		`{"a":1.0}`:         {".a": {Any: 1, One: n(1)}},
		`{"a":true}`:        {".a": {Any: 1, One: "t"}},
		`{"a":"x"}`:         {".a": {Any: 1, One: "sx"}},
		`{"a":[[1],1e400]}`: {".a": {Any: 1}},
		`{"a.b":1}`:         {},
		`{"a":1,"a":"x"}`:   {".a": {Any: 1, One: "sx"}},
		`{"a b":1}`:         {".a-20b": {Any: 1, One: n(1)}},
		`{"a":[{"b":2},{"b":["x",1]}]}`: {
			".a":   {Any: 1},
			".a.b": {Any: 1, Many: []string{n(2), "sx", n(1)}, MinN: n(1), MaxN: n(2), MinS: "sx", MaxS: "sx"},
		},
	} {
		raw, err := shadowOf(json.RawMessage(meta))
		if err != nil {
			t.Errorf("%s: %v", meta, err)
			continue
		}
		var got map[string]entry
		if err := json.Unmarshal(raw, &got); err != nil || len(got) != len(want) {
			t.Errorf("%s: got %s, %v", meta, raw, err)
		}
		for path, e := range want {
			g := got[path]
			if g.One != e.One || g.Any != e.Any || !slices.Equal(g.Many, e.Many) || g.MinN != e.MinN || g.MaxN != e.MaxN || g.MinS != e.MinS || g.MaxS != e.MaxS {
				t.Errorf("%s at %s: got %+v, want %+v", meta, path, g, e)
			}
		}
	}
}

func TestShadowOf_refusesWhatIsTooMuch(t *testing.T) {
	var fields []string
	for i := range 3000 {
		fields = append(fields, strconv.Quote("field"+strconv.Itoa(i))+":1")
	}
	wide := "{" + strings.Join(fields, ",") + "}"
	deep := strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)
	for _, meta := range []string{wide, deep, `[1]`, `"x"`, `{"a":`} {
		if _, err := shadowOf(json.RawMessage(meta)); !errors.Is(err, fault.Invalid) || fault.Field(err) != "/meta" {
			t.Errorf("%.20s…: got %v, want /meta to be invalid", meta, err)
		}
	}
}
