package search_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/search"
)

func parse(tb testing.TB, text string) search.Filter {
	tb.Helper()
	f, err := search.ParseFilter([]byte(text))
	if err != nil {
		tb.Fatalf("ParseFilter(%s): %v", text, err)
	}
	return f
}

// truth is the table that every engine is held to. Each line is a filter, the
// metadata that pass it, and those that do not.
var truth = []struct {
	filter string
	yes    []string
	no     []string
}{
	{`{}`, []string{`{}`, `{"a":1}`, ``, `null`}, nil},

	// Equality, by type.
	{`{"a":1}`,
		[]string{`{"a":1}`, `{"a":1.0}`, `{"a":1e0}`, `{"a":10e-1}`, `{"a":[0,1]}`, ` { "a" : 1 } `, `{"b":{"a":2},"a":1}`},
		[]string{`{}`, `{"a":2}`, `{"a":"1"}`, `{"a":true}`, `{"a":null}`, `{"a":[]}`, `{"a":[[1]]}`, `{"a":{"a":1}}`, `{"b":1}`, `{"A":1}`, ``, `[1]`, `1`}},
	{`{"a":"x"}`,
		[]string{`{"a":"x"}`, `{"a":["y","x"]}`, `{"a":"\u0078"}`, `{"\u0061":"x"}`},
		[]string{`{"a":"X"}`, `{"a":"x "}`, `{"a":""}`, `{"a":["xy"]}`, `{"a":["y",["x"]]}`, `{"a":"\\u0078"}`}},
	{`{"a":""}`, []string{`{"a":""}`, `{"a":["",1]}`}, []string{`{}`, `{"a":null}`, `{"a":[]}`, `{"a":" "}`, `{"a":false}`, `{"a":0}`}},
	{`{"a":true}`, []string{`{"a":true}`, `{"a":[false,true]}`}, []string{`{"a":false}`, `{"a":1}`, `{"a":"true"}`, `{}`}},
	{`{"a":false}`, []string{`{"a":false}`}, []string{`{"a":true}`, `{"a":0}`, `{"a":null}`, `{}`}},
	{`{"a":0}`, []string{`{"a":0}`, `{"a":-0}`, `{"a":0.0}`, `{"a":-0.0}`, `{"a":0e9}`}, []string{`{"a":false}`, `{"a":""}`, `{"a":1e-300}`}},
	{`{"a":{"$eq":1.5}}`, []string{`{"a":1.5}`, `{"a":15e-1}`}, []string{`{"a":1}`, `{"a":1.4999999999999998}`}},
	{`{"a":"é"}`, []string{`{"a":"é"}`, `{"a":"\u00e9"}`}, []string{`{"a":"e\u0301"}`, `{"a":"É"}`}},
	{`{"a":"\u0000\"\\/\n"}`, []string{`{"a":"\u0000\u0022\u005c\/\u000a"}`}, []string{`{"a":"\u0000\"\\/"}`}},
	{`{"a":"😀"}`, []string{`{"a":"\ud83d\ude00"}`, `{"a":"😀"}`}, []string{`{"a":"\ud83d"}`}},

	// Null and the empty array are absence.
	{`{"a":null}`, []string{`{}`, ``, `{"a":null}`, `{"a":[]}`, `{"a":[null]}`, `{"b":1}`}, []string{`{"a":0}`, `{"a":""}`, `{"a":{}}`, `{"a":[[]]}`, `{"a":[null,1]}`, `{"a":false}`}},
	{`{"a":{"$ne":null}}`, []string{`{"a":0}`, `{"a":{}}`, `{"a":[null,1]}`}, []string{`{}`, `{"a":null}`, `{"a":[]}`}},
	{`{"a":{"$exists":true}}`, []string{`{"a":0}`, `{"a":""}`, `{"a":{}}`, `{"a":[[]]}`, `{"a":[null,1]}`, `{"a":1e400}`}, []string{`{}`, ``, `{"a":null}`, `{"a":[]}`, `{"a":[null]}`}},
	{`{"a":{"$exists":false}}`, []string{`{}`, ``, `{"a":null}`, `{"a":[]}`, `{"a":[null]}`}, []string{`{"a":0}`, `{"a":{}}`}},

	// Negation is true where the field is missing or of another type.
	{`{"a":{"$ne":1}}`, []string{`{}`, `{"a":2}`, `{"a":"1"}`, `{"a":null}`, `{"a":[]}`, `{"a":[2,3]}`}, []string{`{"a":1}`, `{"a":[2,1]}`, `{"a":1.0}`}},
	{`{"a":{"$nin":[1,"x"]}}`, []string{`{}`, `{"a":2}`, `{"a":["1"]}`, `{"a":null}`}, []string{`{"a":1}`, `{"a":"x"}`, `{"a":[3,"x"]}`}},
	{`{"a":{"$not":{"$gt":5}}}`, []string{`{}`, `{"a":5}`, `{"a":"9"}`, `{"a":[1,2]}`}, []string{`{"a":6}`, `{"a":[1,6]}`}},
	{`{"$not":{"a":1,"b":2}}`, []string{`{}`, `{"a":1}`, `{"a":1,"b":3}`}, []string{`{"a":1,"b":2}`}},
	{`{"$not":{"$not":{"a":1}}}`, []string{`{"a":1}`}, []string{`{}`}},

	// Sets.
	{`{"a":{"$in":[1,"x",true]}}`, []string{`{"a":1}`, `{"a":"x"}`, `{"a":true}`, `{"a":[9,1.0]}`}, []string{`{}`, `{"a":"1"}`, `{"a":false}`, `{"a":null}`}},
	{`{"a":{"$in":[]}}`, nil, []string{`{}`, `{"a":1}`, `{"a":[]}`}},
	{`{"a":{"$nin":[]}}`, []string{`{}`, `{"a":1}`, `{"a":[]}`}, nil},
	{`{"a":{"$in":[1,null]}}`, []string{`{}`, `{"a":1}`, `{"a":null}`, `{"a":[]}`}, []string{`{"a":2}`}},
	{`{"a":{"$nin":[1,null]}}`, []string{`{"a":2}`}, []string{`{}`, `{"a":1}`, `{"a":null}`}},
	{`{"a":{"$in":[1,2,3,4,5,6,7,8,"i","j",2.5,null]}}`, // from 8 values a hash lookup
		[]string{`{"a":8}`, `{"a":8.0}`, `{"a":"i"}`, `{"a":"\u0069"}`, `{"a":2.5}`, `{}`, `{"a":[0,3]}`},
		[]string{`{"a":9}`, `{"a":"8"}`, `{"a":{}}`, `{"a":true}`, `{"a":1e400}`}},
	{`{"a":{"$nin":[1,2,3,4,5,6,7,8]}}`, []string{`{}`, `{"a":9}`, `{"a":1e400}`}, []string{`{"a":8}`}},

	// Order: numbers with numbers, strings with strings.
	{`{"a":{"$gt":1}}`, []string{`{"a":2}`, `{"a":1.0000000000000002}`, `{"a":[0,2]}`}, []string{`{}`, `{"a":1}`, `{"a":1.0}`, `{"a":"2"}`, `{"a":true}`, `{"a":null}`, `{"a":{}}`, `{"a":1e400}`}},
	{`{"a":{"$gte":1}}`, []string{`{"a":1}`, `{"a":1.0}`, `{"a":2}`}, []string{`{"a":0.9999999999999999}`, `{"a":"1"}`}},
	{`{"a":{"$lt":1}}`, []string{`{"a":0}`, `{"a":-5}`, `{"a":-1e300}`, `{"a":[7,0]}`}, []string{`{}`, `{"a":1}`, `{"a":null}`, `{"a":""}`, `{"a":false}`, `{"a":-1e400}`}},
	{`{"a":{"$lte":1}}`, []string{`{"a":1}`, `{"a":0}`}, []string{`{"a":2}`, `{}`}},
	{`{"a":{"$gte":2,"$lt":4}}`, []string{`{"a":2}`, `{"a":3}`, `{"a":[1,9,3]}`, `{"a":[1,9]}`}, []string{`{"a":1}`, `{"a":4}`, `{"a":[1]}`, `{"a":[9]}`}}, // each bound by some element
	{`{"a":{"$gt":"b"}}`, []string{`{"a":"c"}`, `{"a":"ba"}`, `{"a":"é"}`}, []string{`{"a":"b"}`, `{"a":"B"}`, `{"a":"a"}`, `{"a":""}`, `{"a":9}`, `{}`}},
	{`{"a":{"$lte":"Z"}}`, []string{`{"a":"Z"}`, `{"a":"A"}`, `{"a":""}`}, []string{`{"a":"a"}`, `{"a":"Za"}`}},
	{`{"a":{"$gt":"\uffff"}}`, []string{`{"a":"😀"}`}, []string{`{"a":"\uffff"}`, `{"a":"z"}`}}, // by UTF-8 bytes, not by UTF-16 units
	{`{"a":{"$lt":"2024-05-01"}}`, []string{`{"a":"2024-04-30T23:59:59Z"}`, `{"a":"2023"}`}, []string{`{"a":"2024-05-01"}`, `{"a":"2024-05-01T00:00:00Z"}`}},

	// Exact numbers, beyond 2^53 and beyond int64.
	{`{"a":9007199254740993}`, []string{`{"a":9007199254740993}`}, []string{`{"a":9007199254740992}`, `{"a":9007199254740993.0}`, `{"a":9007199254740994}`}},
	{`{"a":9007199254740992}`, []string{`{"a":9007199254740992}`, `{"a":9007199254740993.0}`, `{"a":9.007199254740992e15}`}, []string{`{"a":9007199254740993}`}},
	{`{"a":{"$gt":9007199254740992.0}}`, []string{`{"a":9007199254740993}`, `{"a":9223372036854775807}`, `{"a":1e300}`}, []string{`{"a":9007199254740992}`, `{"a":-9007199254740993}`}},
	{`{"a":{"$lt":9223372036854775807}}`, []string{`{"a":9223372036854775806}`, `{"a":-9223372036854775808}`, `{"a":-1e300}`}, []string{`{"a":9223372036854775807}`, `{"a":9223372036854775807.0}`, `{"a":9223372036854775808}`}},
	{`{"a":9223372036854775808}`, []string{`{"a":9223372036854775808}`, `{"a":9223372036854775808.0}`, `{"a":9223372036854775807.0}`, `{"a":9.223372036854775808e18}`}, []string{`{"a":9223372036854775807}`, `{"a":9223372036854775809}`}},
	{`{"a":18446744073709551615}`, []string{`{"a":18446744073709551615}`}, []string{`{"a":18446744073709551614}`, `{"a":18446744073709551615.0}`, `{"a":18446744073709551616}`, `{"a":-1}`}},
	{`{"a":{"$lt":18446744073709551616}}`, []string{`{"a":18446744073709551615}`, `{"a":1}`, `{"a":-1}`}, []string{`{"a":18446744073709551616}`, `{"a":18446744073709551617}`}},
	{`{"a":{"$gt":18446744073709551614}}`, []string{`{"a":18446744073709551615}`, `{"a":1e20}`}, []string{`{"a":18446744073709551614}`, `{"a":9223372036854775807}`, `{"a":0.5}`}},
	{`{"a":{"$gte":-9223372036854775808}}`, []string{`{"a":-9223372036854775808}`, `{"a":-9223372036854775808.0}`, `{"a":0.5}`}, []string{`{"a":-9223372036854777856.0}`, `{"a":-1e19}`}},
	{`{"a":{"$gt":2.5}}`, []string{`{"a":3}`, `{"a":18446744073709551615}`}, []string{`{"a":2}`, `{"a":-3}`}},
	{`{"a":{"$gt":-2.5}}`, []string{`{"a":-2}`, `{"a":0}`}, []string{`{"a":-3}`}},
	{`{"a":0.1}`, []string{`{"a":0.1}`, `{"a":0.10}`, `{"a":1e-1}`, `{"a":0.1000000000000000055}`}, []string{`{"a":0.10000000000000002}`}},
	{`{"a":1e300}`, []string{`{"a":1e300}`, `{"a":10e299}`}, []string{`{"a":1e301}`}},

	// Paths.
	{`{"a.b":1}`,
		[]string{`{"a":{"b":1}}`, `{"a":{"b":[2,1]}}`, `{"a":[{"b":2},{"b":1}]}`, `{"a":[{"b":[1]}]}`, `{"a":[7,{"b":1}]}`, `{"x":{"b":2},"a":{"c":{"b":3},"b":1}}`},
		[]string{`{}`, `{"a.b":1}`, `{"a":1}`, `{"b":1}`, `{"a":{"b":{"b":1}}}`, `{"a":[[{"b":1}]]}`, `{"a":"b"}`, `{"a":null}`}},
	{`{"a.b.c":"x"}`, []string{`{"a":{"b":{"c":"x"}}}`, `{"a":[{"b":[{"c":"x"}]}]}`}, []string{`{"a":{"b":"x"}}`, `{"a":{"b.c":"x"}}`}},
	{`{"a.0":1}`, []string{`{"a":{"0":1}}`}, []string{`{"a":[1]}`}},
	{`{"a b":1,"é":2,"a/b~c":3}`, []string{`{"a b":1,"é":2,"a/b~c":3}`, `{"a\u0020b":1,"\u00e9":2,"a\/b~c":3}`}, []string{`{"a b":1,"e":2,"a/b~c":3}`}},
	{`{"a.b":{"$exists":false}}`, []string{`{}`, `{"a":{}}`, `{"a":[]}`, `{"a":[{"c":1}]}`, `{"a":{"b":null}}`}, []string{`{"a":{"b":0}}`, `{"a":[{"c":1},{"b":0}]}`}},
	{`{"a":1}`, []string{`{"a":2,"a":1}`, `{"a":{"x":1},"a":1}`}, []string{`{"a":1,"a":2}`, `{"a":1,"a":null}`, `{"a":1,"\u0061":2}`}}, // the last one counts

	// Text that looks like structure.
	{`{"a":1}`, []string{`{"x":"\",\"a\":2,\"","a":1}`, `{"x":"\\","a":1}`, `{"x":"\\\"","a":1}`, `{"x":["]","}"],"a":1}`, `{"x":{"y":"}"},"a":1}`}, []string{`{"x":"\"a\":1"}`, `{"x":{"a":1}}`, `{"x":[{"a":1}]}`}},

	// Logic.
	{`{"a":1,"b":2}`, []string{`{"a":1,"b":2}`}, []string{`{"a":1}`, `{"b":2}`}},
	{`{"$and":[{"a":1},{"b":2}]}`, []string{`{"a":1,"b":2}`}, []string{`{"a":1}`}},
	{`{"$or":[{"a":1},{"b":2}]}`, []string{`{"a":1}`, `{"b":2}`}, []string{`{}`, `{"a":2,"b":1}`}},
	{`{"year":{"$gte":2020},"$or":[{"lang":"go"},{"lang":{"$in":["c","rust"]}}]}`,
		[]string{`{"year":2024,"lang":"go"}`, `{"year":2020,"lang":["java","c"]}`},
		[]string{`{"year":2019,"lang":"go"}`, `{"year":2024,"lang":"java"}`, `{"lang":"go"}`}},
}

func TestFilter_truthTable(t *testing.T) {
	for _, row := range truth {
		f := parse(t, row.filter)
		again := roundTrip(t, f)
		check := func(meta string, want bool) {
			if got := f.Match(json.RawMessage(meta)); got != want {
				t.Errorf("%s on %s: %v, want %v", row.filter, meta, got, want)
			}
			if got := again.Match(json.RawMessage(meta)); got != want {
				t.Errorf("%s on %s after a round trip: %v, want %v", row.filter, meta, got, want)
			}
		}
		for _, meta := range row.yes {
			check(meta, true)
		}
		for _, meta := range row.no {
			check(meta, false)
		}
	}
}

func roundTrip(t *testing.T, f search.Filter) search.Filter {
	t.Helper()
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatalf("marshal %v: %v", f, err)
	}
	var again search.Filter
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatalf("unmarshal %s: %v", data, err)
	}
	if !again.Equal(f) {
		t.Fatalf("%s reads back as %v, want %v", data, again, f)
	}
	return again
}

func TestFilter_malformedInGoMatchesNothing(t *testing.T) {
	one, err := search.ValueOf(1)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]search.Filter{
		"unknown operation":     {Op: "$near", Field: "a", Values: []search.Value{one}},
		"$eq without a value":   {Op: search.Eq, Field: "a"},
		"$gt without a value":   {Op: search.Gt, Field: "a"},
		"$exists of a number":   {Op: search.Exists, Field: "a", Values: []search.Value{one}},
		"$not without a term":   {Op: search.Not},
		"$or without a term":    {Op: search.Or},
		"$gt on an empty field": {Op: search.Gt, Values: []search.Value{one}},
	} {
		if f.Match(json.RawMessage(`{"a":2}`)) {
			t.Errorf("%s matches", name)
		}
	}
}

// Valid metadata is the caller's duty; broken metadata must still not crash.
func TestFilter_survivesBrokenMetadata(t *testing.T) {
	f := parse(t, `{"$or":[{"a.b":1},{"a":{"$gt":"x"}},{"a":{"$in":[1,2,3,4,5,6,7,8]}},{"a":{"$exists":true}}]}`)
	whole := `{"x":"\\\"","a":{"b":[1,{"c":null}],"d":"\ud83d\ude00"}, "a": [ "y", 12e3 , true ] }`
	for i := range len(whole) {
		f.Match(json.RawMessage(whole[:i]))
		f.Match(json.RawMessage(whole[:i] + whole[i+1:]))
		f.Match(json.RawMessage(whole[i:]))
	}
}

func TestFilter_matchAllocatesNothing(t *testing.T) {
	meta := json.RawMessage(`{"package":"strings","kind":"func","year":2024,"score":1234.5678,"tags":["a","b"]}`)
	for _, text := range []string{
		`{"package":"strings","year":{"$gte":2020}}`,
		`{"score":{"$lt":1e9},"tags":"b"}`,
		`{"package":{"$in":["a","b","c","d","e","f","g","h","strings"]}}`,
		`{"$not":{"kind":{"$gt":"z"}},"missing.path":{"$exists":false}}`,
	} {
		f := parse(t, text)
		if !f.Match(meta) {
			t.Errorf("%s does not match", text)
		}
		if n := testing.AllocsPerRun(100, func() { f.Match(meta) }); n != 0 {
			t.Errorf("%s: %v allocations a match", text, n)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	meta := json.RawMessage(`{"package":"strings","kind":"func","symbol":"strings.Builder.WriteString","year":2024,"tags":["text","io"]}`)
	for name, text := range map[string]string{
		"eq":    `{"kind":"func"}`,
		"range": `{"year":{"$gte":2020,"$lt":2030}}`,
		"array": `{"tags":"io"}`,
		"or":    `{"year":{"$gte":2020},"$or":[{"package":"bytes"},{"package":{"$in":["io","strings"]}}]}`,
		"miss":  `{"absent":1}`,
		"in1000": func() string {
			values := make([]string, 1000)
			for i := range values {
				values[i] = fmt.Sprintf("%q", fmt.Sprint("package", i))
			}
			return `{"package":{"$in":[` + strings.Join(values, ",") + `]}}`
		}(),
	} {
		f := parse(b, text)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f.Match(meta)
			}
		})
	}
}
