package search_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/lanewise/lanewise/search"
)

// The oracle reads the doc comment of Filter in the plainest way: everything is
// decoded by encoding/json, and numbers are fractions.

func decode(data []byte) (any, bool) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var x any
	err := d.Decode(&x)
	return x, err == nil
}

// oracle judges a filter that ParseFilter accepted.
func oracle(filter, meta any) bool {
	conditions, _ := filter.(map[string]any)
	for name, want := range conditions {
		if !oracleCondition(name, want, meta) {
			return false
		}
	}
	return true
}

func oracleCondition(name string, want, meta any) bool {
	holds := func(term any) bool { return oracle(term, meta) }
	switch name {
	case "$and":
		return !slices.ContainsFunc(want.([]any), func(term any) bool { return !holds(term) })
	case "$or":
		return slices.ContainsFunc(want.([]any), holds)
	case "$not":
		return !holds(want)
	}
	values := oracleValues(meta, strings.Split(name, "."))
	if ops, ok := want.(map[string]any); ok {
		return oracleOps(ops, values)
	}
	return oracleOps(map[string]any{"$eq": want}, values)
}

// oracleValues takes the field apart.
func oracleValues(x any, path []string) []any {
	list, ok := x.([]any)
	if !ok {
		list = []any{x}
	}
	var values []any
	for _, element := range list {
		switch object, isObject := element.(map[string]any); {
		case len(path) == 0 && element != nil:
			values = append(values, element)
		case len(path) > 0 && isObject:
			if below, there := object[path[0]]; there {
				values = append(values, oracleValues(below, path[1:])...)
			}
		}
	}
	return values
}

func oracleOps(ops map[string]any, values []any) bool {
	for op, want := range ops {
		if !oracleOp(op, want, values) {
			return false
		}
	}
	return true
}

func oracleOp(op string, want any, values []any) bool {
	some := func(test func(sign int) bool) bool {
		return slices.ContainsFunc(values, func(v any) bool {
			sign, ok := oracleCompare(v, want)
			return ok && test(sign)
		})
	}
	switch op {
	case "$eq":
		if want == nil {
			return len(values) == 0
		}
		return some(func(sign int) bool { return sign == 0 })
	case "$in":
		return slices.ContainsFunc(want.([]any), func(w any) bool { return oracleOp("$eq", w, values) })
	case "$ne":
		return !oracleOp("$eq", want, values)
	case "$nin":
		return !oracleOp("$in", want, values)
	case "$not":
		return !oracleOps(want.(map[string]any), values)
	case "$exists":
		return want == (len(values) > 0)
	case "$gt":
		return some(func(sign int) bool { return sign > 0 })
	case "$gte":
		return some(func(sign int) bool { return sign >= 0 })
	case "$lt":
		return some(func(sign int) bool { return sign < 0 })
	case "$lte":
		return some(func(sign int) bool { return sign <= 0 })
	}
	panic("no operation " + op)
}

func oracleCompare(a, b any) (sign int, ok bool) {
	switch b := b.(type) {
	case bool:
		return map[bool]int{false: 1}[a == b], a == b
	case string:
		a, ok := a.(string)
		return strings.Compare(a, b), ok
	case json.Number:
		a, ok := a.(json.Number)
		if !ok {
			return 0, false
		}
		x, y := fraction(a), fraction(b)
		if x == nil || y == nil {
			return 0, false
		}
		return x.Cmp(y), true
	}
	return 0, false
}

// fraction is the number that the doc comment says n is, or nil.
func fraction(n json.Number) *big.Rat {
	if whole, ok := new(big.Int).SetString(string(n), 10); ok && (whole.IsInt64() || whole.IsUint64()) {
		return new(big.Rat).SetInt(whole)
	}
	x, err := strconv.ParseFloat(string(n), 64)
	if err != nil {
		return nil
	}
	return new(big.Rat).SetFloat64(x)
}

func agrees(t *testing.T, filter, meta []byte) {
	t.Helper()
	f, err := search.ParseFilter(filter)
	if err != nil {
		t.Fatalf("ParseFilter(%s): %v", filter, err)
	}
	decodedFilter, _ := decode(filter)
	decodedMeta, ok := decode(meta)
	if _, object := decodedMeta.(map[string]any); !ok || !object {
		decodedMeta = nil
	}
	if got, want := f.Match(meta), oracle(decodedFilter, decodedMeta); got != want {
		t.Fatalf("%s on %s: %v, the oracle says %v", filter, meta, got, want)
	}
	if again := roundTrip(t, f); again.Match(meta) != f.Match(meta) {
		t.Fatalf("%s on %s: another answer after a round trip", filter, meta)
	}
}

// gen makes filters and metadata from so few names and values that they meet.
type gen struct{ *rand.Rand }

func (g gen) one(from ...string) string { return from[g.IntN(len(from))] }

func (g gen) scalar() string {
	return g.one("0", "1", "-1", "1.0", "2.5", "-2.5", "1e2", "100", "9007199254740992", "9007199254740993", "9007199254740993.0",
		"9223372036854775807", "9223372036854775808", "9223372036854775807.0", "-9223372036854775808", "18446744073709551615",
		"18446744073709551616", "1e19", "1e300", `"a"`, `"b"`, `"A"`, `""`, `"\u0061"`, `"\""`, `"\ud83d\ude00"`, `"\uffff"`, "true", "false", "null")
}

func (g gen) value(depth int) string {
	switch n := g.IntN(8); {
	case n == 0 && depth > 0:
		return g.object(depth - 1)
	case n <= 2 && depth > 0:
		items := make([]string, g.IntN(4))
		for i := range items {
			items[i] = g.value(depth - 1)
		}
		return "[" + strings.Join(items, " ,") + "]"
	case n == 3:
		return g.one("1e400", "-1e400", "1e-400")
	}
	return g.scalar()
}

func (g gen) object(depth int) string {
	members := make([]string, g.IntN(4))
	for i := range members {
		members[i] = g.one(`"a"`, `"b"`, `"\u0061"`, `"a.b"`, `"c d"`) + g.one(":", " : ") + g.value(depth)
	}
	return "{" + strings.Join(members, ", ") + "}"
}

func (g gen) filter(depth int) string {
	if depth > 0 && g.IntN(3) == 0 {
		terms := make([]string, 1+g.IntN(3))
		for i := range terms {
			terms[i] = g.filter(depth - 1)
		}
		return g.one(`{"$not":`+terms[0]+`}`, `{"$and":[`+strings.Join(terms, ",")+`]}`, `{"$or":[`+strings.Join(terms, ",")+`]}`)
	}
	field := g.one("a", "b", "a.b", "a.a", "c d", "a.b.a")
	if g.IntN(3) == 0 {
		return fmt.Sprintf(`{%q:%s,"other":{"$exists":false}}`, field, g.scalar())
	}
	return fmt.Sprintf(`{%q:%s}`, field, g.operations())
}

func (g gen) operations() string {
	switch g.IntN(5) {
	case 0:
		return fmt.Sprintf(`{%q:[%s]}`, g.one("$in", "$nin"), strings.Join(g.scalars(12), ","))
	case 1:
		return fmt.Sprintf(`{"$exists":%s}`, g.one("true", "false"))
	case 2:
		return fmt.Sprintf(`{%q:%s}`, g.one("$eq", "$ne"), g.scalar())
	case 3:
		return fmt.Sprintf(`{"$not":%s}`, g.operations())
	}
	bound := g.scalar()
	for strings.Contains("true false null", bound) {
		bound = g.scalar()
	}
	return fmt.Sprintf(`{%q:%s}`, g.one("$gt", "$gte", "$lt", "$lte"), bound)
}

func (g gen) scalars(most int) []string {
	list := make([]string, g.IntN(most))
	for i := range list {
		list[i] = g.scalar()
	}
	return list
}

func TestFilter_agreesWithOracle(t *testing.T) {
	g := gen{rand.New(rand.NewPCG(1, 2))}
	held := 0
	for range 10_000 {
		filter, meta := []byte(g.filter(3)), []byte(g.object(3))
		agrees(t, filter, meta)
		if parse(t, string(filter)).Match(meta) {
			held++
		}
	}
	if held < 2_000 || held > 8_000 {
		t.Errorf("%d of 10,000 conditions hold: the generator is lopsided", held)
	}
}

func FuzzFilter(f *testing.F) {
	for _, row := range truth {
		for _, meta := range append(row.yes, row.no...) {
			f.Add([]byte(row.filter), []byte(meta))
		}
	}
	f.Fuzz(func(t *testing.T, filter, meta []byte) {
		parsed, err := search.ParseFilter(filter)
		if err != nil {
			return
		}
		if !json.Valid(meta) || !utf8.Valid(meta) {
			parsed.Match(meta)
			return
		}
		if len(bytes.TrimSpace(filter)) > 0 {
			agrees(t, filter, meta)
		}
	})
}
