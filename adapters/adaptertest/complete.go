package adaptertest

import (
	"math"

	"github.com/lanewise/lanewise/search"
)

// completed holds the scores that hits bring along from other legs (Query.Complete) against asking those
// legs for the points by name. A store need not bring any.
func completed(b *bench) {
	b.lexical()
	b.createLexical()
	b.put(docs, worded(9, 120, 1)...) // of which every fifth has a dense vector
	q := search.Query{Collection: docs, Complete: true, Legs: []search.Leg{
		{Sparse: words(0, 1, 2), K: 30}, {Dense: []float32{1, 0}, K: 12, Exact: true}, {Sparse: words(5), K: 5},
	}}
	brought := 0
	for i, list := range b.search(q) {
		for _, h := range list.Hits {
			if len(h.Legs) > 0 {
				brought++
				b.compareLegs(q, i, h)
			}
		}
	}
	if brought == 0 {
		b.Skip("not applicable: the store does not complete scores (Query.Complete)")
	}
	q.Complete = false
	for _, list := range b.search(q) {
		for _, h := range list.Hits {
			if len(h.Legs) > 0 {
				b.Fatalf("nobody asked %s for its scores in other legs: %v", h.ID, h.Legs)
			}
		}
	}
}

// compareLegs asks every leg for a hit of one of them.
func (b *bench) compareLegs(q search.Query, of int, h search.Hit) {
	b.Helper()
	given := map[int]float64{}
	for _, s := range h.Legs {
		given[s.Leg] = s.Score
	}
	if own, ok := given[of]; !ok || own != h.Score || len(given) != len(h.Legs) {
		b.Fatalf("hit %s of leg %d has the score %v and brings %v", h.ID, of, h.Score, h.Legs)
	}
	for i, leg := range q.Legs {
		leg.K, leg.Only, leg.Exact = 1, []search.Key{h.Key}, true
		want := b.search(search.Query{Collection: q.Collection, Legs: []search.Leg{leg}})[0].Hits
		got, ok := given[i]
		if ok != (len(want) == 1) || ok && math.Abs(got-want[0].Score) > b.Tolerance {
			b.Fatalf("hit %s of leg %d brings %v, leg %d gives %+v", h.ID, of, h.Legs, i, want)
		}
	}
}
