package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// Repair says what to bring back in step.
type Repair struct {
	Collections []string // empty: all
	DryRun      bool     // only find the differences
	PerSecond   int      // points to copy a second, at most; 0: as fast as it goes
}

// Repaired is what a repair found and did.
type Repaired struct {
	Compared    int64        `json:"compared"` // points of shards whose digests differed
	Copied      int64        `json:"copied"`
	Deleted     int64        `json:"deleted"` // points that another replica knew to be deleted
	Differences []Difference `json:"differences,omitempty"`
}

// Difference is what one replica lacked of one partition.
type Difference struct {
	Collection string `json:"collection"`
	Shard      string `json:"shard"`
	Replica    string `json:"replica"`
	Partition  int    `json:"partition"`
	Missing    int    `json:"missing"` // points that it did not have; in a dry run also those that it knows to be deleted
	Stale      int    `json:"stale"`   // points of which it had an older version
}

// repairBatch is how many points a repair or a move handles at a time.
const repairBatch = 500

// Repair compares the replicas of every shard point by point, where their digests
// differ, and copies the newest version of each to the replicas that lack it. A
// replica that remembers the deletion of a point has it deleted on the others;
// local stores remember for 24 hours, and after that a point that one replica
// missed to delete comes back. Reads and writes go on meanwhile. What is in step
// already is not copied again, so a repair that was cut short is simply repeated.
//
// A replica that cannot be reached is fault.Unavailable, after the others were repaired.
func (r *Router) Repair(ctx context.Context, how Repair) (Repaired, error) {
	if !r.moving.TryLock() {
		return Repaired{}, errBusy()
	}
	defer r.moving.Unlock()
	t := r.topo.Load()
	collections := t.m.Collections()
	if len(how.Collections) > 0 {
		collections = nil
		for _, name := range how.Collections {
			c, ok := t.m.Collection(name)
			if !ok {
				return Repaired{}, unknownCollection(name)
			}
			collections = append(collections, c)
		}
	}
	var done Repaired
	var errs []error
	pace := newPace(how.PerSecond)
	for _, c := range collections {
		if c.Placement.By == search.ByExternal {
			continue
		}
		for _, s := range t.shards {
			m := &mending{r: r, t: t, s: s, c: c, how: how, pace: pace, done: &done, seen: map[place]*Difference{}}
			if err := m.run(ctx); err != nil {
				errs = append(errs, fmt.Errorf("repair collection %s on shard %s: %w", c.Name, s.name, err))
			}
			done.Differences = append(done.Differences, m.differences()...)
			if ctx.Err() != nil {
				return done, errors.Join(errs...)
			}
		}
	}
	if !how.DryRun {
		r.compare(ctx)
	}
	return done, errors.Join(errs...)
}

// mending brings the replicas of one shard in step on one collection.
type mending struct {
	r    *Router
	t    *topology
	s    *shard
	c    search.Collection
	how  Repair
	pace *pace
	done *Repaired
	seen map[place]*Difference

	replicas []Replica // those that answer
}

// place is a partition on a replica.
type place struct {
	replica   string
	partition int
}

func (m *mending) run(ctx context.Context) error {
	told := m.r.askHoldings(ctx, m.s)
	found := judge([]search.Collection{m.c}, told, m.s.acked.of)
	if !m.how.DryRun {
		m.r.supply(ctx, m.t, m.s, found)
	}
	var down []error
	differ := false
	var streams []*stream
	for i, h := range told {
		replica := m.s.replicas[i]
		if h.err != nil {
			down = append(down, fmt.Errorf("replica %s: %w", replica.Name, h.err))
			continue
		}
		_, held := h.collections[m.c.Name]
		m.replicas = append(m.replicas, replica)
		streams = append(streams, newStream(replica.Store, m.c.Name, held || !m.how.DryRun))
		differ = differ || found[i].fault != ""
	}
	if !differ || !slices.ContainsFunc(m.replicas, func(r Replica) bool { return !r.words }) {
		return errors.Join(down...)
	}
	return errors.Join(append(down, m.walk(ctx, streams))...)
}

// walk reads all replicas in the order of the keys, side by side, and mends where they differ.
func (m *mending) walk(ctx context.Context, streams []*stream) error {
	var suspects []search.Key
	for {
		key, same, err := nextKey(ctx, streams)
		if err != nil {
			return err
		}
		if key != (search.Key{}) {
			m.done.Compared++
			if !same {
				suspects = append(suspects, key)
			}
		}
		if len(suspects) == repairBatch || key == (search.Key{}) && len(suspects) > 0 {
			if err := m.mend(ctx, suspects); err != nil {
				return err
			}
			suspects = suspects[:0]
		}
		if key == (search.Key{}) {
			return nil
		}
	}
}

// mend looks at keys again, once the writes that were under way have ended, and copies what
// still differs.
func (m *mending) mend(ctx context.Context, keys []search.Key) error {
	if err := m.s.writes.drain(ctx); err != nil {
		return err
	}
	fields := search.Fields{Meta: m.c.Placement.By == search.ByKey}
	held := make([]map[search.Key]search.Point, len(m.replicas))
	for i, replica := range m.replicas {
		points, err := guarded(func() ([]search.Point, error) { return replica.Store.Get(ctx, m.c.Name, keys, fields) })
		if err != nil && (!m.how.DryRun || !errors.Is(err, fault.NotFound)) {
			return fmt.Errorf("replica %s: %w", replica.Name, err)
		}
		held[i] = map[search.Key]search.Point{}
		for _, p := range points {
			held[i][p.Key] = p
		}
	}
	from := make([][]search.Key, len(m.replicas)) // by the replica that has the newest version
	to := make(map[search.Key][]int, len(keys))
	var ahead []search.Key
	for _, key := range keys {
		best, behind := m.compare(key, held)
		if m.ahead(key, held, best) {
			ahead = append(ahead, key)
		} else if len(behind) > 0 {
			from[best] = append(from[best], key)
			to[key] = behind
		}
	}
	if m.how.DryRun {
		return nil
	}
	for i, keys := range from {
		if len(keys) > 0 {
			if err := m.copy(ctx, i, keys, to); err != nil {
				return err
			}
		}
	}
	return m.restate(ctx, ahead)
}

// compare finds the replica with the newest version of a point, and those that are behind.
func (m *mending) compare(key search.Key, held []map[search.Key]search.Point) (best int, behind []int) {
	best = slices.IndexFunc(m.replicas, func(r Replica) bool { return !r.words })
	for i := range held {
		if m.replicas[i].words {
			continue // a companion has no vectors to copy
		}
		p, ok := held[i][key]
		if b, have := held[best][key]; ok && (!have || p.Version > b.Version) {
			best = i
		}
	}
	newest, ok := held[best][key]
	if !ok {
		return 0, nil // deleted meanwhile
	}
	for i := range held {
		p, ok := held[i][key]
		if ok && p.Version == newest.Version {
			continue
		}
		behind = append(behind, i)
		at := place{m.replicas[i].Name, m.t.m.Partition(m.c, key, newest.Meta)}
		d := m.seen[at]
		if d == nil {
			d = &Difference{Collection: m.c.Name, Shard: m.s.name, Replica: at.replica, Partition: at.partition}
			m.seen[at] = d
		}
		if ok {
			d.Stale++
		} else {
			d.Missing++
		}
	}
	return best, behind
}

// differences returns what was found, by replica and partition.
func (m *mending) differences() []Difference {
	var out []Difference
	for _, d := range m.seen {
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Replica, b.Replica), a.Partition-b.Partition)
	})
	return out
}

// copy writes the points of one replica to those that are behind.
func (m *mending) copy(ctx context.Context, from int, keys []search.Key, to map[search.Key][]int) error {
	points, err := m.replicas[from].Store.Get(ctx, m.c.Name, keys, search.Fields{Text: true, Meta: true, Vector: true})
	if err != nil {
		return fmt.Errorf("replica %s: %w", m.replicas[from].Name, err)
	}
	parts := map[int][]search.Point{}
	for _, p := range points {
		for _, i := range to[p.Key] {
			parts[i] = append(parts[i], p)
		}
	}
	for _, i := range slices.Sorted(maps.Keys(parts)) {
		if err := m.pace.wait(ctx, len(parts[i])); err != nil {
			return err
		}
		if err := m.give(ctx, i, parts[i]); err != nil {
			return fmt.Errorf("replica %s: %w", m.replicas[i].Name, err)
		}
	}
	return nil
}

// give writes points to a replica. Where it refuses some as older than what it knows, each is
// looked at by itself.
func (m *mending) give(ctx context.Context, to int, points []search.Point) error {
	written, err := m.write(ctx, to, search.Batch{Upserts: points})
	m.done.Copied += int64(written.Applied)
	if err != nil || written.Newer == 0 {
		return err
	}
	for _, p := range points {
		written, err := m.write(ctx, to, search.Batch{Upserts: []search.Point{p}})
		if err != nil {
			return err
		}
		if written.Newer > p.Version {
			if err := m.bury(ctx, to, search.Tombstone{Key: p.Key, Version: written.Newer}); err != nil {
				return err
			}
		}
	}
	return nil
}

// bury deletes a point everywhere, if a replica refused it because it knows it to be deleted. A
// replica that holds a newer version of it refused it for that.
func (m *mending) bury(ctx context.Context, knows int, t search.Tombstone) error {
	have, err := m.replicas[knows].Store.Get(ctx, m.c.Name, []search.Key{t.Key}, search.Fields{})
	if err != nil || len(have) > 0 {
		return err
	}
	for i := range m.replicas {
		if i == knows {
			continue
		}
		if _, err := m.write(ctx, i, search.Batch{Deletes: []search.Tombstone{t}}); err != nil {
			return fmt.Errorf("replica %s: %w", m.replicas[i].Name, err)
		}
	}
	m.done.Deleted++
	return nil
}

func (m *mending) write(ctx context.Context, to int, b search.Batch) (search.Written, error) {
	crowd, err := m.s.writes.enter(ctx, 1)
	if err != nil {
		return search.Written{}, err
	}
	defer m.s.writes.leave(crowd)
	b.Collection, b.Epoch = m.c.Name, m.r.writeEpoch(m.r.topo.Load())
	return guarded(func() (search.Written, error) { return m.replicas[to].Store.Write(ctx, b) })
}
