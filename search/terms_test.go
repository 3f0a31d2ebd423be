package search_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

func TestTermStats_Add(t *testing.T) {
	var sum search.TermStats
	first := search.TermStats{Docs: 5, Counts: []uint64{5, 0, 2}}
	for _, s := range []search.TermStats{first, {Docs: 3, Counts: []uint64{1, 0, 3}}} {
		if err := sum.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(search.TermStats{Docs: 8, Counts: []uint64{6, 0, 5}}, sum); diff != "" {
		t.Error(diff)
	}
	if first.Counts[0] != 5 {
		t.Error("the sum writes into what was added")
	}
	if err := sum.Add(search.TermStats{Counts: []uint64{1}}); !errors.Is(err, fault.Unavailable) {
		t.Errorf("other terms: %v", err)
	}
}

func TestCollection_Accepts(t *testing.T) {
	plain := search.Collection{Name: "docs", Dims: 2, Metric: search.Dot}
	lexical := plain
	lexical.Lexical, lexical.AvgLen, lexical.Language = true, 80, "en"
	wider, german := lexical, lexical
	wider.Dims, german.Language = 3, "de"
	for _, c := range []struct {
		name       string
		have, want search.Collection
		accepts    bool
	}{
		{"the same", plain, plain, true},
		{"words added", plain, lexical, true},
		{"words taken away", lexical, plain, false},
		{"words added, and other dims", plain, wider, false},
		{"other settings of words", lexical, german, false},
	} {
		if got := c.have.Accepts(c.want); got != c.accepts {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
