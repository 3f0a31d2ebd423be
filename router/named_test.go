package router_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// namedOnly is a store that writes down which points it was asked for by name.
type namedOnly struct {
	search.Store
	mu    sync.Mutex
	asked []search.Key
	calls int
	old   bool // it has not heard of Query.Complete
}

func (s *namedOnly) Search(ctx context.Context, q search.Query) (search.Result, error) {
	s.mu.Lock()
	s.calls++
	for _, l := range q.Legs {
		s.asked = append(s.asked, l.Only...)
	}
	s.mu.Unlock()
	q.Complete = q.Complete && !s.old
	return s.Store.Search(ctx, q)
}

// A leg that names points is asked of their owners, each for its own, and of nobody else.
func TestSearch_namedPointsAreAskedOfTheirOwners(t *testing.T) {
	stores, shards := make([]*namedOnly, 4), make([][]search.Store, 4)
	for i, s := range locals(t, 4) {
		stores[i] = &namedOnly{Store: s}
		shards[i] = []search.Store{stores[i]}
	}
	r := newRouter(t, router.Config{}, shards...)
	var points []search.Point
	for i := range 40 {
		points = append(points, search.Point{Key: search.Key{ID: fmt.Sprint(i)}, Dense: []float32{float32(i), 1}})
	}
	upsert(t, r, "docs", "", points...)
	ask := func(keys ...search.Key) []search.Hit {
		res, err := r.Search(t.Context(), search.Query{
			Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 0}, K: 40, Exact: true, Only: keys}},
		})
		if err != nil || !res.Report.Complete || res.Report.ShardsAnswered != 4 {
			t.Fatalf("got %+v, %v", res.Report, err)
		}
		return res.Lists[0].Hits
	}
	for i := range points { // each alone
		if hits := ask(points[i].Key); len(hits) != 1 || hits[0].Key != points[i].Key {
			t.Fatalf("got %+v for %v", hits, points[i].Key)
		}
	}
	calls := 0
	for _, s := range stores {
		calls += s.calls
		if s.calls != len(s.asked) || s.calls == 0 {
			t.Errorf("a shard was asked %d times for %d points", s.calls, len(s.asked))
		}
	}
	if calls != len(points) {
		t.Errorf("%d questions for %d points", calls, len(points))
	}
	var all []search.Key
	for i := range points {
		all = append(all, points[i].Key)
	}
	if hits := ask(all...); len(hits) != 40 || hits[0].ID != "39" || hits[39].ID != "0" {
		t.Errorf("got %d hits", len(hits))
	}
	if hits := ask([]search.Key{}...); len(hits) != 0 {
		t.Errorf("an empty list ranks nothing, got %d", len(hits))
	}
}

// The scores that a fusion needs come with the candidates; only those of shards that do not know of that are
// asked for, and the answer is the same.
func TestRetrieve_scoresAreCompletedAtOnce(t *testing.T) {
	points := scattered(300, 8)
	q := router.Request{Collection: "vecs", K: 10, Legs: []router.Leg{{Vector: points[1].Dense}, {Vector: points[2].Dense}}}
	var want []search.Hit
	for _, old := range []int{0, 1, 4} {
		stores, shards := make([]*namedOnly, 4), make([][]search.Store, 4)
		for i, s := range locals(t, 4) {
			stores[i] = &namedOnly{Store: s, old: i < old}
			shards[i] = []search.Store{stores[i]}
		}
		r := newRouter(t, router.Config{}, shards...)
		create(t, r, search.Collection{Name: "vecs", Dims: 8})
		upsert(t, r, "vecs", "", points...)
		res := retrieve(t, r, q)
		named := 0
		for i, s := range stores {
			if named += len(s.asked); i >= old && len(s.asked) > 0 {
				t.Errorf("shard %d has completed its scores and was asked again for %d points", i, len(s.asked))
			}
		}
		if rows := res.Report.RowsAsked + res.Report.RowsSaved; (named > 0) != (old > 0) || rows != 2*4*50+named && res.Report.Refills == 0 {
			t.Errorf("%d old shards: %d points were asked for by name, the report has %d rows", old, named, rows)
		}
		for i := range res.Hits {
			res.Hits[i].Version = 0 // each router stamps its own
		}
		if want == nil {
			want = res.Hits
		}
		if diff := cmp.Diff(want, res.Hits); diff != "" {
			t.Errorf("%d old shards: %s", old, diff)
		}
	}
}
