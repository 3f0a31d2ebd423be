package router_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// changeling is letters until another model takes its name.
type changeling struct {
	letters
	changed, down atomic.Bool
	calls         atomic.Int64
}

func (c *changeling) Embed(ctx context.Context, b embed.Batch) (embed.Vectors, error) {
	c.calls.Add(1)
	if c.down.Load() {
		return embed.Vectors{}, fault.New(fault.Unavailable, "not yet up")
	}
	v, err := c.letters.Embed(ctx, b)
	if c.changed.Load() {
		for i := range v.Data {
			v.Data[i] = float32(i%3) - v.Data[i]
		}
	}
	return v, err
}

// canaryRun is a router over the map file and the store of a folder, with a lane
// over a model.
func canaryRun(t *testing.T, file string, store search.Store, model embed.Provider) (r *router.Router, end func()) {
	t.Helper()
	lane, err := embed.New(embed.Config{Upstreams: []embed.Upstream{{Name: "up", Provider: model}}, Watch: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	r = over(t, router.Config{MapPath: file, Embedders: []embed.Provider{lane}}, store)
	return r, func() {
		if err := errors.Join(r.Close(), lane.Close()); err != nil {
			t.Error(err)
		}
	}
}

// A model that is changed behind its name while the router is down is found out by
// the canary that is stored with the collection, before any text is embedded by it.
func TestCanary_findsAModelThatChangedBetweenTwoRuns(t *testing.T) {
	file, store, model := filepath.Join(t.TempDir(), "map"), locals(t, 1)[0], &changeling{}
	r, end := canaryRun(t, file, store, model)
	if _, err := r.CreateCollection(t.Context(), search.Collection{Name: "c"}); err != nil {
		t.Fatal(err)
	}
	end()
	if m, err := shardmap.Read(file); err != nil || len(m.Canary("letters-8-raw")) != 8 {
		t.Fatalf("nothing is stored: %v", err)
	}

	model.changed.Store(true)
	r, end = canaryRun(t, file, store, model)
	_, err := r.Retrieve(t.Context(), router.Request{Collection: "c", Text: "abc", K: 1})
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), `"up" embeds into another space than "letters-8-raw"`) {
		t.Errorf("a search: %v", err)
	}
	_, err = r.Upsert(t.Context(), router.Upsert{Collection: "c", Points: []search.Point{{Key: search.Key{ID: "1"}, Text: "abc"}}})
	if !errors.Is(err, fault.Unavailable) {
		t.Errorf("a write: %v", err)
	}
	end()

	model.changed.Store(false) // the right one is back
	r, end = canaryRun(t, file, store, model)
	defer end()
	if _, err := r.Retrieve(t.Context(), router.Request{Collection: "c", Text: "abc", K: 1}); err != nil {
		t.Errorf("with the right model: %v", err)
	}
}

// Where no upstream answered when the collection was made, its canary is stored
// once one does.
func TestCanary_isStoredWithTheFirstText(t *testing.T) {
	file, store, model := filepath.Join(t.TempDir(), "map"), locals(t, 1)[0], &changeling{}
	model.down.Store(true)
	r, end := canaryRun(t, file, store, model)
	if _, err := r.CreateCollection(t.Context(), search.Collection{Name: "c"}); err != nil {
		t.Fatal(err)
	}
	end()
	if m, err := shardmap.Read(file); err != nil || m.Canary("letters-8-raw") != nil {
		t.Fatalf("a canary without an upstream: %v, %v", m.Canary("letters-8-raw"), err)
	}
	model.down.Store(false)
	r, end = canaryRun(t, file, store, model)
	_, err := r.Upsert(t.Context(), router.Upsert{Collection: "c", Points: []search.Point{{Key: search.Key{ID: "1"}, Text: "abc"}}})
	if err != nil {
		t.Fatal(err)
	}
	end() // waits for what is under way
	if m, err := shardmap.Read(file); err != nil || m.Canary("letters-8-raw") == nil {
		t.Errorf("the canary is not stored after the first text: %v", err)
	}
}

// Raw vectors alone need no upstream, and no canary.
func TestCanary_noSpaceNoCall(t *testing.T) {
	file, model := filepath.Join(t.TempDir(), "map"), &changeling{}
	r, end := canaryRun(t, file, locals(t, 1)[0], model)
	defer end()
	if _, err := r.CreateCollection(t.Context(), search.Collection{Name: "raw", Dims: 3}); err != nil {
		t.Fatal(err)
	}
	if n := model.calls.Load(); n != 0 {
		t.Errorf("%d calls", n)
	}
}
