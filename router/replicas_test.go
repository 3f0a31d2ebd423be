package router_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

func replicas(stores ...search.Store) (out []router.Replica) {
	for i, s := range stores {
		out = append(out, router.Replica{Name: fmt.Sprintf("r%d", i), Store: s})
	}
	return out
}

// TestSetReplicas_newOnesAreComparedFirst: an empty one that comes gets writes and is not read; alone it is refused; repaired
// it takes over, and what left gets nothing any more.
func TestSetReplicas_newOnesAreComparedFirst(t *testing.T) {
	stores := locals(t, 2)
	old, joins := stores[0], stores[1]
	r := newRouter(t, router.Config{}, []search.Store{old})
	upsert(t, r, "docs", "", numbered(100)...)

	if err := r.SetReplicas(t.Context(), "s0", []router.Replica{{Name: "x", Store: joins}}); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "in step") {
		t.Fatalf("an empty one for all: got %v", err)
	}
	if got := readers(r); got != "1" || len(r.Replicas()) != 1 {
		t.Errorf("readers %s after the refusal", got)
	}
	whole(t, r, 100, false)
	if err := r.SetReplicas(t.Context(), "s0", replicas(old, joins)); err != nil {
		t.Fatal(err)
	}
	if got := readers(r); got != "10" {
		t.Errorf("readers %s, want the newcomer to wait: %+v", got, r.Replicas())
	}
	whole(t, r, 100, false)
	upsert(t, r, "docs", "", point("new", 1, 1))
	if got := stored(t, joins, "docs"); len(got) != 1 {
		t.Errorf("the newcomer has %v", got)
	}
	if _, err := r.Repair(t.Context(), router.Repair{}); err != nil || readers(r) != "11" {
		t.Fatalf("readers %s after the repair: %v", readers(r), err)
	}
	if err := r.SetReplicas(t.Context(), "s0", []router.Replica{{Name: "r1", Store: joins}}); err != nil {
		t.Fatal(err)
	}
	upsert(t, r, "docs", "", point("newer", 1, 1))
	if has := len(stored(t, old, "docs")); has != 101 {
		t.Errorf("the one that left has %d points, want those before it did", has)
	}
	whole(t, r, 102, false)
}

// TestSetReplicas_underLoadLosesNothing exchanges the replicas of a shard, all in step, while points are written and searched.
func TestSetReplicas_underLoadLosesNothing(t *testing.T) {
	stores := locals(t, 3)
	r := newRouter(t, router.Config{}, stores)
	all := replicas(stores...)
	var load sync.WaitGroup
	stop := make(chan struct{})
	written := 0
	load.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := r.Upsert(t.Context(), router.Upsert{Collection: "docs", Points: []search.Point{point(fmt.Sprint("p", written), 1, 1)}}); err != nil {
					t.Errorf("not written: %v", err)
				}
				written++
			}
		}
	})
	load.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := r.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 0}, K: 10}}}); err != nil {
					t.Errorf("lost: %v", err)
				}
			}
		}
	})
	for i := range 20 {
		next := all[:2+i%2]
		err := r.SetReplicas(t.Context(), "s0", next)
		if err != nil && !errors.Is(err, fault.Unavailable) {
			t.Errorf("exchange %d: %v", i, err)
		}
	}
	close(stop)
	load.Wait()
	whole(t, r, min(written, 1000), false)
	if err := r.SetReplicas(t.Context(), "s9", all); !errors.Is(err, fault.NotFound) {
		t.Errorf("an unknown shard: got %v", err)
	}
}

func TestSteer_ofReplicas(t *testing.T) {
	r := newRouter(t, router.Config{}, locals(t, 2))
	if err := errors.Join(r.Steer("s0", "r1", balance.Draining), r.Reweigh("s0", "r1", 3)); err != nil {
		t.Fatal(err)
	}
	m := r.State().Pools[0].Members[1]
	if m.Name != "r1" || m.State != balance.Draining || m.Weight != 3 {
		t.Errorf("got %+v", m)
	}
	for _, at := range [][2]string{{"s0", "r9"}, {"s9", "r0"}} {
		if err := r.Steer(at[0], at[1], balance.Draining); !errors.Is(err, fault.NotFound) {
			t.Errorf("%v: got %v", at, err)
		}
	}
}

// TestWith_sharesTheShards: what one router writes the other one finds, with its own embedders.
func TestWith_sharesTheShards(t *testing.T) {
	r := newRouter(t, router.Config{}, locals(t, 1))
	next, err := r.With(router.Config{Embedders: []embed.Provider{letters{}}})
	if err != nil {
		t.Fatal(err)
	}
	create(t, next, search.Collection{Name: "texts", Space: letters{}.Space().ID()})
	if _, err := next.Upsert(t.Context(), router.Upsert{Collection: "texts", Points: []search.Point{{Key: search.Key{ID: "a"}, Text: "abc"}}}); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Get(t.Context(), "texts", []search.Key{{ID: "a"}}, search.Fields{}); err != nil || len(got) != 1 {
		t.Errorf("the first router finds %v, %v", got, err)
	}
	if _, err := r.Upsert(t.Context(), router.Upsert{Collection: "texts", Points: []search.Point{{Key: search.Key{ID: "b"}, Text: "abc"}}}); err == nil {
		t.Error("the first router has the second's embedders")
	}
}
