package local_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/search"
)

// digests returns what Stats says and what follows from the points.
func digests(t *testing.T, s *local.Store) (told, counted uint64) {
	t.Helper()
	stats, err := s.Stats(t.Context(), "docs")
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.Scroll(t.Context(), search.Scan{Collection: "docs", AllTenants: true, Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Points) != stats[0].Points {
		t.Errorf("%d points, and the statistics say %d", len(page.Points), stats[0].Points)
	}
	for _, p := range page.Points {
		counted += search.Digest(p.Key, p.Version)
	}
	return stats[0].Digest, counted
}

// The digest that is kept with every write is that of the points, also after
// overwriting, deleting, stale writes, packing and opening again.
func TestStats_digestIsThatOfThePoints(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	write(t, s, search.Batch{Create: &search.Collection{Name: "docs", Dims: 1, Metric: search.Dot}})
	rng := rand.New(rand.NewPCG(1, 1))
	for round := range 60 {
		b := search.Batch{Collection: "docs"}
		for range 100 {
			k := search.Key{Tenant: []string{"", "t", "u"}[rng.IntN(3)], ID: fmt.Sprint(rng.IntN(60))}
			v := search.Version(100*round + rng.IntN(150))
			if rng.IntN(4) == 0 {
				b.Deletes = append(b.Deletes, search.Tombstone{Key: k, Version: v})
			} else {
				b.Upserts = append(b.Upserts, search.Point{Key: k, Version: v, Dense: []float32{1}})
			}
		}
		write(t, s, b)
		if told, counted := digests(t, s); told != counted {
			t.Fatalf("round %d: digest %#x, want %#x", round, told, counted)
		}
	}
	before, _ := digests(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if after, counted := digests(t, open(t, dir)); after != before || after != counted || after == 0 {
		t.Errorf("opened again: digest %#x, was %#x, counted %#x", after, before, counted)
	}
}
