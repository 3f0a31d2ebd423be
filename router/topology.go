package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// openMap loads the stored map, or makes one for the configured shards. A stored
// map whose shards differ from the configured ones is refused: placement never
// changes by itself.
func (r *Router) openMap() (*shardmap.Map, error) {
	fresh, err := shardmap.New(r.cfg.mapShards())
	if err != nil || r.cfg.MapPath == "" {
		return fresh, err
	}
	if r.file, err = shardmap.OpenFile(r.cfg.MapPath); err != nil {
		return nil, err
	}
	stored, err := r.file.Load()
	switch {
	case errors.Is(err, fault.NotFound):
		err = r.file.Save(fresh)
		stored = fresh
	case err == nil:
		err = sameShards(stored, fresh, r.cfg.MapPath)
	}
	if err != nil {
		return nil, errors.Join(err, r.closeMap())
	}
	return stored, nil
}

// sameShards compares the placement of two maps by the shards' names and weights.
func sameShards(stored, configured *shardmap.Map, path string) error {
	weights := map[string]float64{}
	for _, s := range stored.Shards() {
		weights[s.Name] = cmp.Or(s.Weight, 1)
	}
	same := len(stored.Shards()) == len(configured.Shards())
	for _, s := range configured.Shards() {
		same = same && weights[s.Name] == cmp.Or(s.Weight, 1)
	}
	if !same {
		return fault.New(fault.Conflict,
			"the configured shards differ from those of the shard map %s: points would be looked for where they are not; "+
				"restore the shard list, or start with a new map file and ingest again", path)
	}
	return nil
}

func (r *Router) closeMap() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// adopt asks all replicas what they hold: the clock moves past their newest
// writes, and where no map file remembers the collections, those of the replicas
// are taken over. Replicas that are down are passed over.
func (r *Router) adopt() error {
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.SearchTimeout)
	defer cancel()
	var sources []source
	for _, s := range r.topo.Load().shards {
		for _, replica := range s.replicas {
			sources = append(sources, source{name: s.name + "/" + replica.Name, store: replica.Store})
		}
	}
	told := scatter(len(sources), func(i int) []search.Stats {
		all, err := guarded(func() ([]search.Stats, error) { return sources[i].store.Stats(ctx, "") })
		if err != nil {
			r.cfg.Log.WarnContext(ctx, "replica does not tell its collections", "replica", sources[i].name, "err", err)
		}
		return all
	})
	for i, all := range told {
		for _, st := range all {
			if err := r.adoptOne(st); err != nil {
				return fmt.Errorf("replica %s: %w", sources[i].name, err)
			}
		}
	}
	return nil
}

// source is a replica that may know collections.
type source struct {
	name  string
	store search.Store
}

func (r *Router) adoptOne(st search.Stats) error {
	r.clock.advance(st.Newest)
	switch have, ok := r.topo.Load().m.Collection(st.Collection.Name); {
	case !ok && r.file != nil:
		return nil // dropped, or not ours
	case !ok:
		return r.edit(func(m *shardmap.Map) (*shardmap.Map, error) { return m.WithCollection(st.Collection) })
	case have != st.Collection:
		return fault.New(fault.Conflict, "collection %q differs from the one on another replica", have.Name)
	}
	return nil
}

// edit replaces the map by an edited copy: saved first, then published.
func (r *Router) edit(change func(*shardmap.Map) (*shardmap.Map, error)) error {
	r.change.Lock()
	defer r.change.Unlock()
	old := r.topo.Load()
	next, err := change(old.m)
	if err != nil {
		return err
	}
	if r.file != nil {
		if err := r.file.Save(next); err != nil {
			return err
		}
	}
	r.topo.Store(&topology{m: next, shards: old.shards})
	return nil
}
