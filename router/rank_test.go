package router_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// scattered makes n random points of a small space, with metadata.
func scattered(n, dims int) []search.Point {
	rng := rand.New(rand.NewPCG(3, uint64(n)))
	points := make([]search.Point, n)
	for i := range points {
		points[i] = point(fmt.Sprintf("p%04d", i), randomVector(rng, dims)...)
		points[i].Text = strings.Repeat("text ", 20)
		points[i].Meta = json.RawMessage(fmt.Sprintf(`{"file": "f%d"}`, i%7))
	}
	return points
}

func filled(t *testing.T, c router.Config, shards int, points []search.Point) *router.Router {
	t.Helper()
	r := newRouter(t, c, grid(t, shards, 1)...)
	create(t, r, search.Collection{Name: "vecs", Dims: len(points[0].Dense)})
	upsert(t, r, "vecs", "", points...)
	return r
}

func retrieve(t *testing.T, r *router.Router, q router.Request) router.Response {
	t.Helper()
	res, err := r.Retrieve(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func idsOf(hits []search.Hit) []string {
	ids := make([]string, len(hits))
	for i, h := range hits {
		ids[i] = h.ID
	}
	return ids
}

func TestRetrieve_asksForFewerRowsAndMissesNothing(t *testing.T) {
	points := scattered(2000, 8)
	one, many := filled(t, router.Config{}, 1, points), filled(t, router.Config{}, 16, points)
	rng := rand.New(rand.NewPCG(5, 6))
	refilled := 0
	for range 100 {
		q := router.Request{Collection: "vecs", Vector: randomVector(rng, 8), K: 100}
		want, got := retrieve(t, one, q), retrieve(t, many, q)
		if diff := cmp.Diff(idsOf(want.Hits), idsOf(got.Hits)); diff != "" {
			t.Fatal(diff)
		}
		if rep := got.Report; rep.RowsAsked > 100*16*22/100 && rep.Refills == 0 || rep.RowsSaved == 0 {
			t.Fatalf("asked for %d rows of %d, saved %d", rep.RowsAsked, 100*16, rep.RowsSaved)
		}
		refilled += min(1, got.Report.Refills)
	}
	if refilled > 5 {
		t.Errorf("%d of 100 queries were refilled", refilled)
	}
}

// clustered makes a collection whose best 100 points are all on one shard, and
// 300 others elsewhere: no list of the usual length certifies the best 80.
func clustered(t *testing.T, replicas int) *router.Router {
	t.Helper()
	r := newRouter(t, router.Config{}, grid(t, 8, replicas)...)
	create(t, r, search.Collection{Name: "keyed", Dims: 2, Placement: search.Placement{By: search.ByKey, Key: "file"}})
	points := scattered(400, 2)
	for i := range points {
		points[i].Dense = []float32{1, float32(i) / 100}
		points[i].Meta = json.RawMessage(fmt.Sprintf(`{"file": "f%d"}`, i/100))
	}
	upsert(t, r, "keyed", "", points...)
	return r
}

func TestRetrieve_refillsWhereOneShardHasItAll(t *testing.T) {
	res := retrieve(t, clustered(t, 1), router.Request{Collection: "keyed", Vector: []float32{1, 0}, K: 80})
	if !slices.Equal(idsOf(res.Hits), idsOf80()) {
		t.Errorf("got %v", idsOf(res.Hits))
	}
	if res.Report.Refills == 0 {
		t.Errorf("report %+v: nothing was refilled, so nothing was tested", res.Report)
	}
}

func TestRetrieve_refillsFromTheReplicaThatAnswered(t *testing.T) {
	r := clustered(t, 3)
	refills := 0
	for range 20 {
		res := retrieve(t, r, router.Request{Collection: "keyed", Vector: []float32{1, 0}, K: 80, Explain: true})
		refills += res.Report.Refills
		if res.Report.Hedges > 0 {
			continue // a hedge's replica may have won
		}
		replica := map[string]string{} // by shard
		for _, a := range res.Explain.Attempts {
			if first, ok := replica[a.Pool]; ok && a.Member != first {
				t.Fatalf("shard %s was asked at %s first and then at %s", a.Pool, first, a.Member)
			}
			replica[a.Pool] = a.Member
		}
	}
	if refills == 0 {
		t.Error("nothing was refilled, so nothing was tested")
	}
}

func idsOf80() []string {
	var ids []string
	for i := range 80 {
		ids = append(ids, fmt.Sprintf("p%04d", i))
	}
	return ids
}

func TestRetrieve_fusesLegs(t *testing.T) {
	points := scattered(300, 8)
	one, many := filled(t, router.Config{}, 1, points), filled(t, router.Config{}, 4, points)
	rng := rand.New(rand.NewPCG(7, 8))
	for _, method := range []merge.Method{merge.Completed, merge.RRF, merge.DBSF} {
		q := router.Request{Collection: "vecs", K: 10, Fusion: method, Legs: []router.Leg{
			{Vector: randomVector(rng, 8)}, {Vector: randomVector(rng, 8), Weight: 2},
		}}
		want, got := retrieve(t, one, q), retrieve(t, many, q)
		if diff := cmp.Diff(idsOf(want.Hits), idsOf(got.Hits)); diff != "" {
			t.Errorf("%s: %s", method, diff)
		}
		if len(got.Hits[0].Legs) == 0 {
			t.Errorf("%s: the hits do not tell their legs", method)
		}
	}
}

// A shard that ranks candidates and is gone when their scores are to be completed is missing from the answer.
func TestRetrieve_saysThatScoresAreNotComplete(t *testing.T) {
	ranking := func(down bool) *fake {
		return &fake{search: func(_ context.Context, q search.Query) (search.Result, error) {
			if q.Legs[0].Only != nil {
				if down {
					return search.Result{}, fault.New(fault.Unavailable, "gone")
				}
				return listsOf(q), nil
			}
			res := search.Result{}
			for leg := range q.Legs {
				list := search.List{Exhausted: true, Prefix: true}
				for i := range 20 { // each shard owns some of them
					list.Hits = append(list.Hits, hit(fmt.Sprintf("leg%d-%d", leg, i), 1))
				}
				res.Lists = append(res.Lists, list)
			}
			return res, nil
		}}
	}
	r := newRouter(t, router.Config{}, []search.Store{ranking(false)}, []search.Store{ranking(true)})
	q := router.Request{Collection: "docs", Legs: []router.Leg{{Vector: []float32{1, 0}}, {Vector: []float32{0, 1}}}}
	var partial *router.PartialError
	if _, err := r.Retrieve(t.Context(), q); !errors.As(err, &partial) {
		t.Fatalf("got %v, want a PartialError", err)
	}
	q.OnPartial = router.ReturnPartial
	rep := retrieve(t, r, q).Report
	if rep.Complete || rep.Coverage >= 1 || rep.ShardsAnswered != 1 || len(rep.Missing) != 1 || rep.Missing[0].Shard != "s1" {
		t.Errorf("the report does not name the shard that is missing: %+v", rep)
	}
	q.MinCoverage = 0.9
	if _, err := r.Retrieve(t.Context(), q); !errors.As(err, &partial) {
		t.Errorf("got %v for a coverage below the least acceptable", err)
	}
}

func TestRetrieve_searchesSeveralCollections(t *testing.T) {
	r := newRouter(t, router.Config{Embedders: []embed.Provider{letters{}}}, grid(t, 2, 1)...)
	for _, name := range []string{"left", "right"} {
		create(t, r, search.Collection{Name: name})
		upsert(t, r, name, "", search.Point{Key: search.Key{ID: "same"}, Text: "aab"}, search.Point{Key: search.Key{ID: name}, Text: "hh"})
	}
	res := retrieve(t, r, router.Request{Collection: "left", K: 2, Legs: []router.Leg{{Text: "aab"}, {Collection: "right", Text: "aab"}}})
	got := map[string]string{}
	for _, h := range res.Hits {
		got[h.Collection] = h.ID
	}
	if diff := cmp.Diff(map[string]string{"left": "same", "right": "same"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestRetrieve_groups(t *testing.T) {
	r := filled(t, router.Config{}, 4, scattered(500, 8))
	q := router.Request{Collection: "vecs", Vector: randomVector(rand.New(rand.NewPCG(9, 9)), 8), K: 14, Group: &router.Group{By: "file", Size: 2}}
	res := retrieve(t, r, q)
	if len(res.Hits) != 14 {
		t.Fatalf("%d hits: the groups were not filled up", len(res.Hits))
	}
	q.Fields.Meta, q.K = true, 10
	perFile := map[string]int{}
	for _, h := range retrieve(t, r, q).Hits {
		perFile[string(h.Meta)]++
	}
	for file, n := range perFile {
		if n > 2 {
			t.Errorf("%d hits of %s", n, file)
		}
	}
	if len(res.Hits[0].Meta) > 0 {
		t.Error("metadata that was not asked for is in the hits")
	}
}

func TestRetrieve_diversifies(t *testing.T) {
	points := []search.Point{point("a", 1, 0), point("a2", 1, 0.001), point("b", 0.8, 0.6)}
	r := filled(t, router.Config{}, 2, points)
	lambda := 0.3
	q := router.Request{Collection: "vecs", Vector: []float32{1, 0}, K: 2}
	if got := idsOf(retrieve(t, r, q).Hits); !slices.Equal(got, []string{"a", "a2"}) {
		t.Fatalf("plain: %v", got)
	}
	q.MMR = &lambda
	if got := idsOf(retrieve(t, r, q).Hits); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("diversified: %v", got)
	}
}

func TestRetrieve_pages(t *testing.T) {
	key := []byte("a key that two routers share")
	points := scattered(300, 8)
	r := filled(t, router.Config{CursorKey: key}, 4, points)
	q := router.Request{Collection: "vecs", Vector: points[0].Dense, K: 10, Cursor: new(string), Fields: search.Fields{Text: true}}
	whole := q
	whole.Cursor, whole.K = nil, 100
	want := idsOf(retrieve(t, r, whole).Hits)

	first := retrieve(t, r, q)
	got := idsOf(first.Hits)
	gone := want[15]
	if _, err := r.Delete(t.Context(), router.Delete{Collection: "vecs", IDs: []string{gone}}); err != nil {
		t.Fatal(err)
	}
	newcomer := point("new", points[0].Dense...)
	upsert(t, r, "vecs", "", newcomer)
	vanished := 0
	for next := first.NextCursor; next != ""; {
		page := retrieve(t, r, router.Request{Collection: "vecs", Cursor: &next, Fields: q.Fields})
		got = append(got, idsOf(page.Hits)...)
		vanished += page.Report.Vanished
		if len(page.Hits) > 0 && page.Hits[0].Text == "" {
			t.Fatal("a page lacks its payload")
		}
		next = page.NextCursor
	}
	if diff := cmp.Diff(slices.DeleteFunc(want, func(id string) bool { return id == gone }), got); diff != "" || vanished != 1 {
		t.Errorf("vanished %d, pages: %s", vanished, diff)
	}

	other := filled(t, router.Config{CursorKey: key}, 4, points)
	a := retrieve(t, r, router.Request{Collection: "vecs", Cursor: &first.NextCursor})
	b := retrieve(t, other, router.Request{Collection: "vecs", Cursor: &first.NextCursor})
	if len(a.Hits) == 0 || a.Hits[0].ID != b.Hits[0].ID {
		t.Error("another router with the same key shows another page")
	}
}

func TestRetrieve_refusesForeignCursors(t *testing.T) {
	points := scattered(100, 8)
	mine, theirs := filled(t, router.Config{}, 2, points), filled(t, router.Config{}, 2, points)
	open := router.Request{Collection: "vecs", Vector: points[0].Dense, K: 5, Cursor: new(string)}
	cursor := retrieve(t, mine, open).NextCursor
	tampered := cursor[:len(cursor)-2] + "AA"
	create(t, mine, search.Collection{Name: "other", Dims: 8})
	for name, c := range map[string]struct {
		r      *router.Router
		cursor string
		edit   func(*router.Request)
	}{
		"another key":        {theirs, cursor, nil},
		"tampered":           {mine, tampered, nil},
		"garbage":            {mine, "???", nil},
		"too long":           {mine, strings.Repeat("A", 70_000), nil},
		"another collection": {mine, cursor, func(q *router.Request) { q.Collection = "other" }},
		"another tenant":     {mine, cursor, func(q *router.Request) { q.Tenant = "eve" }},
	} {
		q := router.Request{Collection: "vecs", Cursor: &c.cursor}
		if c.edit != nil {
			c.edit(&q)
		}
		if _, err := c.r.Retrieve(t.Context(), q); fault.Of(err) != fault.Invalid || fault.Field(err) != "/cursor" {
			t.Errorf("%s: err %v", name, err)
		}
	}
}

func TestRetrieve_fetchesThePayloadInASecondPhase(t *testing.T) {
	points := scattered(2000, 8)
	for i := range points {
		points[i].Text = strings.Repeat("long ", 1000)
	}
	r := filled(t, router.Config{}, 16, points)
	q := router.Request{Collection: "vecs", Vector: points[0].Dense, K: 50, Fields: search.Fields{Text: true}, Explain: true}
	bare := q
	bare.Fields = search.Fields{}
	want := idsOf(retrieve(t, r, bare).Hits)
	for phase := range 2 { // the first answer teaches the size of the payload
		res := retrieve(t, r, q)
		if diff := cmp.Diff(want, idsOf(res.Hits)); diff != "" || res.Hits[49].Text == "" {
			t.Fatalf("phase %d: %s", phase, diff)
		}
		if twice := len(res.Explain.Attempts) > 16; twice != (phase == 1) {
			t.Errorf("answer %d took %d attempts", phase, len(res.Explain.Attempts))
		}
	}
}

func TestRetrieve_refusesBadRankings(t *testing.T) {
	r := filled(t, router.Config{}, 1, scattered(10, 8))
	v := scattered(1, 8)[0].Dense
	two := 2.0
	for field, q := range map[string]router.Request{
		"/legs":          {Vector: v, Legs: []router.Leg{{Vector: v}}},
		"/legs/1/vector": {Legs: []router.Leg{{Vector: v}, {Vector: v[:1]}}},
		"/legs/0/weight": {Legs: []router.Leg{{Vector: v, Weight: -1}}},
		"/fusion":        {Vector: v, Fusion: "sum"},
		"/mmr/lambda":    {Vector: v, MMR: &two},
		"/group/by":      {Vector: v, Group: &router.Group{}},
		"/group/size":    {Vector: v, Group: &router.Group{By: "x", Size: -1}},
		"/k":             {Vector: v, K: 1001, Cursor: new(string)},
	} {
		q.Collection = "vecs"
		if _, err := r.Retrieve(t.Context(), q); fault.Of(err) != fault.Invalid || fault.Field(err) != field {
			t.Errorf("%s: err %v of field %q", field, err, fault.Field(err))
		}
	}
}
