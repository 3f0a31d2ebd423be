package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// road is the shards of a router, as long as the process runs.
type road struct {
	mu     sync.Mutex
	berths map[string]*berth // by shard/replica
	fleets map[string]*fleet // by shard
}

func newRoad() *road { return &road{berths: map[string]*berth{}, fleets: map[string]*fleet{}} }

// berth is an open replica.
type berth struct {
	config Replica
	store  search.Store
	close  func() error
}

// moor enters an open replica.
func (r *road) moor(name string, config Replica, store server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.berths[name] = &berth{config: config, store: store, close: store.Close}
}

// launch enters the replicas of a shard.
func (r *road) launch(f *fleet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fleets[f.shard] = f
}

// close closes the replicas, after the router.
func (r *road) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for name, b := range r.berths {
		errs = append(errs, b.close())
		delete(r.berths, name)
	}
	return errors.Join(errs...)
}

// stays reports whether an open replica serves for a configured one: what differs at most is its share.
func (b *berth) stays(r Replica) bool {
	was := b.config
	was.Weight, was.Aborts = r.Weight, r.Aborts
	return reflect.DeepEqual(was, r)
}

// adjusting is a change of replicas that is under way.
type adjusting struct {
	system *System
	next   map[string]*berth // of the shards that change
	opened []func() error    // closes those that were not open before
	back   []func() error    // gives a shard its replicas of before
}

// adjust has the shards get the replicas that another configuration gives them. Where that fails they have those of before.
func (s *System) adjust(was, now []Shard) error {
	s.road.mu.Lock()
	defer s.road.mu.Unlock()
	a := adjusting{system: s, next: map[string]*berth{}}
	var changed []Shard
	for i, shard := range now {
		at := slices.IndexFunc(was, func(w Shard) bool { return w.Name == shard.Name })
		if at < 0 || reflect.DeepEqual(was[at].Replicas, shard.Replicas) {
			continue // it has joined with these, or nothing has changed
		}
		if err := a.shard(shard); err != nil {
			err = fmt.Errorf("shards[%d].%w", i, err)
			for _, undo := range slices.Backward(slices.Concat(a.opened, a.back)) {
				err = errors.Join(err, undo())
			}
			return err
		}
		changed = append(changed, shard)
	}
	for _, shard := range changed {
		a.drop(shard)
	}
	return nil
}

// shard gives one shard its replicas.
func (a *adjusting) shard(shard Shard) error {
	f := a.system.road.fleets[shard.Name]
	if f == nil || len(f.follows) > 0 || slices.ContainsFunc(shard.Replicas, func(r Replica) bool { return !r.Discover.isZero() }) {
		return fault.New(fault.Invalid, "replicas: those of a shard that has joined since the start, or with discover, change at a start: restart")
	}
	list, before := []router.Replica{}, f.replicas()
	for j, r := range shard.Replicas {
		b, err := a.berth(shard.Name+"/"+r.Name, r)
		if err != nil {
			return fmt.Errorf("replicas[%d]: %w", j, err)
		}
		list = append(list, router.Replica{Name: r.Name, Weight: r.Weight, Aborts: r.Aborts, Store: b.store})
	}
	if err := f.sail(list); err != nil {
		return fmt.Errorf("replicas: %w", err)
	}
	a.back = append(a.back, func() error { return f.sail(before) })
	return nil
}

// berth returns an open replica, which may have been open before.
func (a *adjusting) berth(name string, r Replica) (*berth, error) {
	if b := a.system.road.berths[name]; b != nil && b.stays(r) {
		a.next[name] = b
		return b, nil
	}
	if r.Path != "" {
		return nil, fault.New(fault.Invalid, "a local folder is opened at the start: restart")
	}
	store, err := openServer(r, a.system.external)
	if err != nil {
		return nil, err
	}
	b := &berth{config: r, store: store, close: store.Close}
	a.opened, a.next[name] = append(a.opened, b.close), b
	return b, nil
}

// drop closes the replicas that a shard has no more.
func (a *adjusting) drop(shard Shard) {
	berths := a.system.road.berths
	for name, b := range berths {
		companion := slices.ContainsFunc(shard.Lexical, func(l Replica) bool { return name == shard.Name+"/"+l.Name })
		if !strings.HasPrefix(name, shard.Name+"/") || companion || a.next[name] == b {
			continue
		}
		delete(berths, name)
		if err := b.close(); err != nil {
			a.system.log.Warn("a replica that has left was not closed", "replica", name, "error", err)
		}
	}
	for name, b := range a.next {
		if strings.HasPrefix(name, shard.Name+"/") {
			berths[name] = b
		}
	}
}

// mapShards are the shards without their stores.
func (c *Config) mapShards() []router.Shard {
	out := make([]router.Shard, len(c.Shards))
	for i, s := range c.Shards {
		out[i] = router.Shard{Name: s.Name, Weight: s.Weight}
	}
	return out
}
