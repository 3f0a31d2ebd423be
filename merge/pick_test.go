package merge_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/search"
)

func ids(hits []search.Hit) []string {
	names := make([]string, len(hits))
	for i, h := range hits {
		names[i] = h.ID
	}
	return names
}

func TestAtLeast(t *testing.T) {
	list := search.List{Hits: scored("a", .9, "b", .5, "c", .1)}
	for _, c := range []struct {
		score float64
		want  int
		done  bool
	}{{0, 3, false}, {.1, 3, false}, {.5, 2, true}, {.6, 1, true}, {1, 0, true}, {math.NaN(), 0, true}} {
		if got := merge.AtLeast(list, c.score); len(got.Hits) != c.want || got.Exhausted != c.done {
			t.Errorf("%v: %d hits, exhausted %t, want %d, %t", c.score, len(got.Hits), got.Exhausted, c.want, c.done)
		}
	}
}

// inGroup gives hits a metadata field.
func inGroup(group string, hits ...search.Hit) []search.Hit {
	for i := range hits {
		hits[i].Meta = json.RawMessage(group)
	}
	return hits
}

func TestGroup(t *testing.T) {
	hits := slices.Concat(
		inGroup(`{"doc":{"n":1}}`, scored("a1", .9, "a2", .8, "a3", .7)...),
		inGroup(`{"doc":{"n":1.0}}`, scored("a4", .65)...), // the same number
		inGroup(`{"doc":{"n":"1"}}`, scored("b1", .6)...),
		inGroup(`{}`, scored("x", .5, "y", .4)...),
		inGroup(`{"doc":{"n":[1]}}`, scored("z", .3)...))
	for name, c := range map[string]struct {
		size, k   int
		exhausted bool
		want      []string
		short     bool
	}{
		"one of each":           {1, 4, false, []string{"a1", "b1", "x", "y"}, false},
		"two of each":           {2, 4, false, []string{"a1", "a2", "b1", "x"}, false},
		"more wanted than left": {1, 10, false, []string{"a1", "b1", "x", "y", "z"}, true},
		"nothing behind":        {1, 10, true, []string{"a1", "b1", "x", "y", "z"}, false},
		"just enough":           {1, 5, false, []string{"a1", "b1", "x", "y", "z"}, false},
	} {
		got, short := merge.Group(search.List{Hits: hits, Exhausted: c.exhausted}, "doc.n", c.size, c.k)
		if diff := cmp.Diff(c.want, ids(got)); diff != "" || short != c.short {
			t.Errorf("%s: short %t, -want +got:\n%s", name, short, diff)
		}
	}
}

func TestMMR_byHand(t *testing.T) {
	at := func(id string, degrees float64) search.Hit {
		h := hit(id, math.Cos(degrees*math.Pi/180))
		h.Dense = []float32{float32(math.Cos(degrees * math.Pi / 180)), float32(math.Sin(degrees * math.Pi / 180))}
		return h
	}
	hits := []search.Hit{at("a", 5), at("b", 6), at("c", -40), at("d", 80)}
	query := []float32{1, 0}
	for lambda, want := range map[float64][]string{
		1:  {"a", "b", "c"}, // relevance alone
		.5: {"a", "c", "b"}, // b is too much like a, d too far away
		0:  {"a", "d", "c"}, // after the first, only what is unlike
	} {
		if diff := cmp.Diff(want, ids(merge.MMR(3, lambda, query, hits))); diff != "" {
			t.Errorf("lambda %v: -want +got:\n%s", lambda, diff)
		}
	}
	if got := ids(merge.MMR(9, .5, nil, []search.Hit{hit("a", 3), hit("b", 2)})); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("without vectors: %v", got)
	}
	if got := merge.MMR(0, .5, nil, hits); len(got) != 0 {
		t.Errorf("k 0: %v", ids(got))
	}
}

// TestMMR_equalsTheDefinition recomputes every step from its formula.
func TestMMR_equalsTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		vector := func() []float32 {
			return []float32{float32(r.NormFloat64()), float32(r.NormFloat64()), float32(r.NormFloat64())}
		}
		query, lambda := vector(), rapid.Float64Range(0, 1).Draw(t, "lambda")
		var hits []search.Hit
		for i := range 1 + r.IntN(20) {
			h := hit(fmt.Sprint("h", i), 0)
			h.Dense = vector()
			hits = append(hits, h)
		}
		cos := func(a, b []float32) float64 {
			dot, aa, bb := 0.0, 0.0, 0.0
			for i := range a {
				dot, aa, bb = dot+float64(a[i])*float64(b[i]), aa+float64(a[i])*float64(a[i]), bb+float64(b[i])*float64(b[i])
			}
			return dot / math.Sqrt(aa*bb)
		}
		picked := merge.MMR(10, lambda, query, hits)
		for n, h := range picked {
			value := func(h search.Hit) float64 {
				worst := math.Inf(-1)
				for _, p := range picked[:n] {
					worst = max(worst, cos(h.Dense, p.Dense))
				}
				if n == 0 {
					return cos(query, h.Dense)
				}
				return lambda*cos(query, h.Dense) - (1-lambda)*worst
			}
			for _, other := range hits {
				if !slices.Contains(ids(picked[:n]), other.ID) && value(other) > value(h)+1e-9 {
					t.Fatalf("step %d took %s (%v), but %s has %v", n, h.ID, value(h), other.ID, value(other))
				}
			}
		}
	})
}
