package router

import (
	"context"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/shardmap"
)

// begin claims the move, and raises the epoch.
func (k *sharedMap) begin(m *shardmap.Map, plan json.RawMessage) error {
	return k.claim(false, func(c charter) (charter, error) {
		if c.m.Epoch() != m.Epoch() {
			return c, fault.New(fault.Conflict, "the shard map has changed just now: apply the plan again")
		}
		c.Move = &note{Epoch: m.Epoch(), Plan: plan}
		return c, nil
	})
}

// claim has this router do what the others must take part in, and raises the epoch.
func (k *sharedMap) claim(sole bool, change func(charter) (charter, error)) error {
	if err := k.tenure.check(); err != nil {
		return err
	}
	k.turn = rand.Uint64()
	err := k.swap(func(c charter) (charter, error) {
		if c.Claim != nil {
			return c, fault.New(fault.Conflict, "router %s is at work on the shard map", c.Claim.By)
		}
		c.Claim = &claim{By: k.name, Turn: k.turn, Sole: sole}
		c, err := change(c)
		return c.with(c.m.Raised()), err
	})
	if err != nil {
		k.turn = 0
	}
	return err
}

// mine checks that the claim of this router is still its own.
func (k *sharedMap) mine(c charter) error {
	if c.Claim == nil || c.Claim.Turn != k.turn {
		return fault.New(fault.Conflict, "this router was away for longer than its lease, and its work on the shard map was stopped: begin it again")
	}
	return nil
}

func (k *sharedMap) flip(next *shardmap.Map, joins []*shard) error {
	return k.swap(func(c charter) (charter, error) {
		return c.with(next.Raised()), k.mine(c) // above the epoch that the move began with
	}, joins...)
}

func (k *sharedMap) finish() error {
	return k.swap(func(c charter) (charter, error) {
		if err := k.mine(c); err != nil {
			return c, err
		}
		c.Move, c.Claim = nil, nil
		return c, nil
	})
}

// abandon gives the claim back, if there is one. Where that fails it is tried until it does not: points that move stay closed for
// writes so long.
func (k *sharedMap) abandon() {
	if k.turn == 0 {
		return
	}
	k.turn = 0
	if held := k.at.Claim; held != nil && held.By == k.name {
		if err := k.unclaim(*held); err != nil {
			k.r.cfg.Log.Warn("the other routers do not know yet that a move has ended", "err", err)
			poke(k.changed)
		}
	}
}

// unclaim takes away a claim, and raises the epoch so that who had it finds out.
func (k *sharedMap) unclaim(held claim) error {
	return k.swap(func(c charter) (charter, error) {
		if c.Claim == nil || *c.Claim != held {
			return c, nil
		}
		c.Claim = nil
		return c.with(c.m.Raised()), nil
	})
}

// alone has this router write alone until release is called: others that start meanwhile wait. Where
// there are others it is fault.Conflict. Joined tells whether there were any since the last time. With a map that is not shared a
// router is alone anyway.
func (r *Router) alone(ctx context.Context) (joined uint64, release func(), err error) {
	k, shared := r.keep.(*sharedMap)
	if !shared {
		return 0, func() {}, nil
	}
	r.change.Lock()
	err = k.claim(true, func(c charter) (charter, error) { return c, nil }) //nolint:contextcheck // see swap
	joined = k.at.Joined
	r.change.Unlock()
	if err != nil {
		return 0, nil, err
	}
	release = func() { //nolint:contextcheck // see swap
		r.change.Lock()
		defer r.change.Unlock()
		k.abandon()
	}
	others, err := k.others(ctx)
	switch {
	case err == nil && len(others) > 0:
		err = fault.New(fault.Conflict, "what other routers write meanwhile would be lost: stop %s first",
			strings.Join(slices.Sorted(maps.Keys(others)), ", "))
	case err == nil:
		err = r.fenceOff(ctx, r.topo.Load())
	}
	if err != nil {
		release()
	}
	return joined, release, err
}
