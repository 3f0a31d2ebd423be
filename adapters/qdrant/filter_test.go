package qdrant_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// scalars are chosen for the places where an encoding may go wrong: around 2^53
// and the ends of the integers, around the six bytes of a chunk and the 47 that an
// operand may have; and a few at random, with their neighbours.
func scalars() []string {
	list := []string{
		`0`, `-0`, `1`, `1.0`, `-1`, `2.5`, `-2.5`, `1e300`, `-1e300`, `5e-324`, `0.1`, `9007199254740991`, `9007199254740992`, `9007199254740993`,
		`9007199254740994`, `9007199254740992.0`, `-9007199254740993`, `-9007199254740992`, `9223372036854775807`, `9223372036854775806`,
		`9223372036854775808`, `-9223372036854775808`, `-9223372036854775807`, `18446744073709551615`, `18446744073709551614`,
		`18446744073709551616`, `18446744073709549568`, `true`, `false`, `""`, `"\u0000"`, `"a"`, `"a\u0000"`, `"A"`, `"é"`, `"日本語"`, `"\n"`, `"1"`,
	}
	for _, n := range []int{5, 6, 7, 11, 12, 13, 46, 47} {
		list = append(list, `"`+strings.Repeat("x", n)+`"`, `"`+strings.Repeat("x", n-1)+`y"`)
	}
	r := rand.New(rand.NewPCG(3, 3))
	for range 2 {
		fraction, large := r.NormFloat64(), math.Ldexp(r.NormFloat64(), 60+r.IntN(900))
		for _, x := range []float64{fraction, math.Nextafter(fraction, 9), large, math.Nextafter(large, 9)} {
			list = append(list, strconv.FormatFloat(x, 'g', -1, 64))
		}
		letters := fmt.Sprintf("%06x", r.IntN(1<<24))
		list = append(list, `"`+letters[:5]+`"`, `"`+letters+`"`, `"`+letters[:5]+`~"`)
	}
	return list
}

// stored are values that are too much for an operand.
func stored() []string {
	return append(scalars(), `1e400`, `null`, `[]`, `{}`, `[[1]]`, `[null]`,
		`"`+strings.Repeat("x", 48)+`"`, `"`+strings.Repeat("x", 49)+`"`, `"`+strings.Repeat("x", 300)+`"`, `"`+strings.Repeat("x", 299)+`y"`)
}

func pick(r *rand.Rand, list []string) string { return list[r.IntN(len(list))] }

// object is random metadata over few names, so that conditions meet it.
func object(r *rand.Rand, depth int) string {
	var members []string
	for _, name := range []string{"a", "b", "", "a.b", `q\"%`, "long" + strings.Repeat("g", 250)} {
		if r.IntN(3) > 0 && name != "a" {
			continue
		}
		members = append(members, fmt.Sprintf(`"%s":%s`, name, value(r, depth)))
	}
	return "{" + strings.Join(members, ",") + "}"
}

func value(r *rand.Rand, depth int) string {
	switch {
	case depth > 0 && r.IntN(3) == 0:
		return object(r, depth-1)
	case r.IntN(3) == 0:
		var list []string
		for range r.IntN(4) {
			list = append(list, value(r, depth-1))
		}
		return "[" + strings.Join(list, ",") + "]"
	default:
		return pick(r, stored())
	}
}

func condition(r *rand.Rand, depth int) string {
	if depth > 0 && r.IntN(3) == 0 {
		return fmt.Sprintf([]string{`{"$and":[%s,%s]}`, `{"$or":[%s,%s]}`, `{"$not":{"$or":[%s,%s]}}`}[r.IntN(3)], condition(r, depth-1), condition(r, depth-1))
	}
	field := pick(r, []string{"a", "a", "a", "b", "a.b", "a.a", "a.a.b", `q\"%`, "long" + strings.Repeat("g", 250)})
	switch op := pick(r, []string{"$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists"}); op {
	case "$in", "$nin":
		return fmt.Sprintf(`{"%s":{%q:[%s,%s,null,%s]}}`, field, op, pick(r, scalars()), pick(r, scalars()), pick(r, scalars()))
	case "$exists":
		return fmt.Sprintf(`{"%s":{%q:%v}}`, field, op, r.IntN(2) == 0)
	case "$eq", "$ne":
		return fmt.Sprintf(`{"%s":{%q:%s}}`, field, op, pick(r, scalars()))
	default:
		operand := pick(r, scalars())
		for operand == "true" || operand == "false" {
			operand = pick(r, scalars())
		}
		return fmt.Sprintf(`{"%s":{%q:%s}}`, field, op, operand)
	}
}

// Whatever is stored and whatever is asked, Qdrant is sent a filter that holds for
// the same points as search.Filter.Match.
func TestFilter_holdsWhereMatchDoes(t *testing.T) {
	s := fresh(t)
	r := rand.New(rand.NewPCG(7, 7))
	create(t, s)
	var points []search.Point
	for _, v := range stored() {
		points = append(points, search.Point{Meta: json.RawMessage(`{"a":` + v + `}`)})
	}
	for range 150 {
		points = append(points, search.Point{Meta: json.RawMessage(object(r, 3))})
	}
	for i := range points {
		points[i].ID, points[i].Version = fmt.Sprintf("%03d", i), 1
	}
	put(t, s, points...)
	asked := []string{}
	for _, op := range []string{"$eq", "$gt", "$gte", "$lt", "$lte"} {
		for _, v := range scalars() {
			if op == "$eq" || v != "true" && v != "false" {
				asked = append(asked, fmt.Sprintf(`{"a":{%q:%s}}`, op, v))
			}
		}
	}
	for range 400 {
		asked = append(asked, condition(r, 3))
	}
	for _, text := range asked {
		f, err := search.ParseFilter([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var want []string
		for _, p := range points {
			if f.Match(p.Meta) {
				want = append(want, string(p.Meta))
			}
		}
		page, err := s.Scroll(t.Context(), search.Scan{Collection: docs, Filter: f, Limit: 1000, Fields: search.Fields{Meta: true}})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var got []string
		for _, p := range page.Points {
			got = append(got, string(p.Meta))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s: %s", text, diff)
		}
	}
}

// Filters that were put together by hand and make no sense match nothing, or
// everything where they are negated, as in Filter.Match.
func TestFilter_malformed(t *testing.T) {
	s := fresh(t)
	create(t, s)
	put(t, s, at("a", 1))
	word, err := search.ValueOf("x")
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range []search.Filter{
		{Op: "$odd"}, {Op: search.Eq, Field: "a"}, {Op: search.Ne, Field: "a"}, {Op: search.Gt, Field: "a"}, {Op: search.Not}, {Op: search.And}, {Op: search.Or},
		{Op: search.Exists, Field: "a"}, {Op: search.Exists, Field: "a", Values: []search.Value{word}}, {Op: search.In, Field: "a"}, {Op: search.Nin, Field: "a"},
		{Op: search.And, Terms: []search.Filter{{}}}, {Op: search.Lt, Field: "a", Values: make([]search.Value, 1)},
	} {
		want := 0
		if f.Match(nil) {
			want = 1
		}
		if n, err := s.Count(t.Context(), docs, "", f); err != nil || n != want {
			t.Errorf("filter %d, %+v: count is %d (%v), want %d", i, f, n, err, want)
		}
	}
}

func TestFilter_saysWhatItCannotPushDown(t *testing.T) {
	s := fresh(t)
	create(t, s)
	for _, text := range []string{
		`{"a":{"$gt":"` + strings.Repeat("x", 48) + `"}}`,
		strings.Repeat(`{"$not":`, 40) + `{"a":1}` + strings.Repeat(`}`, 40),
	} {
		f, err := search.ParseFilter([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Count(t.Context(), docs, "", f); !errors.Is(err, fault.Invalid) || fault.Field(err) != "/filter" {
			t.Errorf("%s: got %v, want invalid", text, err)
		}
	}
}
