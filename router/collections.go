package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// Collections lists the collections by name.
func (r *Router) Collections() []search.Collection { return r.topo.Load().m.Collections() }

// Collection returns the descriptor of a collection or of an alias' target.
func (r *Router) Collection(name string) (search.Collection, error) {
	c, ok := r.topo.Load().m.Collection(name)
	if !ok {
		return c, unknownCollection(name)
	}
	return c, nil
}

// CreateCollection creates a collection on every replica of every shard, and
// returns it with its defaults filled in. Without a space and without dims it is
// a collection of texts in the first embedder's space; with a space alone it has
// that space's dims. Creating the same collection again is fine, and so is to create
// it again as a lexical one: its later points carry their words.
//
// Errors: fault.Invalid; fault.Conflict where another collection has the name;
// fault.Unavailable where a replica does not answer, and repeating is safe.
func (r *Router) CreateCollection(ctx context.Context, c search.Collection) (search.Collection, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.WriteTimeout)
	defer cancel()
	c, err := r.describe(c)
	if err = errors.Join(err, r.checkWords(c)); err != nil {
		return c, err
	}
	if c.Placement.By == search.ByExternal {
		return c, fault.BadField("/placement/by", "an external collection is there already: list it in the configuration")
	}
	if m := r.topo.Load().move; m != nil {
		return c, m.refuse("no collection can be created")
	}
	next, err := r.topo.Load().m.WithCollection(c) // the map's own checks, before any store is touched
	if err != nil {
		return c, err
	}
	stored, _ := next.Collection(c.Name)
	switch have, ok := r.topo.Load().m.Collection(c.Name); {
	case ok && !have.Accepts(c):
		return c, fault.New(fault.Conflict, "collection %q exists with other settings", c.Name)
	case ok && have == stored:
		return stored, r.createAgain(ctx, stored)
	}
	steps := []func() error{
		func() error { return r.everywhere(ctx, search.Batch{Collection: c.Name, Create: &stored}) },
		func() error {
			return r.edit(func(m *shardmap.Map) (*shardmap.Map, error) { return m.WithCollection(c) })
		},
	}
	if r.mapIsShared() { // who is first in the map decides what the collection is like
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return stored, err
		}
	}
	r.keepCanary(ctx, stored.Space)
	return stored, nil
}

// createAgain creates a collection of the map on the shards that lack it altogether. Where
// only some replicas lack it they lost it, and must not seem to hold an empty one before they were compared.
func (r *Router) createAgain(ctx context.Context, c search.Collection) error {
	t := r.topo.Load()
	return errors.Join(scatter(len(t.shards), func(i int) error {
		s := t.shards[i]
		for _, h := range r.askHoldings(ctx, s) {
			if _, held := h.collections[c.Name]; held {
				s.hurry()
				return nil
			}
		}
		return r.writeTo(ctx, s, search.Batch{Collection: c.Name, Create: &c, Epoch: r.writeEpoch(t)})
	})...)
}

// describe fills in what the embedders know of a new collection.
func (r *Router) describe(c search.Collection) (search.Collection, error) {
	c.Metric = cmp.Or(c.Metric, search.Cosine)
	c.Placement.By = cmp.Or(c.Placement.By, search.ByID)
	if c.Space == "" && c.Dims == 0 {
		if len(r.cfg.Embedders) == 0 {
			return c, fault.BadField("/dims", "give the dims of the vectors: no embedder is configured that would know them")
		}
		c.Space = r.cfg.Embedders[0].Space().ID()
	}
	if c.Space == "" {
		return c, nil
	}
	for _, e := range r.cfg.Embedders {
		if space := e.Space(); space.ID() == c.Space {
			if c.Dims = cmp.Or(c.Dims, space.Dims); c.Dims != space.Dims {
				return c, fault.BadField("/dims", "space %q has %d dims, not %d", c.Space, space.Dims, c.Dims)
			}
		}
	}
	if c.Dims == 0 {
		return c, fault.BadField("/dims", "give the dims: no configured embedder has space %q; configured: %s", c.Space, r.spaces())
	}
	return c, nil
}

// everywhere sends a batch to all replicas of all shards, and again where the shard map was edited in between. To
// drop what is not there is no failure.
func (r *Router) everywhere(ctx context.Context, b search.Batch) error {
	for {
		if err := r.mayWrite(); err != nil {
			return err
		}
		t := r.topo.Load()
		b.Epoch = r.writeEpoch(t)
		err := errors.Join(scatter(len(t.shards), func(i int) error { return r.writeTo(ctx, t.shards[i], b) })...)
		if !errors.Is(err, fault.Conflict) || !r.overtaken(ctx, t.m.Epoch()) {
			return err
		}
	}
}

// writeTo sends a batch to all replicas of a shard.
func (r *Router) writeTo(ctx context.Context, s *shard, b search.Batch) error {
	return errors.Join(scatter(len(s.replicas), func(i int) error {
		_, err := guarded(func() (search.Written, error) { return s.replicas[i].Store.Write(ctx, b) })
		if err == nil || b.Drop && errors.Is(err, fault.NotFound) {
			return nil
		}
		return fmt.Errorf("replica %s/%s: %w", s.name, s.replicas[i].Name, err)
	})...)
}

// DropCollection deletes a collection and all its points. Where a replica does
// not answer, the collection stays, and repeating is safe.
func (r *Router) DropCollection(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.WriteTimeout)
	defer cancel()
	if m := r.topo.Load().move; m != nil {
		return m.refuse("no collection can be dropped")
	}
	c, err := r.Collection(name)
	if err != nil {
		return err
	}
	if c.Name != name {
		return fault.BadField("/collection", "%q is an alias: drop collection %q itself", name, c.Name)
	}
	if c.Placement.By == search.ByExternal {
		return fault.BadField("/collection", "collection %q is external and read-only: take it out of the configuration", c.Name)
	}
	if err := r.everywhere(ctx, search.Batch{Collection: name, Drop: true}); err != nil {
		return err
	}
	r.forget(name)
	err = r.edit(func(m *shardmap.Map) (*shardmap.Map, error) { return m.WithoutCollection(name) })
	if err == nil && r.mapIsShared() { // another router may have given it back to a replica that had dropped it
		err = r.everywhere(ctx, search.Batch{Collection: name, Drop: true})
	}
	return err
}

// forget drops what the router knows of a collection that goes.
func (r *Router) forget(name string) {
	t := r.topo.Load()
	t.counts.forget(name)
	r.vocabulary.forget()
	r.follows.end(name)
	for _, s := range t.shards {
		s.acked.forget(name)
	}
}

// SetAlias lets alias stand for a collection from now on.
func (r *Router) SetAlias(alias, collection string) error {
	return r.edit(func(m *shardmap.Map) (*shardmap.Map, error) { return m.WithAlias(alias, collection) })
}

// Aliases returns the aliases and what they stand for.
func (r *Router) Aliases() map[string]string { return r.topo.Load().m.Aliases() }

// Write applies a batch that a router above this one has stamped. It stamps
// nothing itself: the versions are what the replicas of both agree on.
func (r *Router) Write(ctx context.Context, b search.Batch) (search.Written, error) {
	switch {
	case b.Create != nil:
		_, err := r.CreateCollection(ctx, *b.Create)
		return search.Written{}, err
	case b.Drop:
		return search.Written{}, r.DropCollection(ctx, b.Collection)
	}
	t := r.topo.Load()
	c, err := t.writable(b.Collection, "any")
	if err != nil {
		return search.Written{}, err
	}
	for i := range b.Upserts {
		at := fmt.Sprintf("/upserts/%d", i)
		if err := cmp.Or(checkPoint(at, b.Upserts[i], c), t.holdable(at, b.Upserts[i])); err != nil {
			return search.Written{}, err
		}
	}
	written, err := r.writeAll(ctx, c, func() search.Batch { return b })
	written.Applied = len(b.Upserts) + len(b.Deletes)
	return written, err
}
