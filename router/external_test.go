package router_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// engine is a store with an external collection.
type engine struct {
	*fake
	has search.Collection
}

func (e engine) Stats(context.Context, string) ([]search.Stats, error) {
	return []search.Stats{{Collection: e.has, Points: 1}}, nil
}

func holding(dims int) engine {
	return engine{after(0, hit("a", 1)), search.Collection{Name: "theirs", Dims: dims, Metric: search.Dot, Placement: search.Placement{By: search.ByExternal}}}
}

// open opens a router over two shards of one engine each.
func openOver(t *testing.T, path string, a, b engine) (*router.Router, error) {
	t.Helper()
	return router.New(router.Config{MapPath: path, Shards: []router.Shard{
		{Name: "s0", Replicas: []router.Replica{{Name: "r0", Store: a}}}, {Name: "s1", Replicas: []router.Replica{{Name: "r0", Store: b}}},
	}})
}

func TestNew_adoptsExternalCollections(t *testing.T) {
	path := filepath.Join(t.TempDir(), "map")
	for _, dims := range []int{2, 3} { // the second time it was made anew
		r, err := openOver(t, path, holding(dims), holding(dims))
		if err != nil {
			t.Fatal(err)
		}
		if c, err := r.Collection("theirs"); err != nil || c.Dims != dims {
			t.Errorf("got %+v, %v, want %d dims", c, err, dims)
		}
		res, err := r.Retrieve(t.Context(), router.Request{Collection: "theirs", Vector: make([]float32, dims)})
		if err != nil || res.Report.ShardsAnswered != 2 || len(res.Hits) == 0 {
			t.Errorf("found %+v, %v", res, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openOver(t, path, holding(2), holding(3)); fault.Of(err) != fault.Conflict || !strings.Contains(err.Error(), "3 dims") {
		t.Errorf("two that differ: %v", err)
	}
}

func TestExternal_isOnlyRead(t *testing.T) {
	r, err := openOver(t, "", holding(2), holding(2))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // at the end of the test
	_, upsert := r.Upsert(t.Context(), router.Upsert{Collection: "theirs", Points: []search.Point{{Key: search.Key{ID: "a"}, Dense: []float32{1, 2}}}})
	_, create := r.CreateCollection(t.Context(), search.Collection{Name: "more", Dims: 2, Placement: search.Placement{By: search.ByExternal}})
	_, text := r.Retrieve(t.Context(), router.Request{Collection: "theirs", Text: "words"})
	for doing, err := range map[string]error{"upsert": upsert, "create": create, "drop": r.DropCollection(t.Context(), "theirs"), "text without a space": text} {
		if fault.Of(err) != fault.Invalid {
			t.Errorf("%s: %v", doing, err)
		}
	}
}
