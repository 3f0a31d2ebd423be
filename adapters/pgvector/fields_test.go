package pgvector

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/fault"
)

func TestFieldsOf_takesMetadataApart(t *testing.T) {
	for _, c := range []struct{ meta, want string }{
		{``, `{}`},
		{`{}`, `{}`},
		{`{"a":null,"b":[],"c":[null]}`, `{}`},
		{`{"a":1.0,"b":[1,"x",null,true]}`, `{"a":[1],"b":[1,"x",true]}`},
		{`{"a":{"b":[{"c":1},{"c":[2]}]}}`, `{"a":[{}],"a.b":[{},{}],"a.b.c":[1,2]}`},
		{`{"a":[[1],[{"b":2}]]}`, `{"a":[{},{}]}`},
		{`{"a.b":1,"":2,"c":{"":3}}`, `{"c":[{}]}`},
		{`{"a":1,"a":2}`, `{"a":[2]}`},
		{`{"a":1e400,"b":-0.0,"c":18446744073709551615,"d":1e300}`, `{"a":[{}],"b":[0],"c":[18446744073709551615],"d":[1e+300]}`},
		{`{"a\u0000b":"x\u0000\u0001y"}`, `{"a\u0001\u0001b":["x\u0001\u0001\u0001\u0002y"]}`},
		{`{"a":"\ud800"}`, `{"a":["` + "\ufffd" + `"]}`},
	} {
		got, err := fieldsOf(json.RawMessage(c.meta))
		if err != nil {
			t.Errorf("%s: %v", c.meta, err)
			continue
		}
		if diff := cmp.Diff(decode(t, c.want), decode(t, string(got))); diff != "" {
			t.Errorf("%s: %s", c.meta, diff)
		}
	}
}

func decode(t *testing.T, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestFieldsOf_endsOnDeepAndWideMetadata(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 5000) + `1` + strings.Repeat(`}`, 5000)
	got, err := fieldsOf(json.RawMessage(deep))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(got, []byte("[{}]")); n != deepest {
		t.Errorf("%d paths are kept, want %d: no filter looks deeper", n, deepest)
	}
	// Every leaf has a path of 90 long names: far more than the metadata itself.
	name := strings.Repeat("n", 2000)
	wide := strings.Repeat(`{"`+name+`":`, 90) + `{` + strings.Repeat(`"leaf`+`":1,"`+name, 1) + `":[` + strings.Repeat(`1,`, 200) + `1]}` + strings.Repeat(`}`, 90)
	if _, err := fieldsOf(json.RawMessage(wide)); !errors.Is(err, fault.Invalid) || fault.Field(err) != "/meta" {
		t.Errorf("got %v, want that /meta is invalid", err)
	}
}

func FuzzEscapeText(f *testing.F) {
	f.Add("", "\x00")
	f.Add("\x00", "\x01")
	f.Add("a\x00", "a\x01\x01")
	f.Add("a\x01", "a\x00\x02")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := escapeText(a), escapeText(b)
		if strings.Contains(x, "\x00") {
			t.Fatalf("%q becomes %q", a, x)
		}
		if strings.Compare(a, b) != strings.Compare(x, y) {
			t.Fatalf("%q and %q become %q and %q: their order changed", a, b, x, y)
		}
	})
}
