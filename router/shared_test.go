package router_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// fleet is routers that share a map over the same stores. Each test has it in a bubble of its own: leases are
// measured in virtual time.
type fleet struct {
	*town
	shelf *shelf
	doors map[string]*door
}

func newFleet(t *testing.T, shards ...string) *fleet {
	t.Helper()
	return &fleet{town: newTown(t, 2, shards...), shelf: newShelf(), doors: map[string]*door{}}
}

// config is of the router of that name.
func (f *fleet) config(name string, shards ...string) router.Config {
	f.doors[name] = f.shelf.door()
	return router.Config{MapStore: f.doors[name], Name: name, Shards: f.shards(shards...)}
}

func (f *fleet) join(c router.Config) *router.Router {
	f.t.Helper()
	r, err := router.New(c)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := r.Close(); err != nil {
			f.t.Errorf("close %s: %v", c.Name, err)
		}
	})
	return r
}

// one writes a point by its id.
func one(r *router.Router, id string) error {
	_, err := r.Upsert(context.Background(), router.Upsert{Collection: "docs", Points: []search.Point{{Key: search.Key{ID: id}, Dense: []float32{1}}}})
	return err
}

// has reports whether a router finds exactly n documents, all readable.
func has(t *testing.T, r *router.Router, n int) {
	t.Helper()
	page, err := r.Scroll(t.Context(), search.Scan{Collection: "docs", Limit: 1000})
	if err != nil || len(page.Points) != n {
		t.Errorf("%d documents, %v; want %d", len(page.Points), err, n)
	}
}

var docs = search.Collection{Name: "docs", Dims: 1, Metric: search.Dot}

func TestShared_routersAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "s0", "s1")
		a, b := f.join(f.config("a", "s0", "s1")), f.join(f.config("b", "s0", "s1"))
		create(t, a, docs)
		synctest.Wait()
		for i := range 20 {
			if err := one([]*router.Router{a, b}[i%2], fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		has(t, a, 20)
		has(t, b, 20)
		if err := b.SetAlias("papers", "docs"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if c, err := a.Collection("papers"); err != nil || c.Name != "docs" {
			t.Errorf("%+v, %v", c, err)
		}
		if err := a.DropCollection(t.Context(), "docs"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := b.Collection("docs"); !errors.Is(err, fault.NotFound) {
			t.Errorf("dropped by the other router: %v", err)
		}
		if a.State().Epoch != b.State().Epoch {
			t.Errorf("epochs %d and %d", a.State().Epoch, b.State().Epoch)
		}
	})
}

func TestShared_twoCreateTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "s0", "s1")
		a, b := f.join(f.config("a", "s0", "s1")), f.join(f.config("b", "s0", "s1"))
		var both sync.WaitGroup
		var refused atomic.Int32
		for _, r := range []*router.Router{a, b} {
			both.Go(func() { create(t, r, docs) })
			both.Go(func() {
				_, err := r.CreateCollection(t.Context(), search.Collection{Name: "mine", Dims: map[bool]int{true: 1, false: 2}[r == a], Metric: search.Dot})
				if errors.Is(err, fault.Conflict) {
					refused.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		synctest.Wait()
		if n := refused.Load(); n != 1 {
			t.Errorf("%d of two unlike collections of a name were refused", n)
		}
		for i, r := range []*router.Router{a, b} {
			if err := one(r, fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
			has(t, r, i+1)
		}
	})
}

// A router that is cut off from the map reads on, and takes no writes once its lease is over, until it is back.
func TestShared_lapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "s0")
		a, b := f.join(f.config("a", "s0")), f.join(f.config("b", "s0"))
		create(t, a, docs)
		synctest.Wait()
		f.doors["b"].cut.Store(true)
		if err := one(b, "x"); err != nil {
			t.Errorf("within the lease: %v", err)
		}
		time.Sleep(f.shelf.ttl)
		err := one(b, "y")
		if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "lease ended") || fault.RetryAfter(err) == 0 {
			t.Errorf("after the lease: %v", err)
		}
		if _, err := b.CreateCollection(t.Context(), search.Collection{Name: "more", Dims: 1}); !errors.Is(err, fault.Unavailable) {
			t.Errorf("a collection after the lease: %v", err)
		}
		has(t, b, 1)
		if err := one(a, "z"); err != nil {
			t.Errorf("the other router: %v", err)
		}
		f.doors["b"].cut.Store(false)
		time.Sleep(f.shelf.ttl)
		if err := one(b, "y"); err != nil {
			t.Errorf("back again: %v", err)
		}
		has(t, a, 3)
	})
}

// move has a router carry out a plan for other shards.
func (f *fleet) move(r *router.Router, names ...string) error {
	_, err := r.Apply(context.Background(), router.Move{Plan: f.plan(r, names...), Shards: f.shards(names...)})
	return err
}

// stuffed makes the collection with n documents.
func (f *fleet) stuffed(r *router.Router, n int) {
	f.t.Helper()
	create(f.t, r, docs)
	var points []search.Point
	for i := range n {
		points = append(points, search.Point{Key: search.Key{ID: fmt.Sprint("p", i)}, Dense: []float32{1}})
	}
	upsert(f.t, r, "docs", "", points...)
}

func TestShared_moveIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "s0", "s1", "s2")
		a := f.join(f.config("a", "s0", "s1"))
		f.stuffed(a, 100)
		ca := f.config("b", "s0", "s1", "s2") // knows the one that joins
		b := f.join(ca)
		has(t, b, 100)
		if err := f.move(a, "s0", "s1", "s2"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for i, r := range []*router.Router{a, b} {
			if got := len(r.State().Pools); got != 3 {
				t.Errorf("router %d has %d shards", i, got)
			}
			if err := one(r, fmt.Sprint("late", i)); err != nil {
				t.Error(err)
			}
			has(t, r, 101+i)
		}
	})
}

// A router that hangs holds a move up for as long as its lease goes on, and no longer.
func TestShared_moveWaitsForALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "s0", "s1")
		a := f.join(f.config("a", "s0"))
		f.stuffed(a, 50)
		f.join(f.config("b", "s0", "s1"))
		f.doors["b"].cut.Store(true)
		began := time.Now()
		if err := f.move(a, "s0", "s1"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < f.shelf.ttl*3/4 || took > 2*f.shelf.ttl {
			t.Errorf("it took %s, with leases of %s", took, f.shelf.ttl)
		}
		has(t, a, 50)
	})
}

// A move that a router cannot follow does not begin.
func TestShared_moveNeedsEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "s0", "s1")
		a := f.join(f.config("a", "s0"))
		f.stuffed(a, 50)
		b := f.join(f.config("b", "s0"))
		if err := f.move(a, "s0", "s1"); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "router b cannot follow: shard s1 joins") {
			t.Errorf("router b does not have s1: %v", err)
		}
		time.Sleep(f.shelf.ttl)
		for i := range 50 {
			for _, r := range []*router.Router{a, b} {
				if err := one(r, fmt.Sprint("p", i)); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// What reads points in order to write them anew needs the collection for itself.
func TestShared_reindexIsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "s0")
		c := f.config("a", "s0")
		c.Lexicon = words
		a := f.join(c)
		f.stuffed(a, 5)
		b, err := router.New(f.config("b", "s0"))
		if err != nil {
			t.Fatal(err)
		}
		q := router.Reindex{Collection: "docs"}
		if _, err := a.Reindex(t.Context(), q); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "stop b first") {
			t.Errorf("beside another router: %v", err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Reindex(t.Context(), q); err != nil {
			t.Errorf("alone: %v", err)
		}
	})
}

func TestShared_start(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "s0", "s1")
		old := f.open("s0")
		create(t, old, docs)
		if err := one(old, "x"); err != nil {
			t.Fatal(err)
		}
		epoch := old.State().Epoch
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		c := f.config("a", "s0")
		c.MapPath = filepath.Join(t.TempDir(), "none")
		if r, err := router.New(c); !errors.Is(err, fault.NotFound) {
			t.Errorf("a file that is not there: %v, %v", r, err)
		}
		c.MapPath = f.file
		a := f.join(c)
		has(t, a, 1)
		if now := a.State().Epoch; now <= epoch {
			t.Errorf("taken over at epoch %d, after %d", now, epoch)
		}
		if r, err := router.New(f.config("b", "s1")); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "lacks: s0") {
			t.Errorf("without a shard of the map: %v, %v", r, err)
		}
		if r, err := router.New(router.Config{MapStore: f.shelf.door(), Shards: f.shards("s0")}); !errors.Is(err, fault.Invalid) {
			t.Errorf("without a name: %v, %v", r, err)
		}
		cut := f.config("c", "s0")
		f.doors["c"].cut.Store(true)
		if r, err := router.New(cut); !errors.Is(err, fault.Unavailable) {
			t.Errorf("without the map: %v, %v", r, err)
		}
	})
}
