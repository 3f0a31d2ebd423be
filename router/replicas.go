package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
)

// With returns a router with c's embedders, reranker, generator, routes, prompts, timeouts and other
// settings of single requests, which goes on with r's shards, map, limits and all that was learned: of
// those c says nothing (Shards, MapPath, MapStore, Name, Lane, Picker, Limit, Admission, CursorKey, Trace are r's). Requests may be
// under way on both. One of them, and no matter which, is to be closed in the end, once.
func (r *Router) With(c Config) (*Router, error) {
	c = c.withDefaults()
	c.Shards, c.MapPath, c.MapStore, c.Name, c.Lane, c.Picker, c.Limit = r.cfg.Shards, r.cfg.MapPath, r.cfg.MapStore, r.cfg.Name, r.cfg.Lane, r.cfg.Picker, r.cfg.Limit
	c.MapStore, c.Name = r.cfg.MapStore, r.cfg.Name
	c.Admission, c.CursorKey, c.Trace = r.cfg.Admission, r.cfg.CursorKey, r.cfg.Trace
	next := &Router{cfg: c, engine: r.engine}
	fresh := Router{cfg: c, engine: r.engine}
	fresh.cfg.Embedders = slices.DeleteFunc(slices.Clone(c.Embedders), func(e embed.Provider) bool { return slices.Contains(r.cfg.Embedders, e) })
	if err := fresh.holdEmbedders(); err != nil {
		return nil, err
	}
	return next, nil
}

// SetReplicas gives a shard other replicas; its companions stay. Those that stay, by name and store, keep
// their standing, load and latencies. A new one gets all writes from now on, and is not read before it was compared
// with the others and holds what they do; mend it with [Router.Repair] otherwise. When SetReplicas returns without
// an error nothing is under way any more on the replicas that left: their stores may be closed.
//
// Errors: fault.Invalid, fault.NotFound for a shard that the map does not have, fault.Unavailable while points
// move or are repaired or writes do not rest, and where none of the replicas may be read. Then nothing has
// changed, unless it is the end of ctx.
func (r *Router) SetReplicas(ctx context.Context, name string, replicas []Replica) error {
	c := Config{Shards: []Shard{{Name: name, Replicas: replicas}}}
	if err := c.validate(); err != nil {
		return err
	}
	if !r.moving.TryLock() {
		return fault.New(fault.Unavailable, "the replicas of shard %s cannot change while points move or are repaired", name)
	}
	defer r.moving.Unlock()
	left, err := r.exchange(ctx, c.Shards[0])
	if err != nil {
		return err
	}
	r.registry.hurry()
	if err := r.reads.drain(ctx); err != nil {
		return err
	}
	return left.writes.drain(ctx)
}

// exchange puts a shard with other replicas into the place of the one of its name, which it returns. No
// write is under way meanwhile: one that only the old replicas get would be missing on a new one that was
// compared before it. They are compared with the old ones, which are read meanwhile, and are taken only
// where one of them may be read.
func (r *Router) exchange(ctx context.Context, c Shard) (old *shard, err error) {
	r.comparing.Lock()
	defer r.comparing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, r.cfg.WriteTimeout)
	defer cancel()
	open, err := r.commits.pause(ctx)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "wait for the writes under way", err)
	}
	defer open()
	at := slices.IndexFunc(r.topo.Load().shards, func(s *shard) bool { return s.name == c.Name })
	if at < 0 {
		return nil, fault.New(fault.NotFound, "the map has no shard %q", c.Name)
	}
	old = r.topo.Load().shards[at]
	all := r.reshard(at, together(old.replicas, c.Replicas))
	if err := r.compareShard(ctx, r.topo.Load(), all); err != nil {
		r.cfg.Log.WarnContext(ctx, "replicas could not be compared", "shard", c.Name, "err", err)
	}
	if !slices.ContainsFunc(c.Replicas, func(replica Replica) bool { return r.answers(all, replica) }) {
		back := r.reshard(at, together(old.replicas, nil))
		return nil, errors.Join(fault.New(fault.Unavailable, "none of the new replicas of shard %s was reached and found in step with it", c.Name), r.admitReaders(back))
	}
	return old, r.admitReaders(r.reshard(at, c.Replicas))
}

// together is the replicas without companions that a shard has, but for those whose names others have, and those others.
func together(had, others []Replica) []Replica {
	kept := slices.DeleteFunc(slices.Clone(had), func(r Replica) bool {
		return r.words || slices.ContainsFunc(others, func(o Replica) bool { return o.Name == r.Name })
	})
	return append(kept, others...)
}

// answers reports whether a replica of a shard may be read.
func (r *Router) answers(s *shard, replica Replica) bool {
	r.registry.mu.Lock()
	defer r.registry.mu.Unlock()
	return r.registry.of(s, replica).Reads
}

// reshard publishes the topology with other replicas of a shard.
func (r *Router) reshard(at int, replicas []Replica) *shard {
	r.change.Lock()
	defer r.change.Unlock()
	now := *r.topo.Load()
	old := now.shards[at]
	next := old.with(replicas)
	now.shards = slices.Clone(now.shards)
	now.shards[at] = next
	r.registry.mu.Lock()
	defer r.registry.mu.Unlock()
	r.topo.Store(&now)
	r.registry.exchange(old, next)
	return next
}

// with is the shard with other replicas.
func (s *shard) with(replicas []Replica) *shard {
	words := slices.DeleteFunc(slices.Clone(s.replicas), func(r Replica) bool { return !r.words })
	next := &shard{name: s.name, pool: s.pool, companions: s.companions, writes: s.writes, acked: s.acked, hurry: s.hurry}
	next.replicas = slices.Concat(replicas, words)
	next.able = declared(Shard{Name: s.name, Replicas: next.replicas})
	next.away.Store(s.away.Load())
	return next
}

// exchange forgets the replicas that left, and has the new ones not read. The caller holds the lock.
func (y *registry) exchange(old, next *shard) {
	stays := func(s *shard, r Replica) bool {
		return slices.ContainsFunc(s.replicas, func(o Replica) bool { return o.Name == r.Name && o.Store == r.Store })
	}
	for _, r := range old.replicas {
		if !stays(next, r) {
			delete(y.states, old.name+"/"+r.Name)
		}
	}
	for _, r := range next.replicas {
		if !stays(old, r) {
			y.states[next.name+"/"+r.Name] = &ReplicaState{Shard: next.name, Replica: r.Name, Since: time.Now()}
		}
	}
}

// current reports whether a shard is still the one of its name. The caller holds the registry's lock.
func (r *Router) current(s *shard) bool { return slices.Contains(r.topo.Load().shards, s) }

// Steer has a replica drained, ejected or brought back, as balance.Pool's Steer: it concerns reads, writes go to
// every replica. One that is not read is fault.NotFound, see [Router.Replicas].
func (r *Router) Steer(shard, replica string, to balance.State) error {
	return r.instruct(shard, replica, func(p *balance.Pool[Replica]) error { return p.Steer(replica, to) })
}

// Reweigh changes a replica's share of the reads, as balance.Pool's Reweigh.
func (r *Router) Reweigh(shard, replica string, weight float64) error {
	return r.instruct(shard, replica, func(p *balance.Pool[Replica]) error { return p.Reweigh(replica, weight) })
}

// instruct finds the pool of a replica that is read.
func (r *Router) instruct(shard, replica string, give func(*balance.Pool[Replica]) error) error {
	for _, s := range r.topo.Load().shards {
		if s.name != shard {
			continue
		}
		at := slices.IndexFunc(s.replicas, func(r Replica) bool { return r.Name == replica })
		switch {
		case at < 0:
			return fault.New(fault.NotFound, "shard %s has no replica %q", shard, replica)
		case s.replicas[at].words:
			return give(s.companions)
		}
		if err := give(s.pool); err != nil {
			return fmt.Errorf("replica %s/%s: %w", shard, replica, err)
		}
		return nil
	}
	return fault.New(fault.NotFound, "the map has no shard %q", shard)
}

// Fits returns fault.Conflict, with what to do, where the map in force is not that of the shards, by names and weights.
func (r *Router) Fits(shards []Shard) error {
	return r.topo.Load().m.Fits(Config{Shards: shards}.mapShards()) //nolint:wrapcheck // it says everything
}
