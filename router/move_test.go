package router_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanewise/lanewise/fault"
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

func TestApply_movesEverythingToItsShard(t *testing.T) {
	for _, c := range []struct {
		name     string
		old, now []string
	}{
		{"a shard joins", []string{"a", "b", "c"}, []string{"a", "b", "c", "d"}},
		{"a shard leaves", []string{"a", "b", "c", "d"}, []string{"a", "c", "d"}},
		{"one for another", []string{"a", "b"}, []string{"b", "c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newTown(t, 2, "a", "b", "c", "d")
			r := w.open(c.old...)
			defer func() { shut(t, r) }()
			w.settle(r, 300)
			plan := w.plan(r, c.now...)
			moved, err := r.Apply(t.Context(), router.Move{Plan: plan, Shards: w.shards(c.now...)})
			if err != nil || moved.Copied == 0 || moved.Already != 0 {
				t.Fatalf("%+v %v", moved, err)
			}
			var planned struct{ Points int64 }
			if err := json.Unmarshal(plan, &planned); err != nil || planned.Points != moved.Copied {
				t.Errorf("%d points were planned, %d moved (%v)", planned.Points, moved.Copied, err)
			}
			if err := w.check(r); err != nil {
				t.Error(err)
			}
			r.Compare(t.Context())
			w.clean(r, c.now...)
			again, err := r.Apply(t.Context(), router.Move{Plan: plan})
			if err != nil || again.Copied+again.Cleaned != 0 || again.Epoch != moved.Epoch {
				t.Errorf("a second time: %+v %v", again, err)
			}
			shut(t, r)
			if _, err := router.New(router.Config{MapPath: w.file, Shards: w.shards(c.old...)}); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "lanewise plan") || !strings.Contains(err.Error(), "lanewise apply") {
				t.Errorf("the old list is taken: %v", err)
			}
			r = w.open(c.now...)
			if err := w.check(r); err != nil {
				t.Error(err)
			}
		})
	}
}

// brittle is a store that breaks after some writes, and stays broken until it is mended.
type brittle struct {
	search.Store
	left atomic.Int64
}

func (b *brittle) Write(ctx context.Context, batch search.Batch) (search.Written, error) {
	if b.left.Add(-1) < 0 {
		return search.Written{}, fault.New(fault.Forbidden, "it broke") // not worth another attempt
	}
	return b.Store.Write(ctx, batch)
}

// Wherever a move breaks off, reads stay whole, writes go on, and the next attempt finishes it.
func TestApply_resumesWhereverItBrokeOff(t *testing.T) {
	w := newTown(t, 2, "a", "b", "c", "d")
	breaks := &brittle{Store: w.stores["d"][1]}
	sweeps := &brittle{Store: w.stores["b"][0]}
	breaks.left.Store(1 << 40)
	sweeps.left.Store(1 << 40)
	w.stores["d"][1], w.stores["b"][0] = breaks, sweeps
	r := w.open("a", "b", "c")
	w.settle(r, 300)
	now := []string{"a", "b", "d"}
	rng := rand.New(rand.NewPCG(3, 3))
	for round := range 30 {
		plan := w.plan(r, now...)
		breaks.left.Store(int64(round))
		sweeps.left.Store(int64(round / 2))
		_, err := r.Apply(t.Context(), router.Move{Plan: plan, Shards: w.shards(now...)})
		breaks.left.Store(1 << 40)
		sweeps.left.Store(1 << 40)
		if checkErr := w.check(r); checkErr != nil {
			t.Fatalf("round %d (%v): %v", round, err, checkErr)
		}
		if err == nil {
			t.Logf("finished in round %d", round)
			break
		}
		w.change(r, rng)
		names := []string{"a", "b", "c"}
		if r.Collections(); strings.Contains(err.Error(), "remove the old ones") {
			names = now
		}
		shut(t, r)
		r = w.open(names...)
		if err := w.check(r); err != nil {
			t.Fatalf("round %d, after a restart: %v", round, err)
		}
	}
	defer func() { shut(t, r) }()
	w.clean(r, now...)
	if _, err := os.Stat(w.file + ".move"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the note of the move is left: %v", err)
	}
}

// change writes and deletes some points.
func (w *town) change(r *router.Router, rng *rand.Rand) {
	w.t.Helper()
	for name, p := range placements() {
		for tenant := range tenantsOf(p) {
			upsert(w.t, r, name, tenant, w.draw(rng, name, tenant))
			for k := range w.want[name] {
				if k.Tenant == tenant && rng.IntN(40) == 0 {
					if _, err := r.Delete(w.t.Context(), router.Delete{Collection: name, Tenant: tenant, IDs: []string{k.ID}}); err != nil {
						w.t.Fatal(err)
					}
					delete(w.want[name], k)
				}
			}
		}
	}
}

// Reads are whole at every moment of a move, and writers who wait as they are told lose nothing.
func TestApply_whileServing(t *testing.T) {
	w := newTown(t, 2, "a", "b", "c", "d")
	holds := &held{Store: w.stores["d"][0], at: make(chan struct{}), free: make(chan struct{})}
	w.stores["d"][0] = holds
	r := w.open("a", "b", "c")
	defer func() { shut(t, r) }()
	w.settle(r, 300)
	plan := w.plan(r, "a", "b", "c", "d")
	stop := make(chan struct{})
	var readers, refused sync.WaitGroup
	var checks, refusals atomic.Int64
	var meanwhile sync.WaitGroup // a check and a refusal: the move waits for them
	meanwhile.Add(2)
	checked, told := sync.OnceFunc(meanwhile.Done), sync.OnceFunc(meanwhile.Done)
	go func() { <-holds.at; meanwhile.Wait(); close(holds.free) }()
	for range 2 {
		readers.Go(func() {
			defer checked()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := w.check(r); err != nil {
					t.Error(err)
					return
				}
				checks.Add(1)
				checked()
			}
		})
	}
	refused.Go(func() { // the same values again, with new versions: the readers' picture stays
		defer told()
		ids := slices.SortedFunc(maps.Keys(w.want["ids"]), search.Key.Compare)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			k := ids[i%len(ids)]
			_, err := r.Upsert(t.Context(), router.Upsert{Collection: "ids", Points: []search.Point{{Key: k, Dense: []float32{w.want["ids"][k]}}}})
			switch {
			case err == nil:
			case errors.Is(err, fault.Unavailable) && fault.RetryAfter(err) >= time.Second && strings.Contains(err.Error(), "to shard d"):
				refusals.Add(1)
				told()
			default:
				t.Errorf("%v", err)
				return
			}
		}
	})
	moved, err := r.Apply(t.Context(), router.Move{Plan: plan, Shards: w.shards("a", "b", "c", "d"), PerSecond: 1000})
	if err != nil {
		t.Error(err)
	}
	close(stop)
	readers.Wait()
	refused.Wait()
	t.Logf("%+v, %d checks, %d writes refused", moved, checks.Load(), refusals.Load())
	if checks.Load() == 0 || refusals.Load() == 0 {
		t.Error("too little went on meanwhile")
	}
	w.clean(r, "a", "b", "c", "d")
	if err := w.check(r); err != nil {
		t.Error(err)
	}
}

func TestApply_refuses(t *testing.T) {
	w := newTown(t, 1, "a", "b", "c")
	r := w.open("a", "b")
	defer func() { shut(t, r) }()
	w.settle(r, 50)
	plan := w.plan(r, "a", "b", "c")
	for name, c := range map[string]struct {
		move router.Move
		want error
	}{
		"no plan":          {router.Move{}, fault.Invalid},
		"no stores":        {router.Move{Plan: plan}, fault.Invalid},
		"an edited plan":   {router.Move{Plan: bytes.Replace(plan, []byte(`"weight":1`), []byte(`"weight":2`), 1), Shards: w.shards("c")}, fault.Conflict},
		"another map":      {router.Move{Plan: bytes.Replace(plan, []byte(`"placement":"`), []byte(`"placement":"0`), 1), Shards: w.shards("c")}, fault.Conflict},
		"not JSON at all":  {router.Move{Plan: []byte("plan")}, fault.Invalid},
		"a list of shards": {router.Move{Plan: []byte("[]")}, fault.Invalid},
	} {
		if _, err := r.Apply(t.Context(), c.move); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if err := w.check(r); err != nil {
		t.Error(err)
	}
	memory := newRouter(t, router.Config{}, grid(t, 1, 1)...)
	if _, err := memory.Apply(t.Context(), router.Move{Plan: plan}); !errors.Is(err, fault.Invalid) {
		t.Errorf("without a file: %v", err)
	}
}

// While points move, the map stands still.
func TestApply_mapStandsStill(t *testing.T) {
	w := newTown(t, 1, "a", "b")
	holds := &held{Store: w.stores["b"][0], at: make(chan struct{}), free: make(chan struct{})}
	w.stores["b"][0] = holds
	r := w.open("a")
	defer func() { shut(t, r) }()
	w.settle(r, 50)
	plan := w.plan(r, "a", "b")
	done := make(chan error)
	go func() {
		_, err := r.Apply(t.Context(), router.Move{Plan: plan, Shards: w.shards("b")})
		done <- err
	}()
	<-holds.at
	_, createErr := r.CreateCollection(t.Context(), search.Collection{Name: "new", Dims: 1})
	_, repairErr := r.Repair(t.Context(), router.Repair{})
	_, applyErr := r.Apply(t.Context(), router.Move{Plan: plan})
	for what, err := range map[string]error{
		"create": createErr, "drop": r.DropCollection(t.Context(), "ids"), "alias": r.SetAlias("x", "ids"), "repair": repairErr, "apply": applyErr,
	} {
		if !errors.Is(err, fault.Unavailable) && !errors.Is(err, fault.Conflict) {
			t.Errorf("%s during a move: %v", what, err)
		}
	}
	close(holds.free)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := r.SetAlias("x", "ids"); err != nil {
		t.Errorf("after the move: %v", err)
	}
	if err := w.check(r); err != nil {
		t.Error(err)
	}
}

// held is a store whose first upsert waits.
type held struct {
	search.Store
	once     sync.Once
	at, free chan struct{}
}

func (h *held) Write(ctx context.Context, b search.Batch) (search.Written, error) {
	if len(b.Upserts) > 0 {
		h.once.Do(func() {
			close(h.at)
			<-h.free
		})
	}
	return h.Store.Write(ctx, b)
}

// forgetful acknowledges upserts and forgets the last point of each.
type forgetful struct{ search.Store }

func (f forgetful) Write(ctx context.Context, b search.Batch) (search.Written, error) {
	if n := len(b.Upserts); n > 0 {
		b.Upserts = b.Upserts[:n-1]
	}
	return f.Store.Write(ctx, b)
}

// A copy that does not verify never comes into force.
func TestApply_verifiesEveryReplica(t *testing.T) {
	w := newTown(t, 2, "a", "b", "c")
	honest := w.stores["c"][1]
	w.stores["c"][1] = forgetful{honest}
	r := w.open("a", "b")
	defer func() { shut(t, r) }()
	w.settle(r, 100)
	plan := w.plan(r, "a", "b", "c")
	_, err := r.Apply(t.Context(), router.Move{Plan: plan, Shards: w.shards("c")})
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "replica c/r1 does not verify") {
		t.Errorf("%v", err)
	}
	if err := w.check(r); err != nil {
		t.Error(err)
	}
	w.stores["c"][1] = honest
	if _, err := r.Apply(t.Context(), router.Move{Plan: plan, Shards: w.shards("c")}); err != nil {
		t.Error(err)
	}
	if err := w.check(r); err != nil {
		t.Error(err)
	}
	w.clean(r, "a", "b", "c")
}
