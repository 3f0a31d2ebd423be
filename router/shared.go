package router

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/shardmap"
)

// sharedMap keeps the map where several routers share it.
//
// What keeps a write that is on its way from being lost when points move is this: a move first raises the epoch. All routers
// whose leases go on end the writes that they began with an older map, and say so in their entries. Then every replica is
// told the new epoch, and refuses what comes from a router that hung for longer than its lease. Only then is anything
// copied. See docs/adr/0019.
type sharedMap struct {
	r     *Router
	store MapStore
	name  string // of this router

	tenure tenure
	at     charter // what was loaded or saved last; guarded by the topology's lock
	turn   uint64  // of the claim that this router works under; 0: none. Guarded like at

	ttl     time.Duration
	renew   chan struct{} // asks for a renewal now
	changed chan struct{} // asks for the map to be read now
	settled chan struct{} // asks for a look at what is under way with an older map
	stop    context.CancelFunc
	loops   sync.WaitGroup
}

const (
	storePatience = 5 * time.Second        // with one question to the store
	settlePause   = 100 * time.Millisecond // between looks at the leases
	soleWait      = 30 * time.Second       // of a router that starts while another has to be alone
	slots         = 1 << slotBits
)

func newSharedMap(r *Router) *sharedMap {
	return &sharedMap{r: r, store: r.cfg.MapStore, name: r.cfg.Name, renew: make(chan struct{}, 1), changed: make(chan struct{}, 1), settled: make(chan struct{}, 1)}
}

// ReadShared returns the map that routers share. None yet is fault.NotFound.
func ReadShared(ctx context.Context, store MapStore) (*shardmap.Map, error) {
	data, revision, err := store.Load(ctx)
	if err != nil {
		return nil, err
	}
	c, err := decodeCharter(data, revision)
	return c.m, err
}

// open takes a lease and reads the map, in this order: whoever changes the map later waits for this router.
func (k *sharedMap) open(shards []shardmap.Shard) (*topology, error) {
	ctx, cancel := context.WithTimeout(context.Background(), soleWait+storePatience)
	defer cancel()
	if err := k.enter(ctx); err != nil {
		return nil, fmt.Errorf("share the shard map: %w", err)
	}
	loop, stop := context.WithCancel(context.Background())
	k.stop = stop
	k.loops.Go(func() { k.keepRenewing(loop) })
	t, err := k.join(ctx, shards)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("share the shard map: %w", err), k.close())
	}
	return t, nil
}

// enter takes a lease with a slot that no other router has.
func (k *sharedMap) enter(ctx context.Context) error {
	for {
		k.tenure.slot = rand.Uint64N(slots)
		if err := k.renewNow(ctx); err != nil {
			return err
		}
		others, err := k.others(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(slices.Collect(maps.Values(others)), func(m peer) bool { return m.Slot == k.tenure.slot }) {
			k.r.clock.share(k.tenure.slot)
			return nil
		}
	}
}

// join reads the map, or stores the first one, and counts itself in. While another router has to be alone it waits.
func (k *sharedMap) join(ctx context.Context, shards []shardmap.Shard) (*topology, error) {
	for {
		round, _ := k.tenure.now()
		c, err := k.load(ctx)
		if errors.Is(err, fault.NotFound) {
			c.m, err = k.first(shards)
		}
		if err == nil {
			err = k.fits(c.m, shards)
		}
		if err != nil {
			return nil, err
		}
		if c, err = k.countIn(ctx, c); err == nil {
			k.at = c
			t := &topology{m: c.m, mixed: c.Move != nil}
			if err = k.carry(t, c); err == nil {
				k.tenure.learn(round, nil)
				k.tenure.follow(c.m.Epoch())
			}
			return t, err
		}
		if !errors.Is(err, fault.Conflict) || pause(ctx, settlePause) != nil {
			return nil, err
		}
	}
}

// countIn stores that a router has joined, unless another one has to be alone: that is fault.Conflict.
func (k *sharedMap) countIn(ctx context.Context, c charter) (charter, error) {
	if held := c.Claim; held != nil && held.Sole && held.By != k.name {
		others, err := k.others(ctx)
		if _, alive := others[held.By]; err != nil || alive {
			return c, errors.Join(err, fault.New(fault.Conflict, "router %s has to write alone for now", held.By))
		}
	}
	c.Joined++
	return k.save(ctx, c)
}

// first is the map where none is shared yet: that of the file, if one is named, else a new one.
func (k *sharedMap) first(shards []shardmap.Shard) (*shardmap.Map, error) {
	if k.r.cfg.MapPath == "" {
		return shardmap.New(shards)
	}
	m, err := shardmap.Read(k.r.cfg.MapPath)
	if err != nil {
		return nil, fmt.Errorf("no map is shared yet, and none can be taken over: %w", err)
	}
	k.r.cfg.Log.Warn("the shard map of the file is shared from now on", "file", k.r.cfg.MapPath, "epoch", m.Epoch())
	return m.Raised(), nil
}

// fits refuses a configuration that lacks shards of the map. It may have more: those that are to join.
func (k *sharedMap) fits(m *shardmap.Map, shards []shardmap.Shard) error {
	var missing []string
	for _, s := range m.Shards() {
		if !slices.ContainsFunc(shards, func(c shardmap.Shard) bool { return c.Name == s.Name }) {
			missing = append(missing, s.Name)
		}
	}
	if len(missing) > 0 {
		return fault.New(fault.Conflict, "the map at epoch %d has shards that the configuration lacks: %s", m.Epoch(), strings.Join(missing, ", "))
	}
	if err := m.Fits(shards); err != nil {
		k.r.cfg.Log.Warn("the shards of the shared map are in force", "differs", err)
	}
	return nil
}

// load reads what is stored.
func (k *sharedMap) load(ctx context.Context) (charter, error) {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	data, revision, err := k.store.Load(ctx)
	if err != nil {
		return charter{}, err
	}
	return decodeCharter(data, revision)
}

// save replaces what was loaded. After an error that leaves it open whether it was stored the store is asked.
func (k *sharedMap) save(ctx context.Context, c charter) (charter, error) {
	data, err := c.encode()
	if err != nil {
		return c, err
	}
	asked, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	revision, err := k.store.Save(asked, data, c.revision)
	if err != nil && !errors.Is(err, fault.Conflict) {
		again, cancel := context.WithTimeout(ctx, storePatience)
		defer cancel()
		if stored, at, loadErr := k.store.Load(again); loadErr == nil && bytes.Equal(stored, data) {
			revision, err = at, nil
		}
	}
	c.revision = revision
	return c, err
}

// swap stores what change makes of the present charter, and puts it in force. Where somebody else was faster it
// reads that and tries again. Nobody can cut it short: what is in force is to be known at its end.
func (k *sharedMap) swap(change func(charter) (charter, error), joins ...*shard) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*storePatience)
	defer cancel()
	for {
		next, err := change(k.at)
		if err != nil || next == k.at {
			return err
		}
		next, err = k.save(ctx, next)
		if err == nil {
			return k.take(next, joins)
		}
		if !errors.Is(err, fault.Conflict) {
			return err
		}
		if err := k.catchUp(ctx); err != nil {
			return err
		}
	}
}

func (k *sharedMap) edit(change func(*shardmap.Map) (*shardmap.Map, error)) error {
	if err := k.tenure.check(); err != nil {
		return err
	}
	return k.swap(func(c charter) (charter, error) {
		if m := k.r.topo.Load().move; m != nil {
			return c, m.refuse("the shard map cannot be changed")
		}
		m, err := change(c.m)
		return c.with(m), err
	})
}

// settle waits until all other routers are at work with the map of a topology, or their leases have ended, and has the replicas refuse older ones.
func (k *sharedMap) settle(ctx context.Context, t *topology) error {
	ctx, cancel := context.WithTimeout(ctx, 3*k.r.cfg.WriteTimeout+2*k.ttl)
	defer cancel()
	for {
		late, err := k.late(ctx, t.m.Epoch())
		switch {
		case err != nil && ctx.Err() == nil && !errors.Is(err, fault.Unavailable):
			return err
		case err == nil && len(late) == 0:
			return k.r.fenceOff(ctx, t)
		}
		if pause(ctx, settlePause) != nil {
			return errors.Join(fault.New(fault.Unavailable, "routers do not follow to epoch %d: %s", t.m.Epoch(), strings.Join(late, ", ")), err)
		}
	}
}

// late lists the other routers that are not at work with an epoch yet. That one cannot follow is fault.Conflict.
func (k *sharedMap) late(ctx context.Context, epoch uint64) (names []string, err error) {
	others, err := k.others(ctx)
	for name, m := range others {
		if m.Behind != "" {
			return nil, fault.New(fault.Conflict, "router %s cannot follow: %s", name, m.Behind)
		}
		if m.Epoch < epoch {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

// others are the other routers whose leases go on.
func (k *sharedMap) others(ctx context.Context) (map[string]peer, error) {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	all, err := k.store.Leases(ctx)
	if err != nil {
		return nil, err
	}
	delete(all, k.name)
	others := make(map[string]peer, len(all))
	for name, entry := range all {
		var m peer
		if err := json.Unmarshal(entry, &m); err != nil {
			return nil, fault.Wrap(fault.Invalid, "entry of router "+name, err)
		}
		others[name] = m
	}
	return others, nil
}

func (k *sharedMap) close() error {
	k.stop()
	k.loops.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), storePatience)
	defer cancel()
	if err := k.store.Release(ctx, k.name); err != nil {
		k.r.cfg.Log.Warn("the lease is not given back: it ends by itself", "err", err)
	}
	return nil
}

// pause waits, but not beyond the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// poke wakes who waits for c, now or when it waits the next time.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
