package pgvector

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/search"
)

// A statement writes no row twice, keeps the order of a key's operations, and stays below
// what PostgreSQL takes.
func TestRounds(t *testing.T) {
	large := &search.Point{Text: strings.Repeat("x", largestStatement/3)}
	ops := func(list string) []operation {
		var out []operation
		for i, id := range strings.Fields(list) {
			o := operation{key: search.Key{ID: strings.TrimSuffix(id, "!")}, version: search.Version(i)} //nolint:gosec // small
			if strings.HasSuffix(id, "!") {
				o.point = large
			}
			out = append(out, o)
		}
		return out
	}
	for list, want := range map[string]string{
		"":                  "[]",
		"a":                 "[[a0]]",
		"a b c":             "[[a0 b1 c2]]",
		"a a b c c c":       "[[a0 b2 c3] [a1 c4] [c5]]",
		"a! b! c! d! e":     "[[a0 b1] [c2 d3 e4]]",
		"a! a! b! b! c! c!": "[[a0 b2] [c4] [a1 b3] [c5]]",
	} {
		got := [][]string{}
		for _, round := range rounds(ops(list)) {
			names := []string{}
			for _, o := range round {
				names = append(names, fmt.Sprint(o.key.ID, o.version))
			}
			got = append(got, names)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%q: got %v, want %s", list, got, want)
		}
	}
}
