package router_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
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
