package router_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

func upsert(t *testing.T, r *router.Router, collection, tenant string, points ...search.Point) router.Ack {
	t.Helper()
	ack, err := r.Upsert(t.Context(), router.Upsert{Collection: collection, Tenant: tenant, Points: points})
	if err != nil {
		t.Fatal(err)
	}
	return ack
}

func point(id string, v ...float32) search.Point {
	return search.Point{Key: search.Key{ID: id}, Dense: v}
}

func numbered(n int) []search.Point {
	points := make([]search.Point, n)
	for i := range points {
		points[i] = point(fmt.Sprintf("p%03d", i), float32(i), 1)
		points[i].Meta = json.RawMessage(fmt.Sprintf(`{"n": %d, "even": %v}`, i, i%2 == 0))
	}
	return points
}

// stored lists the ids that a store holds.
func stored(t *testing.T, s search.Store, collection string) []string {
	t.Helper()
	page, err := s.Scroll(t.Context(), search.Scan{Collection: collection, AllTenants: true, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, p := range page.Points {
		ids = append(ids, p.ID)
	}
	return ids
}

func TestUpsert_putsEachPointOnEveryReplicaOfOneShard(t *testing.T) {
	shards := grid(t, 3, 2)
	r := newRouter(t, router.Config{}, shards...)
	ack := upsert(t, r, "docs", "", numbered(100)...)
	if ack.Written != 100 || ack.Version == 0 {
		t.Fatalf("ack %+v", ack)
	}
	total := 0
	for i, replicas := range shards {
		ids := stored(t, replicas[0], "docs")
		if diff := cmp.Diff(ids, stored(t, replicas[1], "docs")); diff != "" {
			t.Errorf("shard %d, replicas differ: %s", i, diff)
		}
		total += len(ids)
	}
	if total != 100 {
		t.Errorf("%d points stored, want 100", total)
	}
}

func TestUpsert_isNotAcknowledgedWithoutEveryReplica(t *testing.T) {
	full := &fake{write: func(_ context.Context, b search.Batch) (search.Written, error) {
		if b.Create != nil {
			return search.Written{}, nil
		}
		return search.Written{}, fault.New(fault.Unavailable, "disk full")
	}}
	r := newRouter(t, router.Config{}, []search.Store{after(0), full})
	_, err := r.Upsert(t.Context(), router.Upsert{Collection: "docs", Points: []search.Point{point("a", 1, 1)}})
	var we *router.WriteError
	if !errors.As(err, &we) || fault.Of(err) != fault.Unavailable {
		t.Fatalf("err %v", err)
	}
	if diff := cmp.Diff(map[string][]string{"a": {"s0/r0"}}, we.Points); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(err.Error(), "disk full") || !slices.Equal(we.IDs(), []string{"a"}) {
		t.Errorf("err %v, ids %v", err, we.IDs())
	}
}

func TestUpsert_endsWithTheDeadlineAlthoughAReplicaHangs(t *testing.T) {
	release := make(chan struct{})
	hung := &fake{write: func(_ context.Context, b search.Batch) (search.Written, error) {
		if b.Create == nil {
			<-release // whatever the context says
		}
		return search.Written{}, nil
	}}
	r := newRouter(t, router.Config{}, []search.Store{hung})
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.Upsert(ctx, router.Upsert{Collection: "docs", Points: []search.Point{point("a", 1, 1)}})
	if !errors.Is(err, fault.Unavailable) {
		t.Fatalf("err %v", err)
	}
}

func TestUpsert_movesPastVersionsFoundOnReplicas(t *testing.T) {
	stores := locals(t, 1)
	r := newRouter(t, router.Config{}, stores)
	future := search.Version(1) << 63
	p := point("a", 1, 1)
	p.Version = future
	if _, err := stores[0].Write(t.Context(), search.Batch{Collection: "docs", Upserts: []search.Point{p}}); err != nil {
		t.Fatal(err)
	}
	ack := upsert(t, r, "docs", "", point("a", 2, 2))
	got, err := r.Get(t.Context(), "docs", []search.Key{{ID: "a"}}, search.Fields{Vector: true})
	if err != nil || ack.Version <= future || len(got) != 1 || got[0].Dense[0] != 2 {
		t.Fatalf("version %d, points %v, err %v", ack.Version, got, err)
	}
}

func TestUpsert_embedsTexts(t *testing.T) {
	r := newRouter(t, router.Config{Embedders: []embed.Provider{letters{}}}, grid(t, 2, 1)...)
	c := create(t, r, search.Collection{Name: "texts"})
	if c.Dims != 8 || c.Space != (letters{}).Space().ID() {
		t.Fatalf("collection %+v", c)
	}
	upsert(t, r, "texts", "",
		search.Point{Key: search.Key{ID: "x"}, Text: "aaab"}, search.Point{Key: search.Key{ID: "y"}, Text: "hhh"})
	res, err := r.Retrieve(t.Context(), router.Request{Collection: "texts", Text: "a", K: 1, Fields: search.Fields{Text: true}})
	if err != nil || len(res.Hits) != 1 || res.Hits[0].ID != "x" || res.Hits[0].Text != "aaab" {
		t.Fatalf("hits %+v, err %v", res.Hits, err)
	}
}

func TestUpsert_refusesBadPointsAndWritesNothing(t *testing.T) {
	stores := locals(t, 1)
	r := newRouter(t, router.Config{}, stores)
	bad := map[string]search.Point{
		"/points/1/id":       point("", 1, 1),
		"/points/1/vector":   point("a", 1),
		"/points/1":          {Key: search.Key{ID: "a"}},
		"/points/1/metadata": {Key: search.Key{ID: "a"}, Dense: []float32{1, 1}, Meta: json.RawMessage(`[1]`)},
		"/text":              {Key: search.Key{ID: "a"}, Text: "no embedder"},
	}
	for field, p := range bad {
		_, err := r.Upsert(t.Context(), router.Upsert{Collection: "docs", Points: []search.Point{point("ok", 1, 1), p}})
		if fault.Of(err) != fault.Invalid || fault.Field(err) != field {
			t.Errorf("%s: err %v of field %q", field, err, fault.Field(err))
		}
	}
	long := point(strings.Repeat("x", 513), 1, 1)
	if _, err := r.Upsert(t.Context(), router.Upsert{Collection: "docs", Points: []search.Point{long}}); fault.Field(err) != "/points/0/id" {
		t.Errorf("long id: err %v", err)
	}
	if ids := stored(t, stores[0], "docs"); len(ids) != 0 {
		t.Errorf("stored %v", ids)
	}
}

func TestUpsert_underPlacementByKeyMovesPoints(t *testing.T) {
	shards := grid(t, 4, 1)
	r := newRouter(t, router.Config{}, shards...)
	create(t, r, search.Collection{Name: "keyed", Dims: 2, Placement: search.Placement{By: search.ByKey, Key: "city"}})
	for _, city := range []string{"Oslo", "Rome", "Lima", "Bonn", "Kyiv"} {
		p := point("a", 1, 1)
		p.Meta = json.RawMessage(`{"city": "` + city + `"}`)
		upsert(t, r, "keyed", "", p)
		n, err := r.Count(t.Context(), "keyed", "", search.Filter{})
		if err != nil || n != 1 {
			t.Fatalf("after %s: %d points, err %v", city, n, err)
		}
	}
	if _, err := r.Delete(t.Context(), router.Delete{Collection: "keyed", IDs: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Count(t.Context(), "keyed", "", search.Filter{}); err != nil || n != 0 {
		t.Fatalf("after the delete: %d points, err %v", n, err)
	}
}

func TestDelete_byIDAndByFilter(t *testing.T) {
	r := newRouter(t, router.Config{}, grid(t, 3, 2)...)
	upsert(t, r, "docs", "", numbered(100)...)
	even, err := search.ParseFilter([]byte(`{"even": true}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		d    router.Delete
		want int
	}{
		{router.Delete{IDs: []string{"p001", "p003"}}, 98},
		{router.Delete{Filter: even}, 48},
	} {
		step.d.Collection = "docs"
		if _, err := r.Delete(t.Context(), step.d); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Count(t.Context(), "docs", "", search.Filter{}); err != nil || n != step.want {
			t.Fatalf("%d points left, want %d, err %v", n, step.want, err)
		}
	}
	if _, err := r.Delete(t.Context(), router.Delete{Collection: "docs"}); fault.Field(err) != "/filter" {
		t.Errorf("neither ids nor filter: err %v", err)
	}
}

func TestScroll_walksAllShardsInKeyOrder(t *testing.T) {
	r := newRouter(t, router.Config{}, grid(t, 4, 2)...)
	points := numbered(137)
	upsert(t, r, "docs", "", points...)
	for _, limit := range []int{1, 10, 137, 500} {
		var got []string
		scan := search.Scan{Collection: "docs", Limit: limit}
		for {
			page, err := r.Scroll(t.Context(), scan)
			if err != nil || len(page.Points) > limit {
				t.Fatalf("%d points, err %v", len(page.Points), err)
			}
			for _, p := range page.Points {
				got = append(got, p.ID)
			}
			if !page.More {
				break
			}
			scan.After = page.Points[len(page.Points)-1].Key
		}
		if len(got) != len(points) || !slices.IsSorted(got) {
			t.Fatalf("limit %d: %d points, sorted %v", limit, len(got), slices.IsSorted(got))
		}
	}
}

func TestGet_keepsTheOrderOfTheKeys(t *testing.T) {
	r := newRouter(t, router.Config{}, grid(t, 4, 1)...)
	upsert(t, r, "docs", "", numbered(20)...)
	keys := []search.Key{{ID: "p007"}, {ID: "nope"}, {ID: "p001"}, {ID: "p019"}}
	points, err := r.Get(t.Context(), "docs", keys, search.Fields{Meta: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range points {
		got = append(got, p.ID)
	}
	if diff := cmp.Diff([]string{"p007", "p001", "p019"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTenants_seeOnlyTheirOwn(t *testing.T) {
	r := newRouter(t, router.Config{}, grid(t, 4, 1)...)
	create(t, r, search.Collection{Name: "tenants", Dims: 2, Placement: search.Placement{By: search.ByTenant}})
	for _, tenant := range []string{"ann", "bob"} {
		upsert(t, r, "tenants", tenant, point("same", 1, 1), point("only-"+tenant, 1, 0))
	}
	res, err := r.Retrieve(t.Context(), router.Request{Collection: "tenants", Tenant: "ann", Vector: []float32{1, 1}})
	if err != nil || len(res.Hits) != 2 || res.Report.ShardsAsked != 1 {
		t.Fatalf("hits %v, report %+v, err %v", res.Hits, res.Report, err)
	}
	for _, h := range res.Hits {
		if h.Tenant != "ann" || h.ID == "only-bob" {
			t.Errorf("foreign hit %v", h.Key)
		}
	}
	if _, err := r.Delete(t.Context(), router.Delete{Collection: "tenants", IDs: []string{"same"}}); fault.Field(err) != "/tenant" {
		t.Errorf("delete without a tenant: err %v", err)
	}
	if _, err := r.Get(t.Context(), "tenants", []search.Key{{ID: "same"}}, search.Fields{}); fault.Field(err) != "/tenant" {
		t.Errorf("get without a tenant: err %v", err)
	}
}

func TestCollections_createDropAlias(t *testing.T) {
	r := newRouter(t, router.Config{}, grid(t, 2, 1)...)
	upsert(t, r, "docs", "", numbered(5)...)
	if _, err := r.CreateCollection(t.Context(), search.Collection{Name: "docs", Dims: 3}); fault.Of(err) != fault.Conflict {
		t.Errorf("other dims: err %v", err)
	}
	if err := r.SetAlias("live", "docs"); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Count(t.Context(), "live", "", search.Filter{}); err != nil || n != 5 {
		t.Errorf("through the alias: %d points, err %v", n, err)
	}
	if err := r.DropCollection(t.Context(), "live"); fault.Of(err) != fault.Invalid {
		t.Errorf("dropped by its alias: err %v", err)
	}
	if err := r.DropCollection(t.Context(), "docs"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"docs", "live"} {
		if _, err := r.Count(t.Context(), name, "", search.Filter{}); fault.Of(err) != fault.NotFound {
			t.Errorf("%s after the drop: err %v", name, err)
		}
	}
}

func TestRouter_standsBehindARouter(t *testing.T) {
	leaf := newRouter(t, router.Config{}, grid(t, 3, 1)...)
	top := newRouter(t, router.Config{}, []search.Store{leaf})
	flat := newRouter(t, router.Config{}, grid(t, 1, 1)...)
	for _, r := range []*router.Router{top, flat} {
		upsert(t, r, "docs", "", numbered(200)...)
	}
	q := router.Request{Collection: "docs", Vector: []float32{1, 3}, K: 20}
	if diff := cmp.Diff(ranking(t, flat, q), ranking(t, top, q)); diff != "" {
		t.Error(diff)
	}
}

// Under placement by key the places of an id may differ within one batch.
func TestUpsert_sameIDTwiceInABatch(t *testing.T) {
	r := newRouter(t, router.Config{}, grid(t, 4, 1)...)
	create(t, r, search.Collection{Name: "keyed", Dims: 1, Placement: search.Placement{By: search.ByKey, Key: "file"}})
	var points []search.Point
	for i := range 50 {
		p := point(fmt.Sprint(i%5), float32(i))
		p.Meta = json.RawMessage(fmt.Sprintf(`{"file": %d}`, i))
		points = append(points, p)
	}
	if ack := upsert(t, r, "keyed", "", points...); ack.Written != 50 {
		t.Errorf("ack %+v", ack)
	}
	page, err := r.Scroll(t.Context(), search.Scan{Collection: "keyed", Limit: 100, Fields: search.Fields{Vector: true}})
	if err != nil || len(page.Points) != 5 || page.Points[0].Dense[0] != 45 {
		t.Errorf("%+v %v: want the last of each id", page.Points, err)
	}
}
