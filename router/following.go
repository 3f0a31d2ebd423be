package router

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// keepRenewing renews the lease until ctx ends.
func (k *sharedMap) keepRenewing(ctx context.Context) {
	for k.turns(ctx, k.renew) {
		_ = k.renewNow(ctx) // tenure keeps the error
	}
}

// turns waits for a poke of c, or a quarter of a lease, and reports whether ctx goes on.
func (k *sharedMap) turns(ctx context.Context, c <-chan struct{}) bool {
	wait := time.NewTimer(k.ttl / 4)
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-c:
	case <-wait.C:
	}
	return true
}

// renewNow renews the lease, or takes a new one.
func (k *sharedMap) renewNow(ctx context.Context) error {
	patience := storePatience
	if k.ttl > 0 {
		patience = k.ttl / 4
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	entry, anew := k.tenure.entry(began)
	ttl, err := k.store.Renew(ctx, k.name, entry)
	if k.tenure.renewed(began, ttl, err) {
		k.r.cfg.Log.WarnContext(ctx, "the lease of the shard map", "event", "ShardMapLease", "renewed", err == nil, "err", err)
	}
	if err != nil {
		return err
	}
	if k.ttl == 0 {
		k.ttl = ttl
	}
	if anew {
		poke(k.changed)
	}
	return nil
}

// run takes over what the others store, until ctx ends.
func (k *sharedMap) run(ctx context.Context) {
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { k.keepWatching(ctx) })
	beside.Go(func() { k.keepSettling(ctx) })
	for k.turns(ctx, k.changed) { // also where the watch tells nothing
		k.follow(ctx)
	}
}

func (k *sharedMap) keepWatching(ctx context.Context) {
	for ctx.Err() == nil {
		err := k.store.Watch(ctx, func() { poke(k.changed) })
		if pause(ctx, k.ttl/4) == nil {
			k.r.cfg.Log.DebugContext(ctx, "the watch of the shard map broke", "err", err)
		}
	}
}

// follow reads the map, and puts it in force.
func (k *sharedMap) follow(ctx context.Context) {
	round, joins := k.tenure.now()
	epoch, err := k.overtake(ctx, joins)
	switch {
	case err != nil && fault.Of(err) == fault.Unavailable || ctx.Err() != nil:
		return // the lease tells for how long that is all right
	case k.tenure.learn(round, err):
		k.r.cfg.Log.WarnContext(ctx, "the shard map is followed", "event", "ShardMapFollowed", "epoch", epoch, "err", err)
		poke(k.renew)
	}
	if err == nil {
		poke(k.settled)
	}
}

// keepSettling says, until ctx ends, which map the router is at work with once nothing is under way with an older one.
func (k *sharedMap) keepSettling(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.settled:
		}
		epoch := k.r.topo.Load().m.Epoch()
		if k.r.commits.drain(ctx) == nil && k.r.reads.drain(ctx) == nil && k.tenure.follow(epoch) {
			poke(k.renew)
		}
	}
}

// overtake puts in force what is stored, counts the router in if it joins, and takes away the claim of one that is gone.
func (k *sharedMap) overtake(ctx context.Context, joins bool) (epoch uint64, err error) {
	k.r.change.Lock()
	defer k.r.change.Unlock()
	if err := k.catchUp(ctx); err != nil {
		return 0, err
	}
	if err := k.dropDead(ctx); err != nil {
		return 0, err
	}
	if joins {
		c, err := k.countIn(ctx, k.at)
		if errors.Is(err, fault.Conflict) {
			poke(k.changed) // soon
		}
		if err != nil {
			return 0, err
		}
		k.at = c
	}
	return k.at.m.Epoch(), nil
}

// catchUp puts in force what is stored. The caller holds the topology's lock.
func (k *sharedMap) catchUp(ctx context.Context) error {
	c, err := k.load(ctx)
	if err != nil || c.revision == k.at.revision {
		return err
	}
	return k.take(c, nil)
}

// dropDead takes the claim away from a router whose lease has ended, and from work of this one that is over.
func (k *sharedMap) dropDead(ctx context.Context) error {
	held := k.at.Claim
	if held == nil || held.By == k.name && held.Turn == k.turn {
		return nil
	}
	if held.By != k.name {
		others, err := k.others(ctx)
		if _, alive := others[held.By]; err != nil || alive {
			return err
		}
	}
	k.r.cfg.Log.WarnContext(ctx, "what a router was doing to the shard map has ended with it", "router", held.By, "move", k.at.Move != nil)
	return k.unclaim(*held) //nolint:contextcheck // see swap
}

// take puts a charter in force. The caller holds the topology's lock.
func (k *sharedMap) take(c charter, joins []*shard) error {
	old := k.r.topo.Load()
	now := *old
	now.m, now.mixed = c.m, c.Move != nil
	if err := k.carry(&now, c); err != nil {
		return err
	}
	if !slices.EqualFunc(old.shards, c.m.Shards(), func(s *shard, ms shardmap.Shard) bool { return s.name == ms.Name }) {
		now.shards = nil
		if err := k.r.reshape(&now, c.m, joins); err != nil {
			return err
		}
	}
	k.at = c
	k.r.topo.Store(&now)
	for _, was := range old.m.Collections() {
		if _, ok := c.m.Collection(was.Name); !ok {
			k.r.forget(was.Name)
		}
	}
	return nil
}

// carry gives a topology the move that is under way. That of this router itself is there.
func (k *sharedMap) carry(now *topology, c charter) error {
	if !c.moving() {
		now.move = nil
		return nil
	}
	applied, err := shardmap.Applied(c.m, c.Move.Plan)
	switch {
	case err != nil || applied:
		now.move = nil
		return err //nolint:wrapcheck // Invalid: it says what it read
	case c.Claim.By == k.name && c.Claim.Turn == k.turn:
		return nil
	}
	plan, err := shardmap.ReadPlan(c.m, c.Move.Plan)
	if err != nil {
		return err //nolint:wrapcheck // it says what is wrong with the plan
	}
	for _, s := range plan.Next().Shards() {
		if !slices.ContainsFunc(k.r.cfg.Shards, func(have Shard) bool { return have.Name == s.Name }) {
			return fault.New(fault.Conflict, "shard %s joins, and the configuration has no replicas for it", s.Name)
		}
	}
	now.move = &move{plan: plan, from: c.m.Shards(), to: plan.Next().Shards(), start: time.Now(), total: counted(c.Move.Plan)}
	return nil
}

// fenceOff has every replica of the shards refuse what routers with an older map still have on its way.
func (r *Router) fenceOff(ctx context.Context, t *topology) error {
	for _, c := range t.m.Collections() {
		if c.Placement.By == search.ByExternal {
			continue
		}
		b := search.Batch{Collection: c.Name, Epoch: t.m.Epoch()}
		for _, s := range t.shards {
			_, err := again(ctx, func() (struct{}, error) { return struct{}{}, r.writeTo(ctx, s, b) })
			if err != nil && !errors.Is(err, fault.NotFound) {
				return err
			}
		}
	}
	return nil
}
