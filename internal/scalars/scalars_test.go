package scalars

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/lanewise/lanewise/fault"
)

func ExampleEqual() {
	for _, x := range []any{true, int64(2020), 2020.5, "go", nil} {
		token, ok := Equal(x)
		fmt.Println(token, ok)
	}
	// Output:
	// t true
	// n23fcbfc80000000000000 true
	// n23fcbfc90000000000000 true
	// sgo true
	//  false
}

func TestNumberToken_keepsTheOrderOfNumbers(t *testing.T) {
	numbers := []any{
		int64(0), int64(1), int64(-1), int64(math.MaxInt64), int64(math.MinInt64), uint64(math.MaxUint64), uint64(1 << 63),
		int64(1<<53 + 1), int64(1 << 53), 0.5, -0.5, 1e300, -1e300, 5e-324, -5e-324, math.MaxFloat64, 2.5, 1e19,
	}
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // reproducible on purpose
	for range 120 {
		numbers = append(numbers, int64(rng.Uint64()), rng.Uint64()|1<<63) //nolint:gosec // any bits
		if x := math.Float64frombits(rng.Uint64()); !math.IsNaN(x) && !math.IsInf(x, 0) {
			numbers = append(numbers, x)
		}
	}
	for _, a := range numbers {
		for _, b := range numbers {
			if got, want := cmp.Compare(numberToken(a), numberToken(b)), precise(a).Cmp(precise(b)); got != want {
				t.Fatalf("%v and %v compare as %d, their tokens as %d", a, b, want, got)
			}
		}
	}
}

func precise(x any) *big.Float {
	f := new(big.Float).SetPrec(2200)
	switch x := x.(type) {
	case int64:
		return f.SetInt64(x)
	case uint64:
		return f.SetUint64(x)
	default:
		return f.SetFloat64(x.(float64)) //nolint:forcetypeassert // the third kind
	}
}

func TestPrefix_cutsBehindARune(t *testing.T) {
	for _, s := range []string{strings.Repeat("a", 300), strings.Repeat("é", 200), strings.Repeat("日", 100), "a" + strings.Repeat("🙂", 80)} {
		p := prefix(s)
		if !utf8.ValidString(p) || !strings.HasPrefix(s, p) || len(p) <= MostOrdered || len(p) > MostKept {
			t.Errorf("%q: a prefix of %d bytes, valid: %t", s[:4], len(p), utf8.ValidString(p))
		}
	}
}

func TestOrder_ofTexts(t *testing.T) {
	texts := []string{"", "a", "a\x00", "ab", "b", "é", "日", strings.Repeat("a", 300), strings.Repeat("a", 300) + "b"}
	for _, a := range texts {
		for _, b := range texts {
			x, _ := Order(a)
			y, _ := Order(b)
			if len(b) <= MostOrdered && cmp.Compare(x, y) != cmp.Compare(a, b) {
				t.Errorf("%.9q and %.9q compare as %d, their tokens as %d", a, b, cmp.Compare(a, b), cmp.Compare(x, y))
			}
			x, _ = Equal(a)
			if y, _ = Equal(b); (x == y) != (a == b) {
				t.Errorf("%.9q and %.9q: equal tokens: %t", a, b, x == y)
			}
		}
	}
}

func TestEach_takesMetadataApartAsAFilterDoes(t *testing.T) {
	for meta, want := range map[string][]string{
		``: nil, `{}`: nil, `{"a":null,"b":[]}`: nil, `{"a.b":1}`: nil,
		`{"a":1.0}`:                     {"a=1"},
		`{"a":[1,"x",null,[2],1e400]}`:  {"a=1", "a=<nil>", "a=<nil>", "a=x"},
		`{"a":{"b":true}}`:              {"a.b=true", "a=<nil>"},
		`{"a":[{"b":2},{"b":["x",1]}]}`: {"a.b=1", "a.b=2", "a.b=x", "a=<nil>", "a=<nil>"},
		`{"a":1,"a":"x"}`:               {"a=x"},
	} {
		var got []string
		whole, err := Each(json.RawMessage(meta), func(path string, value any) bool {
			got = append(got, fmt.Sprintf("%s=%v", path, value))
			return true
		})
		slices.Sort(got)
		if !whole || err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %t, %v, want %v", meta, got, whole, err, want)
		}
	}
	if whole, err := Each(json.RawMessage(`{"a":1,"b":2}`), func(string, any) bool { return false }); whole || err != nil {
		t.Errorf("stopped: got %t, %v", whole, err)
	}
	for _, meta := range []string{`[1]`, `"x"`, `null`, `{"a":`} {
		if _, err := Each(json.RawMessage(meta), func(string, any) bool { return true }); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v, want invalid", meta, err)
		}
	}
}
