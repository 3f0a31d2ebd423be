package adaptertest

import (
	"fmt"
	"math"
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/search"
)

var rankChecks = []check{ //nolint:gochecknoglobals // a constant table
	{name: "search equals brute force on cosine", run: func(b *bench) { rankMetric(b, search.Cosine) }},
	{name: "search equals brute force on dot", run: func(b *bench) { rankMetric(b, search.Dot) }},
	{name: "search equals brute force on euclidean", run: func(b *bench) { rankMetric(b, search.Euclidean) }},
	{name: "ties are cut by id", run: rankTies},
	{name: "exhausted and prefix are true", run: rankPrefix},
	{name: "legs are answered in order", run: rankLegs},
	{name: "a leg may name its collection", run: rankOtherCollection},
	{name: "only ranks exactly these points", run: rankOnly},
	{name: "points without a vector are not ranked", run: rankBare},
	{name: "hits carry the fields that were asked for", run: rankFields},
	{name: "the same id in two tenants is two points", run: rankTenants},
}

func rankMetric(b *bench, m search.Metric) {
	const dims = 33 // not a multiple of any register
	points := vectors(1, 300, dims)
	b.create(docs, dims, m)
	b.put(docs, points...)
	for seed := range uint64(4) {
		for _, k := range []int{1, 10, 299, 300, 1000} {
			b.compare(m, points, search.Query{
				Collection: docs, Legs: []search.Leg{{Dense: query(seed, dims), K: k, Exact: true}},
			}, 0)
		}
	}
	// Asking for a point's own vector, and for the zero vector.
	for _, p := range points[:5] {
		b.compare(m, points, search.Query{
			Collection: docs, Legs: []search.Leg{{Dense: p.Dense, K: 10, Exact: true}},
		}, 0)
	}
}

func rankTies(b *bench) {
	b.create(docs, 2, search.Dot)
	var want []string
	for i := range 40 {
		id := fmt.Sprintf("t%02d", (i*17)%40)
		b.put(docs, search.Point{Key: search.Key{ID: id}, Version: 1, Dense: []float32{1, 0}})
		want = append(want, fmt.Sprintf("t%02d", i))
	}
	if b.Tolerance > 0 {
		return // an engine may cut ties as it likes
	}
	if diff := cmp.Diff(want[:7], b.ids("", []float32{3, 1}, 7)); diff != "" {
		b.Error(diff)
	}
}

func rankPrefix(b *bench) {
	points := vectors(2, 50, 8)
	b.create(docs, 8, search.Cosine)
	b.put(docs, points...)
	at := func(k int) search.List {
		return b.search(search.Query{Collection: docs, Legs: []search.Leg{{Dense: query(1, 8), K: k, Exact: true}}})[0]
	}
	long, short := at(60), at(20)
	if !long.Exhausted && b.Tolerance == 0 {
		b.Error("a list with every point does not say that it is exhausted")
	}
	if short.Exhausted {
		b.Error("a list with 20 of 50 points says that it is exhausted")
	}
	if full := at(50); b.Tolerance == 0 && !full.Exhausted {
		b.Error("a list of exactly every point does not say that it is exhausted")
	}
	if !short.Prefix {
		return
	}
	for i, h := range short.Hits {
		if long.Hits[i].Key != h.Key {
			b.Fatalf("row %d differs between k = 20 and k = 60, though the list is said to be a prefix", i)
		}
	}
}

func rankLegs(b *bench) {
	points := vectors(3, 200, 16)
	b.create(docs, 16, search.Euclidean)
	b.put(docs, points...)
	q := search.Query{Collection: docs}
	for i := range 5 {
		q.Legs = append(q.Legs, search.Leg{Dense: query(uint64(i), 16), K: 3 + 4*i, Exact: true}) //nolint:gosec // small
	}
	q.Legs = append(q.Legs, q.Legs[0])
	for i := range q.Legs {
		b.compare(search.Euclidean, points, q, i)
	}
}

func rankOtherCollection(b *bench) {
	b.create(docs, 2, search.Dot)
	b.create("notes", 3, search.Dot)
	b.put(docs, search.Point{Key: search.Key{ID: "d"}, Version: 1, Dense: []float32{1, 0}})
	b.put("notes", search.Point{Key: search.Key{ID: "n"}, Version: 1, Dense: []float32{1, 0, 2}})
	lists := b.search(search.Query{Collection: docs, Legs: []search.Leg{
		{Dense: []float32{1, 1}, K: 5},
		{Collection: "notes", Dense: []float32{1, 1, 1}, K: 5},
	}})
	var got []string
	for _, l := range lists {
		for _, h := range l.Hits {
			got = append(got, h.Collection+"/"+h.ID)
		}
	}
	if diff := cmp.Diff([]string{"docs/d", "notes/n"}, got); diff != "" {
		b.Error(diff)
	}
}

func rankOnly(b *bench) {
	points := vectors(4, 100, 8)
	b.create(docs, 8, search.Cosine)
	b.put(docs, points...)
	leg := search.Leg{Dense: query(9, 8), K: 10, Exact: true, Only: []search.Key{}}
	for i := 3; i < 30; i += 2 {
		leg.Only = append(leg.Only, points[i].Key)
	}
	leg.Only = append(leg.Only, search.Key{ID: "nobody"}, search.Key{Tenant: "else", ID: points[1].ID})
	q := search.Query{Collection: docs, Legs: []search.Leg{leg, {Dense: query(9, 8), K: 10, Exact: true}}}
	b.compare(search.Cosine, points, q, 0)
	b.compare(search.Cosine, points, q, 1)
	q.Legs[0].Only = []search.Key{}
	if got := b.search(q)[0].Hits; len(got) != 0 {
		b.Errorf("only none of the points: got %d hits", len(got))
	}
}

func rankBare(b *bench) {
	b.create(docs, 2, search.Dot)
	b.put(docs,
		search.Point{Key: search.Key{ID: "bare"}, Version: 1, Text: "no vector"},
		search.Point{Key: search.Key{ID: "dense"}, Version: 1, Dense: []float32{-1, -1}})
	if diff := cmp.Diff([]string{"dense"}, b.ids("", []float32{1, 1}, 5)); diff != "" {
		b.Error(diff)
	}
	if got := b.get(everything, search.Key{ID: "bare"}); len(got) != 1 || got[0].Text != "no vector" {
		b.Errorf("get: got %+v", got)
	}
}

func rankFields(b *bench) {
	p := search.Point{
		Key: search.Key{ID: "a"}, Version: 7, Dense: []float32{1, 2}, Text: "some text", Meta: []byte(`{"x":1}`),
	}
	b.create(docs, 2, search.Euclidean)
	b.put(docs, p)
	for _, f := range []search.Fields{{}, {Text: true}, {Meta: true}, {Vector: true}, everything} {
		hits := b.search(search.Query{Collection: docs, Fields: f, Legs: []search.Leg{{Dense: []float32{1, 2}, K: 1}}})[0].Hits
		if len(hits) != 1 {
			b.Fatalf("got %d hits", len(hits))
		}
		samePoint(b, only(p, f), hits[0].Point)
	}
}

// only returns the point with these fields and no others.
func only(p search.Point, f search.Fields) search.Point {
	if !f.Text {
		p.Text = ""
	}
	if !f.Meta {
		p.Meta = nil
	}
	if !f.Vector {
		p.Dense, p.Sparse = nil, search.Sparse{}
	}
	return p
}

// samePoint compares everything but the way in which metadata is written.
func samePoint(b *bench, want, got search.Point) {
	b.Helper()
	if (len(want.Meta) > 0 || len(got.Meta) > 0) && !sameJSON(want.Meta, got.Meta) {
		b.Errorf("%q: metadata is %s, want %s", want.ID, got.Meta, want.Meta)
	}
	if b.Unconditional {
		got.Version = want.Version
	}
	if want.Key != got.Key || want.Version != got.Version || want.Text != got.Text || !b.sameVector(want.Dense, got.Dense) {
		b.Errorf("got %+v, want %+v", got, want)
	}
}

// sameVector allows for an engine that keeps vectors at length 1.
func (b *bench) sameVector(want, got []float32) bool {
	margin := b.Tolerance * max(math.Sqrt(score(search.Dot, want, want)), 1)
	return slices.EqualFunc(want, got, func(x, y float32) bool { return math.Abs(float64(x)-float64(y)) <= margin })
}

func rankTenants(b *bench) {
	b.create(docs, 2, search.Cosine)
	b.put(docs,
		search.Point{Key: search.Key{Tenant: "red", ID: "a"}, Version: 1, Dense: []float32{1, 0}, Text: "red a"},
		search.Point{Key: search.Key{Tenant: "blue", ID: "a"}, Version: 1, Dense: []float32{0, 1}, Text: "blue a"},
		search.Point{Key: search.Key{Tenant: "blue", ID: "b"}, Version: 1, Dense: []float32{1, 1}},
		search.Point{Key: search.Key{ID: "a"}, Version: 1, Dense: []float32{1, 1}, Text: "nobody's a"})
	for tenant, want := range map[string][]string{"red": {"a"}, "blue": {"a", "b"}, "": {"a"}, "green": {}} {
		got := b.ids(tenant, []float32{0, 1}, 10)
		if diff := cmp.Diff(want, got); diff != "" {
			b.Errorf("tenant %q: %s", tenant, diff)
		}
	}
	b.write(search.Batch{Collection: docs, Deletes: []search.Tombstone{
		{Key: search.Key{Tenant: "red", ID: "a"}, Version: 2},
	}})
	left := b.get(everything, search.Key{Tenant: "red", ID: "a"}, search.Key{Tenant: "blue", ID: "a"}, search.Key{ID: "a"})
	if len(left) != 2 || left[0].Text != "blue a" || left[1].Text != "nobody's a" {
		b.Errorf("after the deletion of one: got %+v", left)
	}
}
