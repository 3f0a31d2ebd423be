package search_test

import (
	"slices"
	"testing"

	"github.com/lanewise/lanewise/search"
)

func TestKey_compareOrdersByTenantThenID(t *testing.T) {
	sorted := []search.Key{
		{}, {ID: "B"}, {ID: "a"}, {ID: "aa"}, {ID: "é"}, {Tenant: "t"}, {Tenant: "t", ID: "a"}, {Tenant: "u", ID: "A"},
	}
	for i, a := range sorted {
		for j, b := range sorted {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%v to %v: %d, want %d", a, b, got, want)
			}
		}
	}
	shuffled := []search.Key{sorted[5], sorted[1], sorted[7], sorted[0], sorted[3], sorted[6], sorted[2], sorted[4]}
	slices.SortFunc(shuffled, search.Key.Compare)
	if !slices.Equal(shuffled, sorted) {
		t.Errorf("sorted: %v", shuffled)
	}
}
