package router_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// town is a number of shards that can be served in different compositions, and what should be stored in them.
type town struct {
	t      *testing.T
	file   string
	stores map[string][]search.Store // by shard
	want   map[string]map[search.Key]float32
}

func newTown(t *testing.T, replicas int, shards ...string) *town {
	t.Helper()
	w := &town{t: t, file: filepath.Join(t.TempDir(), "map"), stores: map[string][]search.Store{}, want: map[string]map[search.Key]float32{}}
	for _, s := range shards {
		w.stores[s] = locals(t, replicas)
	}
	return w
}

func (w *town) shards(names ...string) []router.Shard {
	var out []router.Shard
	for _, name := range names {
		s := router.Shard{Name: name}
		for i, store := range w.stores[name] {
			s.Replicas = append(s.Replicas, router.Replica{Name: fmt.Sprintf("r%d", i), Store: store})
		}
		out = append(out, s)
	}
	return out
}

func (w *town) open(names ...string) *router.Router {
	w.t.Helper()
	r, err := router.New(router.Config{MapPath: w.file, Shards: w.shards(names...)})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// placements are the collections of a town.
func placements() map[string]search.Placement {
	return map[string]search.Placement{
		"ids": {By: search.ByID}, "tenants": {By: search.ByTenant}, "spread": {By: search.ByTenant, Spread: 2}, "keys": {By: search.ByKey, Key: "file"},
	}
}

// settle creates the collections and puts points into them.
func (w *town) settle(r *router.Router, n int) {
	w.t.Helper()
	rng := rand.New(rand.NewPCG(7, 7))
	for name, p := range placements() {
		create(w.t, r, search.Collection{Name: name, Dims: 1, Metric: search.Dot, Placement: p})
		w.want[name] = map[search.Key]float32{}
		for tenant := range tenantsOf(p) {
			var points []search.Point
			for range n {
				points = append(points, w.draw(rng, name, tenant))
			}
			upsert(w.t, r, name, tenant, points...)
		}
	}
}

func tenantsOf(p search.Placement) map[string]bool {
	if p.By != search.ByTenant {
		return map[string]bool{"": true}
	}
	return map[string]bool{"a": true, "b": true, "c": true, "d": true, "e": true}
}

// draw makes a point and notes it.
func (w *town) draw(rng *rand.Rand, name, tenant string) search.Point {
	p := search.Point{Key: search.Key{ID: fmt.Sprintf("p%d", rng.IntN(500))}, Dense: []float32{1 + rng.Float32()}}
	p.Meta = json.RawMessage(fmt.Sprintf(`{"file": "f%d"}`, rng.IntN(50)))
	w.want[name][search.Key{Tenant: tenant, ID: p.ID}] = p.Dense[0]
	return p
}

func (w *town) plan(r *router.Router, names ...string) []byte {
	w.t.Helper()
	p, err := r.PlanMove(w.t.Context(), w.shards(names...))
	if err != nil {
		w.t.Fatal(err)
	}
	data, err := json.Marshal(p)
	if err != nil {
		w.t.Fatal(err)
	}
	return data
}

// check compares searches, counts and scrolls of everything with what should be there.
func (w *town) check(r *router.Router) error {
	for name, want := range w.want {
		for tenant := range tenantsOf(placements()[name]) {
			if err := w.checkTenant(r, name, tenant, want); err != nil {
				return fmt.Errorf("collection %s, tenant %q: %w", name, tenant, err)
			}
		}
	}
	return nil
}

func (w *town) checkTenant(r *router.Router, name, tenant string, all map[search.Key]float32) error {
	want := map[string]float32{}
	for k, v := range all {
		if k.Tenant == tenant {
			want[k.ID] = v
		}
	}
	ctx := context.Background()
	res, err := r.Search(ctx, search.Query{Collection: name, Tenant: tenant, Legs: []search.Leg{{Dense: []float32{1}, K: 1000}}})
	if err != nil {
		return err
	}
	got := map[string]float32{}
	for _, h := range res.Lists[0].Hits {
		got[h.ID] = float32(h.Score)
	}
	if !maps.Equal(got, want) || len(res.Lists[0].Hits) != len(want) {
		return fmt.Errorf("a search finds %d hits of %d ids, want %d", len(res.Lists[0].Hits), len(got), len(want))
	}
	ten, err := r.Search(ctx, search.Query{Collection: name, Tenant: tenant, Legs: []search.Leg{{Dense: []float32{1}, K: 10}}})
	if err != nil {
		return err
	}
	if !slices.Equal(idsOf(ten.Lists[0].Hits), idsOf(res.Lists[0].Hits[:10])) {
		return errors.New("the ten best differ")
	}
	if n, err := r.Count(ctx, name, tenant, search.Filter{}); n != len(want) || err != nil {
		return fmt.Errorf("the count is %d, want %d: %w", n, len(want), err)
	}
	page, err := r.Scroll(ctx, search.Scan{Collection: name, Tenant: tenant, Limit: 1000})
	if err != nil || len(page.Points) != len(want) {
		return fmt.Errorf("a scroll finds %d points, want %d: %w", len(page.Points), len(want), err)
	}
	return nil
}

// clean checks that every point is on its shard and on no other.
func (w *town) clean(r *router.Router, names ...string) {
	w.t.Helper()
	for name, want := range w.want {
		n := 0
		for _, shard := range names {
			ids := map[int][]search.Key{}
			for i, store := range w.stores[shard] {
				page, err := store.Scroll(w.t.Context(), search.Scan{Collection: name, AllTenants: true, Limit: 10_000})
				if err != nil {
					w.t.Fatal(err)
				}
				for _, p := range page.Points {
					ids[i] = append(ids[i], p.Key)
				}
				if !slices.Equal(ids[i], ids[0]) {
					w.t.Errorf("collection %s: replicas of %s differ", name, shard)
				}
			}
			n += len(ids[0])
		}
		if n != len(want) {
			w.t.Errorf("collection %s: %d points on all shards, want %d", name, n, len(want))
		}
	}
	if got := readers(r); strings.Contains(got, "0") {
		w.t.Errorf("readers %s: %+v", got, r.Replicas())
	}
}
