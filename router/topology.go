package router

import (
	"context"
	"fmt"
	"slices"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// openMap opens what keeps the shard map, if anything does, and returns a topology without its shards.
func (r *Router) openMap() (*topology, error) {
	switch {
	case r.cfg.MapStore != nil:
		r.keep = newSharedMap(r)
	case r.cfg.MapPath != "":
		r.keep = &fileMap{r: r, path: r.cfg.MapPath, log: r.cfg.Log}
	default:
		m, err := shardmap.New(r.cfg.mapShards())
		return &topology{m: m}, err
	}
	return r.keep.open(r.cfg.mapShards())
}

func (r *Router) closeMap() error {
	if r.keep == nil {
		return nil
	}
	return r.keep.close()
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
	met := map[string]bool{} // external collections
	for i, all := range told {
		for _, st := range all {
			if err := r.refresh(st.Collection, met); err != nil {
				return fmt.Errorf("replica %s: %w", sources[i].name, err)
			}
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

// refresh forgets what a map file remembers of an external collection where the first
// replica that has it describes it in another way: it may have been made anew.
func (r *Router) refresh(c search.Collection, met map[string]bool) error {
	if c.Placement.By != search.ByExternal || met[c.Name] {
		return nil
	}
	met[c.Name] = true
	have, ok := r.topo.Load().m.Collection(c.Name)
	if !ok || have == c || have.Placement.By != search.ByExternal {
		return nil
	}
	return r.edit(func(m *shardmap.Map) (*shardmap.Map, error) { return m.WithoutCollection(c.Name) })
}

func (r *Router) adoptOne(st search.Stats) error {
	r.clock.advance(st.Newest)
	switch have, ok := r.topo.Load().m.Collection(st.Collection.Name); {
	case !ok && r.keep != nil && st.Collection.Placement.By != search.ByExternal:
		return nil // dropped, or not ours
	case !ok:
		return r.edit(func(m *shardmap.Map) (*shardmap.Map, error) { return m.WithCollection(st.Collection) })
	case have != st.Collection:
		return fault.New(fault.Conflict, "collection %q differs from the one on another replica: it is %s, and there %s",
			have.Name, brief(st.Collection), brief(have))
	}
	return nil
}

// edit replaces the map by an edited copy: saved first, then published.
func (r *Router) edit(change func(*shardmap.Map) (*shardmap.Map, error)) error {
	r.change.Lock()
	defer r.change.Unlock()
	old := r.topo.Load()
	if old.move != nil {
		return old.move.refuse("the shard map cannot be changed")
	}
	if r.keep != nil {
		return r.keep.edit(change)
	}
	next, err := change(old.m)
	if err == nil {
		r.publish(func(t *topology) { t.m = next })
	}
	return err
}

// publish changes the topology, and returns it as it is then. The caller holds the lock.
func (r *Router) publish(change func(*topology)) *topology {
	now := *r.topo.Load()
	change(&now)
	r.topo.Store(&now)
	return &now
}

// reshape gives a topology a map and its shards: those that are there stay as they are, and what is new is one of
// those that join, or made as configured. The caller holds the lock.
func (r *Router) reshape(t *topology, m *shardmap.Map, joins []*shard) error {
	old := r.topo.Load()
	t.m, t.counts = m, newCounts(m.Shards())
	have := slices.Concat(old.shards, joins)
	for _, ms := range m.Shards() {
		if i := slices.IndexFunc(have, func(s *shard) bool { return s.name == ms.Name }); i >= 0 {
			t.shards = append(t.shards, have[i])
			continue
		}
		s, err := r.makeShard(ms.Name)
		if err != nil {
			return err
		}
		t.shards = append(t.shards, s)
	}
	for _, s := range old.shards {
		if !slices.Contains(t.shards, s) {
			r.retired = append(r.retired, s)
		}
	}
	return nil
}

// makeShard makes a configured shard.
func (r *Router) makeShard(name string) (*shard, error) {
	i := slices.IndexFunc(r.cfg.Shards, func(s Shard) bool { return s.Name == name })
	if i < 0 {
		return nil, fault.New(fault.Conflict, "shard %s is in the shard map, and the configuration has no replicas for it", name)
	}
	r.registry.reset(r.cfg.Shards[i])
	return r.buildShard(r.cfg.Shards[i])
}

// brief names what two descriptions of a collection most often differ in.
func brief(c search.Collection) string {
	return fmt.Sprintf("%d dims, %s, placed by %s, space %q", c.Dims, c.Metric, c.Placement.By, c.Space)
}
