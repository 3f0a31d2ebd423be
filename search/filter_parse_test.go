package search_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

func TestParseFilter_refuses(t *testing.T) {
	for _, c := range []struct{ filter, field, says string }{
		{`{"a":`, "", "not valid JSON"},
		{`{} {}`, "", "not valid JSON"},
		{"{\"a\":\"\xff\"}", "", "not valid JSON"},
		{`[]`, "", "must be an object"},
		{`"a"`, "", "must be an object"},
		{`{"year":{"$gte2":1}}`, "/year/$gte2", "there are $eq $ne $gt"},
		{`{"$nor":[]}`, "/$nor", "there are $eq $ne $gt"},
		{`{"$gt":1}`, "/$gt", "behind a field"},
		{`{"a":{"$and":[]}}`, "/a/$and", "not behind a field"},
		{`{"a":{"b":1}}`, "/a/b", `"a.b"`},
		{`{"a":{}}`, "/a", "must hold an operation"},
		{`{"a":[1]}`, "/a", `"$in"`},
		{`{"a":{"$eq":[1]}}`, "/a/$eq", `"$in"`},
		{`{"a":{"$eq":{}}}`, "/a/$eq", "must be null, a boolean, a string or a number"},
		{`{"a":{"$in":1}}`, "/a/$in", "list of values"},
		{`{"a":{"$in":[1,[2]]}}`, "/a/$in/1", "a list is no value"},
		{`{"a":{"$gt":null}}`, "/a/$gt", "only numbers and strings"},
		{`{"a":{"$lte":true}}`, "/a/$lte", "only numbers and strings"},
		{`{"a":{"$exists":1}}`, "/a/$exists", "true or false"},
		{`{"a":{"$exists":null}}`, "/a/$exists", "true or false"},
		{`{"a":{"$not":1}}`, "/a/$not", "must hold operations"},
		{`{"a":{"$not":{}}}`, "/a/$not", "must hold an operation"},
		{`{"a":1e400}`, "/a", "1e400 is out of the range"},
		{`{"$and":[]}`, "/$and", "at least one"},
		{`{"$or":{}}`, "/$or", "list of conditions"},
		{`{"$or":[{"a":1},{}]}`, "/$or/1", "empty"},
		{`{"$or":[{"a":1},2]}`, "/$or/1", "must be a condition"},
		{`{"$or":[{"$or":[{"x":{"$y":0}}]}]}`, "/$or/0/$or/0/x/$y", "unknown operation"},
		{`{"$not":{}}`, "/$not", "empty"},
		{`{"$not":[]}`, "/$not", "must be a condition"},
		{`{"a":1,"a":2}`, "/a", "twice"},
		{`{"a":1,"\u0061":2}`, "/a", "twice"},
		{`{"a":{"$gt":1,"$gt":2}}`, "/a/$gt", "twice"},
		{`{"":1}`, "/", "a name is empty"},
		{`{"a..b":1}`, "/a..b", "a name is empty"},
		{`{".a":1}`, "/.a", "a name is empty"},
		{`{"a/b~c":{"$x":1}}`, "/a~1b~0c/$x", "unknown operation"},
	} {
		_, err := search.ParseFilter([]byte(c.filter))
		if !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want Invalid", c.filter, err)
			continue
		}
		if got := fault.Field(err); got != c.field || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: field %q, error %q; want field %q and %q", c.filter, got, err, c.field, c.says)
		}
	}
}

func TestParseFilter_zero(t *testing.T) {
	for _, text := range []string{"", " \n", "null", "{}", " { } "} {
		f, err := search.ParseFilter([]byte(text))
		if err != nil || !f.IsZero() {
			t.Errorf("%q: %v, %v; want the zero Filter", text, f, err)
		}
	}
	if data, err := json.Marshal(search.Filter{}); err != nil || string(data) != "{}" {
		t.Errorf("the zero Filter is %s, %v", data, err)
	}
}

func TestParseFilter_shape(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1}`:                        `{"a":{"$eq":1}}`,
		`{"a":1,"b":"x"}`:                `{"$and":[{"a":{"$eq":1}},{"b":{"$eq":"x"}}]}`,
		`{"a":{"$gt":1,"$lt":2},"b":3}`:  `{"$and":[{"a":{"$gt":1}},{"a":{"$lt":2}},{"b":{"$eq":3}}]}`,
		`{"$and":[{"a":1}]}`:             `{"$and":[{"a":{"$eq":1}}]}`,
		`{"a":{"$not":{"$gt":1}}}`:       `{"$not":{"a":{"$gt":1}}}`,
		`{"a":{"$in":[]}}`:               `{"a":{"$in":[]}}`,
		`{"a":{"$nin":[null,true,1.0]}}`: `{"a":{"$nin":[null,true,1]}}`,
		`{"a":18446744073709551615}`:     `{"a":{"$eq":18446744073709551615}}`,
		`{"a":-0.0}`:                     `{"a":{"$eq":0}}`,
		`{"<a>":"&"}`:                    `{"\u003ca\u003e":{"$eq":"\u0026"}}`,
	} {
		data, err := json.Marshal(parse(t, text))
		if err != nil || string(data) != want {
			t.Errorf("%s is %s, %v; want %s", text, data, err, want)
		}
	}
}

func TestParseFilter_limits(t *testing.T) {
	values := func(n int) string { return `{"a":{"$in":[` + strings.Repeat("1,", n-1) + `1]}}` }
	nested := func(n int) string { return strings.Repeat(`{"$not":`, n-1) + `{"a":1}` + strings.Repeat(`}`, n-1) }
	behind := func(n int) string {
		return `{"a":` + strings.Repeat(`{"$not":`, n) + `{"$gt":1}` + strings.Repeat(`}`, n) + `}`
	}
	path := func(n int) string { return `{"` + strings.Repeat("a.", n-1) + `a":1}` }
	for name, text := range map[string]string{
		"values": values(9_999), "depth": nested(100), "depth behind a field": behind(99), "path": path(100),
	} {
		if _, err := search.ParseFilter([]byte(text)); err != nil {
			t.Errorf("%s at the limit: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"values": values(10_000), "depth": nested(101), "depth behind a field": behind(100), "path": path(101),
		"terms":       `{"$or":[` + strings.Repeat(`{"a":1},`, 10_000) + `{"a":1}]}`,
		"empty lists": `{"$or":[` + strings.Repeat(`{"a":{"$in":[]}},`, 10_000) + `{"a":1}]}`,
	} {
		if _, err := search.ParseFilter([]byte(text)); !errors.Is(err, fault.Invalid) || fault.Field(err) == "" {
			t.Errorf("%s above the limit: %.200v", name, err)
		}
	}
}

func TestParseFilter_manyNamesAreStillCompared(t *testing.T) {
	var text strings.Builder
	for i := range 40 {
		text.WriteString(`"f` + strings.Repeat("x", i) + `":1,`)
	}
	parse(t, "{"+text.String()+`"g":1}`)
	_, err := search.ParseFilter([]byte("{" + text.String() + `"fxxx":1}`))
	if fault.Field(err) != "/fxxx" {
		t.Errorf("a repeated name among 40: %v", err)
	}
}

func TestValue(t *testing.T) {
	for _, c := range []struct{ in, want any }{
		{nil, nil},
		{true, true},
		{"x", "x"},
		{7, int64(7)},
		{uint64(math.MaxUint64), uint64(math.MaxUint64)},
		{7.0, int64(7)},
		{math.Ldexp(1, 63), uint64(1) << 63},
		{-math.Ldexp(1, 63), int64(math.MinInt64)},
		{math.Ldexp(1, 64), math.Ldexp(1, 64)},
		{2.5, 2.5},
		{float32(0.1), 0.1},
		{float32(1 << 62), int64(1) << 62},
		{json.Number("1e2"), int64(100)},
	} {
		v, err := search.ValueOf(c.in)
		if err != nil || v.Any() != c.want {
			t.Errorf("ValueOf(%v) = %#v, %v; want %#v", c.in, v.Any(), err, c.want)
		}
		data, err := json.Marshal(v)
		var again search.Value
		if err != nil || json.Unmarshal(data, &again) != nil || again != v {
			t.Errorf("%v is %s, %v and reads back as %v", c.in, data, err, again.Any())
		}
	}
	for _, bad := range []any{math.NaN(), math.Inf(1), []int{1}, map[string]int{}, make(chan int)} {
		if _, err := search.ValueOf(bad); !errors.Is(err, fault.Invalid) {
			t.Errorf("ValueOf(%T): %v, want Invalid", bad, err)
		}
	}
}

func TestFilter_marshalRefusesMalformed(t *testing.T) {
	for name, f := range map[string]search.Filter{
		"$eq without a value": {Op: search.Eq, Field: "a"},
		"$not without a term": {Op: search.Not},
		"inside $or":          {Op: search.Or, Terms: []search.Filter{{Op: search.Not}}},
		"inside $not":         {Op: search.Not, Terms: []search.Filter{{Op: search.Lt, Field: "a"}}},
	} {
		if data, err := json.Marshal(f); err == nil {
			t.Errorf("%s: %s", name, data)
		}
	}
}
