package search

import (
	"encoding/json"
	"testing"
)

func TestScalar(t *testing.T) {
	const meta = ` {"s":"x","i":7,"f":7.0,"b":false,"n":null,"a":[1],"o":{"p":{"q":"deep"}},"\u0065":"escaped"}`
	for path, want := range map[string]any{
		"s": "x", "i": int64(7), "f": int64(7), "b": false, "o.p.q": "deep", "e": "escaped",
		"n": nil, "a": nil, "o": nil, "o.p": nil, "missing": nil, "s.x": nil, "o.p.q.r": nil, "": nil, ".": nil,
	} {
		v, ok := Scalar(json.RawMessage(meta), path)
		if ok != (want != nil) || ok && v.Any() != want {
			t.Errorf("%q: %v, %t, want %v", path, v.Any(), ok, want)
		}
	}
	for _, bad := range []string{"", "null", "[]", `"s"`, `{"s"`, `{`} {
		if v, ok := Scalar(json.RawMessage(bad), "s"); ok {
			t.Errorf("%q: found %v", bad, v.Any())
		}
	}
}
