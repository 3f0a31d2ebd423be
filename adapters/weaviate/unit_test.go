package weaviate

import (
	"cmp"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

func TestKeyText_keepsTheOrderOfKeys(t *testing.T) {
	parts := []string{"", "\x00", "\x01", " ", "A", "a", "a ", "aa", "b", "é", "日本", "🙂"}
	var keys []search.Key
	for _, tenant := range parts {
		for _, id := range parts {
			keys = append(keys, search.Key{Tenant: tenant, ID: id})
		}
	}
	var r keyReader
	for _, a := range keys {
		for _, b := range keys {
			if got, want := cmp.Compare(keyText(a), keyText(b)), a.Compare(b); got != want {
				t.Fatalf("%q and %q compare as %d, their texts as %d", a, b, want, got)
			}
			if (objectID(a) == objectID(b)) != (a == b) {
				t.Fatalf("%q and %q: objects %s and %s", a, b, objectID(a), objectID(b))
			}
		}
		if back, ok := r.read([]byte(keyText(a))); !ok || back != a {
			t.Errorf("%q comes back as %q", a, back)
		}
		if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(objectID(a)) {
			t.Errorf("%q has the object %s, which is no UUID", a, objectID(a))
		}
	}
	for _, text := range []string{"", "61", "6!61", "61!6", "zz!61"} {
		if k, ok := r.read([]byte(text)); ok {
			t.Errorf("%q reads as %q", text, k)
		}
	}
}

func TestEngineName_isOneToOne(t *testing.T) {
	c := Config{Prefix: "P"}
	seen := map[string]string{}
	for _, name := range []string{"docs", "Docs", "DOCS", "docs-1", "docs.1", "docs_1", "docs_5f1", "_", "__", "a_2d", "a-", "é"} {
		engine := c.engineName(name)
		if !regexp.MustCompile(`^P_[a-z0-9_]*$`).MatchString(engine) {
			t.Errorf("%q becomes %q, which Weaviate does not take or tell apart", name, engine)
		}
		if other, ok := seen[engine]; ok {
			t.Errorf("%q and %q both become %q", name, other, engine)
		}
		seen[engine] = name
	}
}

func TestTerm_tellsFieldsAndValuesApart(t *testing.T) {
	seen := map[string]bool{}
	for _, x := range [][3]string{
		{valueTerm, "a", "sb"}, {valueTerm, "as", "b"}, {valueTerm, "", "asb"}, {existsTerm, "a", "sb"}, {tenantTerm, "a", ""}, {existsTerm, "a", ""},
	} {
		seen[term(x[0], x[1], x[2])] = true
	}
	if len(seen) != 6 || seen[never] {
		t.Errorf("six different terms are %d", len(seen))
	}
}

func TestIndex_refusesWhatIsTooMuch(t *testing.T) {
	meta := []byte(`{"x":[` + strings.Repeat(`true,1,"x",`, 200_000) + `0]}`)
	var many []byte
	for i := range 200_000 {
		many = append(many, `{"k`+strings.Repeat("x", i%7)+`":`...)
	}
	if _, err := index(&search.Point{Meta: meta}); !errors.Is(err, fault.Invalid) || fault.Field(err) != "/meta" {
		t.Errorf("got %v, want /meta to be invalid", err)
	}
	if _, err := index(&search.Point{Meta: many}); !errors.Is(err, fault.Invalid) {
		t.Errorf("broken metadata: got %v, want invalid", err)
	}
}

func TestNew_refusesWhatCannotWork(t *testing.T) {
	const good = "127.0.0.1:8080"
	for field, c := range map[string]Config{
		"/address": {Address: "http://" + good}, "/grpc": {Address: good, GRPC: "x"}, "/key": {Address: good, Key: "a\nb"},
		"/prefix": {Address: good, Prefix: "low"}, "/index": {Address: good, Index: "tree"}, "/max_rows": {Address: good, MaxRows: 1},
		"/max_ordered": {Address: good, MaxOrdered: -1}, "": {Address: good, Lag: -1},
	} {
		if _, err := New(c); !errors.Is(err, fault.Invalid) || fault.Field(err) != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if _, err := New(Config{Address: "me:pw@" + good}); err == nil || strings.Contains(err.Error(), "pw") {
		t.Errorf("a password in the address: got %v", err)
	}
}
