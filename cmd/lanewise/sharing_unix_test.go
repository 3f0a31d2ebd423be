//go:build unix

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/corpus"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

// stored is what was acknowledged: vectors of one number, by id.
type stored map[string]float32

// write stores points of some ids, the first with a value and each other one with one more.
func (s stored) write(t *testing.T, c *client.Client, value float32, ids ...string) error {
	t.Helper()
	docs, values := make([]corpus.Document, len(ids)), stored{}
	for i, id := range ids {
		values[id] = value + float32(i)
		docs[i] = corpus.Document{ID: id, Vector: []float32{values[id]}}
	}
	err := c.Upsert(t.Context(), "docs", "", docs)
	if err == nil {
		maps.Copy(s, values)
	}
	return err
}

// insist writes until that is acknowledged.
func (s stored) insist(t *testing.T, c *client.Client, value float32, ids ...string) {
	t.Helper()
	if err := insist(func() error { return s.write(t, c, value, ids...) }); err != nil {
		t.Error(err)
	}
}

// passing reports whether an error is one that routers which have just moved points, or cannot reach etcd, may give.
func passing(err error) bool {
	return errors.Is(err, fault.Unavailable) || errors.Is(err, fault.Conflict)
}

// fill stores n points.
func (s stored) fill(t *testing.T, c *client.Client, n int) (ids []string) {
	t.Helper()
	for i := range n {
		ids = append(ids, fmt.Sprintf("p%03d", i))
	}
	s.insist(t, c, 1, ids...)
	return ids
}

// check compares a walk through everything, and a search for the best, with what was stored.
func (s stored) check(t *testing.T, routers ...*process) {
	t.Helper()
	best := slices.SortedFunc(maps.Keys(s), func(a, b string) int { return cmp.Or(cmp.Compare(s[b], s[a]), strings.Compare(a, b)) })
	for _, r := range routers {
		all, _, err := r.Scroll(t.Context(), "docs", wire.ScrollRequest{Limit: 1000, Include: []string{"vector"}})
		got := stored{}
		for _, p := range all {
			got[p.ID] = p.Dense[0]
		}
		if err != nil || !maps.Equal(got, s) || len(all) != len(s) {
			t.Errorf("%s has %v (%v), want %v", r.name, got, err, s)
		}
		res, err := r.Search(t.Context(), wire.SearchRequest{Collection: "docs", Vector: []float32{1}, K: 20})
		if err != nil {
			t.Errorf("%s: %v", r.name, err)
		}
		for i, h := range res.Hits {
			if h.ID != best[i] {
				t.Errorf("%s: hit %d is %s, want %s", r.name, i, h.ID, best[i])
			}
		}
	}
}

// insist calls until a router has its lease, which it may lose on a slow machine, and nobody else is at work.
func insist(call func() error) error {
	for {
		if err := call(); !passing(err) {
			return err
		}
	}
}

// move has a router bring the points to the shards of its configuration.
func move(t *testing.T, by *process) error {
	t.Helper()
	return insist(func() error { return tryMove(t, by) })
}

// create makes a collection of one dimension.
func (p *process) create(t *testing.T, name string) error {
	t.Helper()
	return insist(func() error {
		_, err := p.CreateCollection(t.Context(), name, wire.Collection{Dims: 1, Metric: "dot"})
		return err
	})
}

func tryMove(t *testing.T, by *process) error {
	t.Helper()
	plan, err := by.Plan(t.Context(), by.file)
	if err != nil {
		return err
	}
	text, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	_, err = by.Apply(t.Context(), by.file, router.Move{Plan: text})
	return err
}

// A router is stopped beyond its lease, with a write on its way that reaches the replicas in the middle of another
// one's move: the move has waited for the lease, they refuse the write, and what is acknowledged after all is there.
func TestFleet_stoppedWithAWriteOnItsWay(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "s0", "s1")
	f.found("s0")
	a, b := f.start("a", "s0", "s1"), f.start("b", "s0", "s1")
	s := stored{}
	ids := s.fill(t, a.Client, 50)

	late := []*held{a.gates["s0-0"].hold(), a.gates["s0-1"].hold()}
	copied := b.gates["s1-0"].hold()
	var busy sync.WaitGroup
	busy.Go(func() { s.insist(t, a.Client, 1000, ids...) })
	<-late[0].arrived
	<-late[1].arrived
	a.signal(syscall.SIGSTOP)
	moved := make(chan error, 1)
	go func() { moved <- move(t, b) }()
	<-copied.arrived
	for i, h := range late {
		h.release()
		if status := <-h.ended; status != http.StatusConflict {
			t.Errorf("replica %d answers the late write with %d", i, status)
		}
		got, err := f.stores[fmt.Sprint("s0-", i)].Get(t.Context(), "docs", []search.Key{{ID: ids[0]}}, search.Fields{Vector: true})
		if err != nil || len(got) != 1 || got[0].Dense[0] != 1 {
			t.Errorf("replica %d has %v, %v after the late write", i, got, err)
		}
	}
	copied.release()
	if err := <-moved; err != nil {
		t.Error(err)
	}
	a.signal(syscall.SIGCONT)
	busy.Wait()
	s.check(t, a, b)
	if flips := f.audit(); flips != 1 {
		t.Errorf("the shards have changed %d times", flips)
	}
}

// A router dies in the middle of a move, with a copy on its way, while points are written through the other one: that takes
// the work over, and nothing is lost, also when the copy arrives in the end.
func TestFleet_killedInTheMiddleOfAMove(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "s0", "s1")
	f.found("s0")
	a, b, c := f.start("a", "s0", "s1"), f.start("b", "s0", "s1"), f.start("c", "s0", "s1")
	s := stored{}
	ids := s.fill(t, a.Client, 50)

	copied := b.gates["s1-0"].hold()
	died := make(chan error, 1)
	go func() {
		for {
			err := tryMove(t, b)
			select {
			case <-copied.arrived:
			default:
				if passing(err) { // it had no lease for a moment
					continue
				}
			}
			died <- err
			return
		}
	}()
	<-copied.arrived
	refused := 0 // those that are on their way
	for i, id := range ids {
		if err := s.write(t, a.Client, 1000+float32(i), id); passing(err) {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	b.signal(syscall.SIGKILL)
	if err := <-died; err == nil {
		t.Error("the move of a router that was killed has succeeded")
	}
	if err := move(t, a); err != nil {
		t.Error(err)
	}
	copied.release()
	if status := <-copied.ended; status != http.StatusConflict {
		t.Errorf("the late copy is answered with %d", status)
	}
	if refused == 0 || refused == len(ids) {
		t.Errorf("%d of %d points could not be written while some moved", refused, len(ids))
	}
	s.insist(t, c.Client, 2000, ids[10:30]...)
	s.check(t, a, c)
	if flips := f.audit(); flips != 1 {
		t.Errorf("the shards have changed %d times", flips)
	}
}

// A router that etcd is not heard of any more stops writing before it is taken for gone, reads on, and comes back with what
// the other one has changed meanwhile.
func TestFleet_cutOffFromEtcd(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "s0")
	f.found("s0")
	road := newCable(t, f.address)
	a := f.launch("a", road.address, "s0")
	a.ready()
	b := f.start("b", "s0")
	s := stored{}
	ids := s.fill(t, a.Client, 20)

	gone := make(chan struct{})
	removed := f.etcd.Watch(t.Context(), f.prefix()+"/routers/a", clientv3.WithPrefix(), clientv3.WithFilterPut(), clientv3.WithCreatedNotify())
	<-removed // it watches
	go func() { defer close(gone); <-removed }()
	road.flow.Lock()
	mended := sync.OnceFunc(road.flow.Unlock)
	defer mended()
	for over := false; !over; {
		select {
		case <-gone:
			over = true
		default:
		}
		switch err := s.write(t, a.Client, 100, ids...); {
		case over && !errors.Is(err, fault.Unavailable):
			t.Errorf("a write that began when the others took it for gone: %v", err)
		case err != nil && !passing(err):
			t.Error(err)
		}
	}
	s.insist(t, b.Client, 200, ids...)
	s.check(t, a, b)
	if err := b.create(t, "more"); err != nil {
		t.Error(err)
	}
	mended()
	s.insist(t, a.Client, 300, ids...)
	s.check(t, a, b)
	if _, err := a.Collection(t.Context(), "more"); err != nil { // it had to read the map before it wrote
		t.Errorf("what was made while it was away: %v", err)
	}
}

// Routers that start at one time make one map, and those that create a collection at one time make one collection.
func TestFleet_atTheSameTime(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "s0", "s1")
	var routers []*process
	for _, name := range []string{"a", "b", "c"} {
		routers = append(routers, f.launch(name, f.address, "s0", "s1"))
	}
	for _, r := range routers {
		r.ready()
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var made []int // dims of the collection that could be created
	for i, r := range routers {
		all.Go(func() {
			if err := r.create(t, "docs"); err != nil {
				t.Errorf("the same collection through %s: %v", r.name, err)
			}
		})
		all.Go(func() {
			_, err := r.CreateCollection(t.Context(), "mine", wire.Collection{Dims: i + 1})
			for errors.Is(err, fault.Unavailable) {
				_, err = r.CreateCollection(t.Context(), "mine", wire.Collection{Dims: i + 1})
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made = append(made, i+1)
			} else if !errors.Is(err, fault.Conflict) {
				t.Errorf("through %s: %v", r.name, err)
			}
		})
	}
	all.Wait()
	if len(made) != 1 {
		t.Fatalf("collections of dims %v were made, want one", made)
	}
	s := stored{}
	for i, r := range routers {
		s.insist(t, r.Client, float32(10*i), fmt.Sprint("of-", r.name))
		for {
			c, err := r.Collection(t.Context(), "mine")
			if err == nil && c.Dims != made[0] {
				t.Errorf("%s has a collection of %d dims, want %d", r.name, c.Dims, made[0])
			}
			if !errors.Is(err, fault.NotFound) { // it follows soon
				break
			}
		}
	}
	s.check(t, routers...)
}
