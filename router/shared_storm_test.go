package router_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// Two routers write while one of them moves points back and forth, both are cut off from the map again and
// again, and what they have sent to a store may arrive long after they were given up: no write that was acknowledged is lost.
func TestShared_noAcknowledgedWriteIsLost(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { storm(t, seed) })
		})
	}
}

const stormKeys = 40

// acks knows the newest acknowledged version of every point, and the value that it brought.
type acks struct {
	mu     sync.Mutex
	newest [stormKeys]search.Version
	values [stormKeys]float32
	count  int
}

func (k *acks) add(key int, v search.Version, value float32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.count++
	if v > k.newest[key] {
		k.newest[key], k.values[key] = v, value
	}
}

func storm(t *testing.T, seed uint64) {
	t.Helper()
	f := newFleet(t, "s0", "s1")
	var dice dice
	dice.rng = rand.New(rand.NewPCG(seed, 1))
	var calm atomic.Bool
	var routers []*router.Router
	for i, name := range []string{"a", "b"} {
		c := f.config(name, "s0", "s1")
		if i == 0 {
			c = f.config(name, "s0") // the first map has one shard
			first := f.join(router.Config{MapStore: f.shelf.door(), Name: "first", Shards: c.Shards})
			create(t, first, docs)
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			c = f.config(name, "s0", "s1")
		}
		for _, s := range c.Shards {
			for j := range s.Replicas {
				s.Replicas[j].Store = &delayed{Store: s.Replicas[j].Store, delay: func(search.Batch) time.Duration {
					if calm.Load() || dice.upTo(10) > 0 {
						return time.Duration(dice.upTo(50)) * time.Millisecond
					}
					return time.Duration(dice.upTo(60)) * time.Second // longer than it is waited for, and than the lease
				}}
			}
		}
		c.WriteTimeout = 2 * time.Minute
		routers = append(routers, f.join(c))
	}
	var known acks
	var acting sync.WaitGroup
	for w := range 6 {
		acting.Go(func() {
			for n := range 60 {
				key, value := dice.upTo(stormKeys), float32(1+w*1000+n)
				ack, err := routers[w%2].Upsert(context.Background(), router.Upsert{Collection: "docs", Points: []search.Point{{Key: search.Key{ID: fmt.Sprint(key)}, Dense: []float32{value}}}})
				if err == nil {
					known.add(key, ack.Version, value)
				}
				time.Sleep(time.Duration(dice.upTo(4000)) * time.Millisecond)
			}
		})
	}
	for _, name := range []string{"a", "b"} {
		acting.Go(func() {
			for range 8 {
				time.Sleep(time.Duration(dice.upTo(20)) * time.Second)
				f.doors[name].cut.Store(true)
				time.Sleep(time.Duration(dice.upTo(60)) * time.Second)
				f.doors[name].cut.Store(false)
			}
		})
	}
	moves := 0
	acting.Go(func() {
		lists := [][]string{{"s0", "s1"}, {"s0"}}
		for range 12 {
			time.Sleep(time.Duration(dice.upTo(10)) * time.Second)
			if f.moves(routers[dice.upTo(2)], lists[moves%2]...) == nil {
				moves++
			}
		}
	})
	acting.Wait()
	calm.Store(true)
	time.Sleep(2 * time.Minute) // what is still on its way arrives
	if known.count == 0 {
		t.Error("nothing was acknowledged")
	}
	t.Logf("%d writes acknowledged, %d moves", known.count, moves)
	for i, r := range routers {
		held, err := r.Get(t.Context(), "docs", stormAll(), search.Fields{Vector: true})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]search.Point{}
		for _, p := range held {
			got[p.ID] = p
		}
		for key, want := range known.newest {
			p := got[fmt.Sprint(key)]
			if p.Version < want || p.Version == want && want > 0 && p.Dense[0] != known.values[key] {
				t.Errorf("router %d: point %d is of version %d, value %v, and version %d, value %v was acknowledged", i, key, p.Version, p.Dense, want, known.values[key])
			}
		}
	}
}

func stormAll() (keys []search.Key) {
	for i := range stormKeys {
		keys = append(keys, search.Key{ID: fmt.Sprint(i)})
	}
	return keys
}

// moves makes a plan and carries it out, if that goes now.
func (f *fleet) moves(r *router.Router, names ...string) error {
	p, err := r.PlanMove(context.Background(), f.shards(names...))
	if err != nil {
		return err
	}
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = r.Apply(context.Background(), router.Move{Plan: data, Shards: f.shards(names...)})
	return err
}

// dice may be thrown by many.
type dice struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func (d *dice) upTo(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.IntN(n)
}
