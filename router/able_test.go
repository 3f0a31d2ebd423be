package router_test

import (
	"strings"
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
