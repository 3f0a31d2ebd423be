package router

import (
	"context"
	"errors"
	"fmt"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// openMap loads the stored map, or makes one for the configured shards. A stored
// map whose shards differ from the configured ones is refused: placement never
// changes by itself. Taking a stored map raises its epoch.
func (r *Router) openMap() (*shardmap.Map, error) {
	if r.cfg.MapPath == "" {
		return shardmap.New(r.cfg.mapShards())
	}
	var err error
	if r.file, err = shardmap.OpenFile(r.cfg.MapPath); err != nil {
		return nil, err
	}
	m, err := r.file.Load()
	switch {
	case errors.Is(err, fault.NotFound):
		if m, err = shardmap.New(r.cfg.mapShards()); err == nil {
			err = r.file.Save(m)
		}
	case err == nil:
		if err = m.Fits(r.cfg.mapShards()); err != nil {
			err = fmt.Errorf("shard map %s: %w", r.cfg.MapPath, err)
			break
		}
		m = m.Raised() // stores refuse what a router before this one still has on its way
		err = r.file.Save(m)
	}
	if err != nil {
		return nil, errors.Join(err, r.closeMap())
	}
	return m, nil
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
	case !ok && r.file != nil && st.Collection.Placement.By != search.ByExternal:
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
	next, err := change(old.m)
	if err != nil {
		return err
	}
	if r.file != nil {
		if err := r.file.Save(next); err != nil {
			return err
		}
	}
	now := *old
	now.m = next
	r.topo.Store(&now)
	return nil
}

// brief names what two descriptions of a collection most often differ in.
func brief(c search.Collection) string {
	return fmt.Sprintf("%d dims, %s, placed by %s, space %q", c.Dims, c.Metric, c.Placement.By, c.Space)
}
