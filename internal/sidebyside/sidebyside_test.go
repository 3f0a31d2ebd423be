package sidebyside_test

import (
	"testing"

	"github.com/lanewise/lanewise/internal/sidebyside"
)

func TestMedians_runsTheWaysInTurn(t *testing.T) {
	var order []byte
	result := testing.Benchmark(func(b *testing.B) {
		b.Helper()
		order = order[:0]
		got := sidebyside.Medians(b,
			sidebyside.Way{Name: "a", Do: func() { order = append(order, 'a') }},
			sidebyside.Way{Name: "b", Do: func() { order = append(order, 'b') }})
		if len(got) != 2 {
			t.Errorf("got %d medians", len(got))
		}
	})
	for i, c := range order {
		if c != "abba"[i%4] {
			t.Fatalf("call %d is %c", i, c)
		}
	}
	if _, ok := result.Extra["b-p50-us"]; !ok {
		t.Errorf("reported %v", result.Extra)
	}
}

func TestAllocsEach(t *testing.T) {
	var keep [][]byte
	make10 := func(n int) func() {
		return func() {
			keep = keep[:0]
			for range n {
				keep = append(keep, make([]byte, 100))
			}
		}
	}
	if got := sidebyside.AllocsEach(10, make10(5), make10(15)); got != 1 {
		t.Errorf("got %v allocations each, want 1", got)
	}
}
