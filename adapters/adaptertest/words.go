package adaptertest

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/exact"
	"github.com/lanewise/lanewise/search"
)

// wordChecks are about sparse vectors: the lexical legs of a store that declares them
// (Capabilities.Sparse), and what every store does with sparse vectors.
var wordChecks = []check{ //nolint:gochecknoglobals // a constant table
	{name: "sparse vectors come back as they were written", run: wordsKept},
	{name: "a collection may be given words later", run: wordsLater},
	{name: "sparse vectors out of order are refused", run: wordsRefused},
	{name: "a store without lexical legs says so", run: wordsLacking},
	{name: "lexical search equals brute force", run: wordsRanked},
	{name: "lexical search after updates and deletions", run: wordsChanged},
	{name: "lexical ties are cut by id", run: wordsTied},
	{name: "lexical lists are prefixes and say when they end", run: wordsPrefix},
	{name: "lexical legs beside dense ones", run: wordsBeside},
	{name: "lexical only ranks exactly these points", run: wordsOnly},
	{name: "hits bring the scores of other legs", run: completed},
	{name: "statistics of terms are exact", run: wordsCounted},
}

// lexical skips a test that needs lexical legs.
func (b *bench) lexical() search.TermCounter {
	b.Helper()
	if !b.can().Sparse {
		b.Skip("not applicable: the store has no lexical legs (Capabilities.Sparse)")
	}
	counter, ok := b.store.(search.TermCounter)
	if !ok {
		b.Fatal("the store declares lexical legs and is no search.TermCounter")
	}
	return counter
}

// createLexical makes the collection of these tests.
func (b *bench) createLexical() {
	b.Helper()
	b.write(search.Batch{Create: &search.Collection{Name: docs, Dims: 2, Metric: search.Dot, Lexical: true, AvgLen: 20}})
}

// worded makes points of words drawn from few, so that lists are long and scores tie:
// for every third word of the alphabet a term near the ends of uint32.
func worded(seed uint64, n int, v search.Version) []search.Point {
	rng := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // reproducible on purpose
	points := make([]search.Point, n)
	for i := range points {
		terms := map[uint32]float32{}
		for range 1 + rng.IntN(12) {
			terms[termAt(int(float64(40)*rng.Float64()*rng.Float64()))] += float32(1+rng.IntN(8)) / 4
		}
		points[i] = search.Point{
			Key: search.Key{ID: fmt.Sprintf("w%04d", (i*7919)%10000)}, Version: v, Sparse: sparse(terms),
			Meta: fmt.Appendf(nil, `{"n":%d,"odd":%t}`, i, i%2 == 1), Text: fmt.Sprint("text ", i),
		}
		if i%5 == 0 {
			points[i].Dense = []float32{float32(i), 1}
		}
	}
	return points
}

// termAt spreads small numbers over all dimensions.
func termAt(i int) uint32 {
	if i%3 == 0 {
		return math.MaxUint32 - uint32(i) //nolint:gosec // small
	}
	return uint32(i) * 2654435761 //nolint:gosec // small
}

func sparse(terms map[uint32]float32) (v search.Sparse) {
	for term := range terms {
		v.Index = append(v.Index, term)
	}
	slices.Sort(v.Index)
	for _, term := range v.Index {
		v.Value = append(v.Value, terms[term])
	}
	return v
}

// words makes a query of the terms at these places.
func words(places ...int) search.Sparse {
	terms := map[uint32]float32{}
	for _, i := range places {
		terms[termAt(i)] = 0.3 + float32(i)/7
	}
	return sparse(terms)
}

// recalled ranks the points that share a term with the leg.
func recalled(points []search.Point, q search.Query, leg search.Leg) (all []ranked) {
	for _, p := range points {
		if p.Tenant == q.Tenant && exact.Share(p.Sparse, leg.Sparse) && q.Filter.Match(p.Meta) && (leg.Only == nil || slices.Contains(leg.Only, p.Key)) {
			all = append(all, ranked{p.ID, exact.Sparse(leg.Sparse, p.Sparse)})
		}
	}
	slices.SortFunc(all, func(a, b ranked) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id)) })
	return all
}

// compareWords holds the legs of a lexical query to the brute force.
func (b *bench) compareWords(points []search.Point, q search.Query) {
	b.Helper()
	lists := b.search(q)
	for i, leg := range q.Legs {
		want, list := recalled(points, q, leg), lists[i]
		k := min(leg.K, len(want))
		if len(list.Hits) != k {
			b.Fatalf("leg %d of %v: got %d hits, want %d", i, leg.Sparse.Index, len(list.Hits), k)
		}
		if list.Exhausted && k < len(want) {
			b.Errorf("leg %d says that it is exhausted after %d of %d rows", i, k, len(want))
		}
		for j, h := range list.Hits {
			if math.Abs(h.Score-want[j].score) > b.Tolerance || math.Abs(h.Raw-h.Score) > b.Tolerance {
				b.Fatalf("leg %d, hit %d has the score %v (raw %v), want %v", i, j, h.Score, h.Raw, want[j].score)
			}
			if h.ID != want[j].id && !b.excused(h.ID, j, want) {
				b.Fatalf("leg %d, hit %d is %q, want %q (score %v)", i, j, h.ID, want[j].id, h.Score)
			}
		}
	}
}

func wordsKept(b *bench) {
	b.createLexical()
	p := search.Point{Key: search.Key{ID: "a"}, Version: 1, Sparse: search.Sparse{Index: []uint32{0, 7, math.MaxUint32}, Value: []float32{0.1, -2, 3}}}
	b.put(docs, p, at("bare", 1, 1))
	got := b.get(everything, p.Key, search.Key{ID: "bare"})
	if len(got) != 2 || gocmp.Diff(p.Sparse, got[0].Sparse) != "" || len(got[1].Sparse.Index) != 0 {
		b.Errorf("got %+v", got)
	}
	if got := b.get(search.Fields{Text: true}, p.Key); len(got) != 1 || len(got[0].Sparse.Index) != 0 {
		b.Errorf("without being asked for: got %+v", got)
	}
}

func wordsLater(b *bench) {
	c := search.Collection{Name: docs, Dims: 2, Metric: search.Dot, Placement: search.Placement{By: search.ByID}}
	b.write(search.Batch{Create: &c})
	b.put(docs, at("a", 1, 1))
	c.Lexical, c.AvgLen, c.Language = true, 80, "en"
	b.write(search.Batch{Create: &c})
	b.write(search.Batch{Create: &c})
	stats, err := b.store.Stats(b.Context(), docs)
	if err != nil || len(stats) != 1 || stats[0].Collection != c || stats[0].Points != 1 {
		b.Errorf("got %+v, %v, want %+v and its point", stats, err, c)
	}
	other := c
	other.AvgLen = 90
	if _, err := b.store.Write(b.Context(), search.Batch{Create: &other}); !errors.Is(err, fault.Conflict) {
		b.Errorf("other settings: got %v, want a conflict", err)
	}
}

func wordsRefused(b *bench) {
	b.createLexical()
	nan := float32(math.NaN())
	for name, v := range map[string]search.Sparse{
		"repeated": {Index: []uint32{1, 1}, Value: []float32{1, 1}},
		"unsorted": {Index: []uint32{2, 1}, Value: []float32{1, 1}},
		"half":     {Index: []uint32{1}},
		"NaN":      {Index: []uint32{1}, Value: []float32{nan}},
		"infinite": {Index: []uint32{1}, Value: []float32{float32(math.Inf(1))}},
	} {
		_, err := b.store.Write(b.Context(), search.Batch{Collection: docs, Upserts: []search.Point{{Key: search.Key{ID: "a"}, Version: 1, Sparse: v}}})
		if !errors.Is(err, fault.Invalid) {
			b.Errorf("%s in a point: got %v, want invalid", name, err)
		}
		for _, only := range [][]search.Key{nil, {{ID: "a"}}} {
			_, err = b.store.Search(b.Context(), search.Query{Collection: docs, Legs: []search.Leg{{Sparse: v, K: 1, Only: only}}})
			if !errors.Is(err, fault.Invalid) {
				b.Errorf("%s in a query (only %v): got %v, want invalid", name, only, err)
			}
		}
	}
	_, err := b.store.Search(b.Context(), search.Query{Collection: docs, Legs: []search.Leg{{Sparse: words(1), Dense: []float32{1, 1}, K: 1}}})
	if !errors.Is(err, fault.Invalid) {
		b.Errorf("two vectors in a leg: got %v, want invalid", err)
	}
}

func wordsLacking(b *bench) {
	if b.can().Sparse {
		b.Skip("not applicable: the store has lexical legs")
	}
	b.createLexical()
	b.put(docs, worded(1, 10, 1)...)
	_, err := b.store.Search(b.Context(), search.Query{Collection: docs, Legs: []search.Leg{{Sparse: words(0, 1), K: 1}}})
	b.refuses("a lexical leg", err, "sparse")
	if counter, ok := b.store.(search.TermCounter); ok {
		if _, err := counter.TermStats(b.Context(), search.TermQuery{Collection: docs, Terms: []uint32{1}}); !errors.Is(err, fault.Invalid) {
			b.Errorf("statistics of terms: got %v, want invalid", err)
		}
	}
}

func wordsRanked(b *bench) {
	b.lexical()
	b.createLexical()
	points := worded(2, 400, 1)
	b.put(docs, points...)
	for _, v := range []search.Sparse{words(0), words(39), words(1, 2), words(0, 5, 38), words(3, 4, 5, 6, 7, 8, 9, 30, 31, 32), words(77)} {
		for _, k := range []int{1, 10, 400, 1000} {
			b.compareWords(points, search.Query{Collection: docs, Legs: []search.Leg{{Sparse: v, K: k}}})
		}
	}
	filter, err := search.ParseFilter([]byte(`{"odd":true,"n":{"$lt":200}}`))
	if err != nil {
		b.Fatal(err)
	}
	b.compareWords(points, search.Query{Collection: docs, Filter: filter, Legs: []search.Leg{{Sparse: words(0, 1, 2), K: 20}, {Sparse: words(5), K: 200}}})
}

func wordsChanged(b *bench) {
	b.lexical()
	b.createLexical()
	points := worded(3, 200, 1)
	for i := range points {
		points[i].Tenant = []string{"", "red"}[i%2]
	}
	b.put(docs, points...)
	changed := worded(4, 100, 2)
	for i := range changed {
		changed[i].Tenant = points[i].Tenant
		if i%10 == 3 {
			changed[i].Sparse = search.Sparse{} // has words no longer
		}
	}
	b.put(docs, changed...)
	copy(points, changed)
	var deletes []search.Tombstone
	for _, p := range points[150:] {
		deletes = append(deletes, search.Tombstone{Key: p.Key, Version: 3})
	}
	b.write(search.Batch{Collection: docs, Deletes: deletes})
	points = points[:150]
	for _, tenant := range []string{"", "red", "nobody"} {
		b.compareWords(points, search.Query{Collection: docs, Tenant: tenant, Legs: []search.Leg{{Sparse: words(0, 1, 2, 3), K: 30}, {Sparse: words(7), K: 500}}})
		b.countWords(points, tenant)
	}
}

func wordsTied(b *bench) {
	b.lexical()
	b.createLexical()
	var want []string
	for i := range 40 {
		id := fmt.Sprintf("t%02d", (i*17)%40)
		b.put(docs, search.Point{Key: search.Key{ID: id}, Version: 1, Sparse: words(1, i%3+2)})
		want = append(want, fmt.Sprintf("t%02d", i))
	}
	hits := b.search(search.Query{Collection: docs, Legs: []search.Leg{{Sparse: words(1), K: 7}}})[0].Hits
	var got []string
	for _, h := range hits {
		got = append(got, h.ID)
	}
	if diff := gocmp.Diff(want[:7], got); diff != "" && b.Tolerance == 0 {
		b.Error(diff)
	}
}

func wordsPrefix(b *bench) {
	b.lexical()
	b.createLexical()
	points := worded(5, 60, 1)
	b.put(docs, points...)
	at := func(k int) search.List {
		return b.search(search.Query{Collection: docs, Legs: []search.Leg{{Sparse: words(0, 1, 2), K: k}}})[0]
	}
	all := len(recalled(points, search.Query{}, search.Leg{Sparse: words(0, 1, 2)}))
	long, full, short := at(all+5), at(all), at(all-3)
	if !long.Exhausted || b.Tolerance == 0 && !full.Exhausted || short.Exhausted {
		b.Errorf("of %d rows, a list of %d is exhausted: %t, of %d: %t, of %d: %t", all, all+5, long.Exhausted, all, full.Exhausted, all-3, short.Exhausted)
	}
	for i, h := range short.Hits {
		if short.Prefix && long.Hits[i].Key != h.Key && math.Abs(long.Hits[i].Score-h.Score) > b.Tolerance {
			b.Fatalf("row %d differs between two lists, though the shorter is said to be a prefix", i)
		}
	}
}

func wordsBeside(b *bench) {
	b.lexical()
	b.createLexical()
	points := worded(6, 100, 1)
	b.put(docs, points...)
	q := search.Query{Collection: docs, Fields: everything, Legs: []search.Leg{
		{Sparse: words(0, 1), K: 10}, {Dense: []float32{1, 0}, K: 5, Exact: true}, {Sparse: words(2), K: 5},
	}}
	lists := b.search(q)
	for i, h := range lists[1].Hits {
		if want := fmt.Sprintf("w%04d", (95-5*i)*7919%10000); h.ID != want || len(h.Dense) != 2 || len(h.Sparse.Index) == 0 {
			b.Errorf("dense hit %d is %+v, want %s with both vectors", i, h.Point, want)
		}
	}
	if h := lists[0].Hits[0]; len(h.Sparse.Index) == 0 || h.Text == "" || len(h.Meta) == 0 || h.Version != 1 {
		b.Errorf("the first lexical hit lacks fields: %+v", h)
	}
	q.Fields = search.Fields{}
	if h := b.search(q)[0].Hits[0]; len(h.Sparse.Index)+len(h.Text)+len(h.Meta) > 0 {
		b.Errorf("the first lexical hit has fields that nobody asked for: %+v", h)
	}
	q.Legs = []search.Leg{q.Legs[0], q.Legs[2]}
	b.compareWords(points, q)
}

func wordsOnly(b *bench) {
	b.lexical()
	b.createLexical()
	points := worded(7, 100, 1)
	b.put(docs, points...)
	leg := search.Leg{Sparse: words(0, 1, 9), K: 40, Only: []search.Key{}}
	for i := 3; i < 60; i += 2 {
		leg.Only = append(leg.Only, points[i].Key)
	}
	leg.Only = append(leg.Only, search.Key{ID: "nobody"}, search.Key{Tenant: "else", ID: points[1].ID})
	b.compareWords(points, search.Query{Collection: docs, Legs: []search.Leg{leg, {Sparse: leg.Sparse, K: 10}}})
	filter, err := search.ParseFilter([]byte(`{"n":{"$gte":20}}`))
	if err != nil {
		b.Fatal(err)
	}
	b.compareWords(points, search.Query{Collection: docs, Filter: filter, Legs: []search.Leg{leg}})
	leg.Only = []search.Key{}
	if got := b.search(search.Query{Collection: docs, Legs: []search.Leg{leg}})[0].Hits; len(got) != 0 {
		b.Errorf("only none of the points: got %d hits", len(got))
	}
}

// countWords compares the statistics of a tenant with a count.
func (b *bench) countWords(points []search.Point, tenant string) {
	b.Helper()
	q := search.TermQuery{Collection: docs, Tenant: tenant, Terms: []uint32{termAt(3), termAt(0), 123, termAt(1), termAt(0)}}
	want := search.TermStats{Counts: make([]uint64, len(q.Terms))}
	for _, p := range points {
		if p.Tenant != tenant || len(p.Sparse.Index) == 0 {
			continue
		}
		want.Docs++
		for i, term := range q.Terms {
			if _, found := slices.BinarySearch(p.Sparse.Index, term); found {
				want.Counts[i]++
			}
		}
	}
	got, err := b.lexical().TermStats(b.Context(), q)
	if diff := gocmp.Diff(want, got); err != nil || diff != "" {
		b.Errorf("tenant %q: %v %s", tenant, err, diff)
	}
}

func wordsCounted(b *bench) {
	counter := b.lexical()
	b.createLexical()
	points := append(worded(8, 150, 1), at("bare", 1, 1))
	b.put(docs, points...)
	b.countWords(points, "")
	b.countWords(points, "nobody")
	none, err := counter.TermStats(b.Context(), search.TermQuery{Collection: docs})
	if err != nil || none.Docs != 150 || len(none.Counts) != 0 {
		b.Errorf("of no terms: %+v, %v", none, err)
	}
	if _, err := counter.TermStats(b.Context(), search.TermQuery{Collection: "none", Terms: []uint32{1}}); !errors.Is(err, fault.NotFound) {
		b.Errorf("of no collection: got %v, want not found", err)
	}
}
