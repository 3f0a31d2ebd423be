package router_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// limited is a store that declares what it can do.
type limited struct {
	*fake
	can search.Capabilities
}

func (l limited) Capabilities() search.Capabilities { return l.can }

func TestRetrieve_refusesWhatAReplicaCannotAnswer(t *testing.T) {
	r := newRouter(t, router.Config{}, []search.Store{
		after(0, hit("a", 1)),
		limited{after(0, hit("a", 1)), search.Capabilities{Engine: "x", MaxK: 20, LacksOps: []search.Op{search.Exists}}},
	})
	with := func(change func(*router.Request)) router.Request {
		q := byVector
		change(&q)
		return q
	}
	there, err := search.ParseFilter([]byte(`{"a": {"$exists": true}}`))
	if err != nil {
		t.Fatal(err)
	}
	for field, q := range map[string]router.Request{
		"/k":      with(func(q *router.Request) { q.K = 21 }),
		"/exact":  with(func(q *router.Request) { q.Exact = true }),
		"/filter": with(func(q *router.Request) { q.Filter = there }),
	} {
		_, err := r.Retrieve(t.Context(), q)
		if fault.Of(err) != fault.Invalid || fault.Field(err) != field || !strings.Contains(err.Error(), "replica s0/r1") {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if res, err := r.Retrieve(t.Context(), with(func(q *router.Request) { q.K = 20 })); err != nil || len(res.Hits) != 1 {
		t.Errorf("within the limits: %v, %v", res.Hits, err)
	}
}

// What one replica cannot hold is written to none: they would differ from then on.
func TestUpsert_refusesWhatAReplicaCannotHold(t *testing.T) {
	var written atomic.Int64 // replicas are written to side by side
	count := func(context.Context, search.Batch) (search.Written, error) {
		written.Add(1)
		return search.Written{}, nil
	}
	r := newRouter(t, router.Config{}, []search.Store{
		&fake{write: count}, limited{&fake{write: count}, search.Capabilities{Engine: "x", MaxText: 5}},
	})
	before := written.Load()
	large := search.Point{Key: search.Key{ID: "a"}, Dense: []float32{1, 0}, Text: "longer"}
	_, err := r.Upsert(t.Context(), router.Upsert{Collection: "docs", Points: []search.Point{large}})
	if fault.Of(err) != fault.Invalid || fault.Field(err) != "/points/0/text" || !strings.Contains(err.Error(), "replica s0/r1") {
		t.Errorf("upsert: got %v", err)
	}
	_, err = r.Write(t.Context(), search.Batch{Collection: "docs", Upserts: []search.Point{large}})
	if fault.Of(err) != fault.Invalid || fault.Field(err) != "/upserts/0/text" {
		t.Errorf("write: got %v", err)
	}
	if n := written.Load() - before; n != 0 {
		t.Errorf("%d replicas got it", n)
	}
	large.Text = "short"
	_, err = r.Upsert(t.Context(), router.Upsert{Collection: "docs", Points: []search.Point{large}})
	if n := written.Load() - before; err != nil || n != 2 {
		t.Errorf("at the limit: %v, %d writes", err, n)
	}
}

// A vector that fits the map and not a replica is that replica's fault.
func TestSearch_anotherReplicaIsAskedWhereTheVectorDoesNotFitOne(t *testing.T) {
	for _, order := range []string{"first", "second"} {
		stores := []search.Store{failing(fault.BadField("/legs/0/dense", "has 2 dims, the collection has 3")), after(0, hit("a", 1))}
		if order == "second" {
			slices.Reverse(stores)
		}
		r := newRouter(t, router.Config{}, stores)
		for range 4 {
			if res, err := r.Retrieve(t.Context(), byVector); err != nil || len(res.Hits) != 1 {
				t.Errorf("the odd one %s: got %v, %v", order, res.Hits, err)
			}
		}
	}
}
