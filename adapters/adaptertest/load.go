package adaptertest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/lanewise/lanewise/search"
)

var loadChecks = []check{ //nolint:gochecknoglobals // a constant table
	{name: "64 callers at once", run: loadCallers},
	{name: "a search sees all of a batch or nothing", conditional: true, run: loadSnapshot},
	{name: "answers of many rows", run: loadRows},
}

func loadCallers(b *bench) {
	const callers, rounds = 64, 5
	b.create(docs, 4, search.Cosine)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for r := range rounds {
				b.callerRound(i, r)
			}
		})
	}
	wg.Wait()
	if n, err := b.store.Count(b.Context(), docs, "", search.Filter{}); n != callers*rounds/5*4 || err != nil {
		b.Errorf("count is %d (%v), want %d", n, err, callers*rounds/5*4)
	}
}

// callerRound writes a point, finds it again and, in the last round, deletes it.
func (b *bench) callerRound(caller, round int) {
	p := search.Point{
		Key: search.Key{ID: fmt.Sprintf("%d-%d", caller, round)}, Version: 1, Dense: query(uint64(caller*100+round), 4), //nolint:gosec // small
		Text: fmt.Sprintf("text of %d", caller),
	}
	if _, err := b.store.Write(b.Context(), search.Batch{Collection: docs, Upserts: []search.Point{p}}); err != nil {
		b.Errorf("write: %v", err)
		return
	}
	res, err := b.store.Search(b.Context(), search.Query{
		Collection: docs, Legs: []search.Leg{{Dense: p.Dense, K: 1, Exact: true}}, Fields: search.Fields{Text: true},
	})
	if err != nil || len(res.Lists[0].Hits) != 1 {
		b.Errorf("search: %+v, %v", res, err)
		return
	}
	if h := res.Lists[0].Hits[0]; b.Tolerance == 0 && (h.ID != p.ID || h.Text != p.Text) {
		b.Errorf("searched for the vector of %q, got %q with %q", p.ID, h.ID, h.Text)
	}
	if round == 4 {
		marks := []search.Tombstone{{Key: p.Key, Version: 2}}
		if _, err := b.store.Write(b.Context(), search.Batch{Collection: docs, Deletes: marks}); err != nil {
			b.Errorf("delete: %v", err)
		}
	}
}

// loadSnapshot writes pairs, and pairs must be seen.
func loadSnapshot(b *bench) {
	b.create(docs, 2, search.Dot)
	pair := func(v search.Version) []search.Point {
		text := fmt.Sprint(v)
		return []search.Point{
			{Key: search.Key{ID: "left"}, Version: v, Dense: []float32{float32(v), 0}, Text: text},
			{Key: search.Key{ID: "right"}, Version: v, Dense: []float32{float32(v), 0}, Text: text},
		}
	}
	b.put(docs, pair(1)...)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					b.seesPair()
				}
			}
		})
	}
	for v := search.Version(2); v < 100; v++ {
		b.put(docs, pair(v)...)
	}
	close(done)
	wg.Wait()
}

func (b *bench) seesPair() {
	res, err := b.store.Search(b.Context(), search.Query{
		Collection: docs, Legs: []search.Leg{{Dense: []float32{1, 1}, K: 5}}, Fields: search.Fields{Text: true},
	})
	if err != nil {
		b.Errorf("search: %v", err)
		return
	}
	h := res.Lists[0].Hits
	if len(h) != 2 || h[0].Version != h[1].Version || h[0].Text != h[1].Text || h[0].Score != h[1].Score {
		b.Errorf("a torn answer: %+v", h)
	}
}

func loadRows(b *bench) {
	rows := 10_000
	if testing.Short() {
		rows = 1_000
	}
	points := vectors(11, rows, 8)
	b.create(docs, 8, search.Euclidean)
	for from := 0; from < rows; from += 500 {
		b.put(docs, points[from:from+500]...)
	}
	b.compare(search.Euclidean, points, search.Query{
		Collection: docs, Legs: []search.Leg{{Dense: query(1, 8), K: rows, Exact: true}}, Fields: search.Fields{Text: true},
	}, 0)
}
