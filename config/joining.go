package config

import (
	"fmt"
	"sync"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// joining opens the shards that join a running system.
type joining struct {
	system *System

	mu   sync.Mutex
	open map[string]search.Store // by shard, replica and where it is
}

// List returns the shards that a file describes, without their stores.
func (j *joining) List(file string) ([]router.Shard, error) {
	cfg, err := Load(file)
	if err != nil {
		return nil, err
	}
	var out []router.Shard
	for _, s := range cfg.Resolved().Shards {
		shard := router.Shard{Name: s.Name, Weight: s.Weight}
		for _, r := range s.Replicas {
			shard.Replicas = append(shard.Replicas, router.Replica{Name: r.Name, Weight: r.Weight})
		}
		out = append(out, shard)
	}
	return out, nil
}

// Open opens the shards of a file whose names are not known yet. What is open already, from
// an attempt before, is used again: an embedded store can be opened only once.
func (j *joining) Open(file string, known map[string]bool) ([]router.Shard, error) {
	cfg, err := Load(file)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []router.Shard
	for i, s := range cfg.Resolved().Shards {
		if known[s.Name] {
			continue
		}
		shard, err := s.opened(func(name string, r Replica) (search.Store, error) {
			if !r.Discover.isZero() {
				return nil, fault.New(fault.Invalid, "discover: a shard that joins names its replicas itself, until the next start")
			}
			return j.store(fmt.Sprintf("%s at %s", name, r.where()), r)
		})
		if err != nil {
			return nil, fmt.Errorf("%s: shards[%d].%w", file, i, err)
		}
		out = append(out, shard)
	}
	return out, nil
}

// store opens a replica, or returns the open one.
func (j *joining) store(name string, r Replica) (search.Store, error) {
	if s, ok := j.open[name]; ok {
		return s, nil
	}
	var store server
	var err error
	if r.Path != "" {
		store, err = local.Open(local.Config{Path: r.Path, Index: j.system.stores.Index, MemoryLimit: int64(j.system.stores.Memory)})
	} else {
		store, err = openServer(r, j.system.external)
	}
	if err != nil {
		return nil, err
	}
	if j.open == nil {
		j.open = map[string]search.Store{}
	}
	j.open[name] = store
	j.system.lasting.addFirst(store.Close) // it is closed after the router, which uses it
	return store, nil
}
