package router

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// route is a way that points of a plan take: from a shard of the old map to one of the new.
type route struct{ from, to int }

// sum is what moves on one route.
type sum struct {
	points int
	digest uint64
}

func (s *sum) add(p search.Point) {
	s.points++
	s.digest += search.Digest(p.Key, p.Version)
}

// collection copies what moves of one collection, and verifies the copies.
func (j *journey) collection(ctx context.Context, c search.Collection) error {
	for _, s := range j.joins {
		create := search.Batch{Collection: c.Name, Create: &c, Epoch: j.r.writeEpoch(j.old)}
		if _, err := again(ctx, func() (struct{}, error) { return struct{}{}, j.r.writeTo(ctx, s, create) }); err != nil {
			return fmt.Errorf("create it on shard %s: %w", s.name, err)
		}
	}
	for to := range j.next {
		if err := j.undo(ctx, c, to); err != nil {
			return fmt.Errorf("shard %s: %w", j.next[to].name, err)
		}
	}
	sent := map[route]sum{}
	for from := range j.old.shards {
		if err := j.send(ctx, c, from, sent); err != nil {
			return fmt.Errorf("from shard %s: %w", j.old.shards[from].name, err)
		}
	}
	return j.verify(ctx, c, sent)
}

// arrival is a replica of a shard that points move to.
type arrival struct {
	c     search.Collection
	to    int
	store search.Store
}

// arrivals calls f with the points of one page after another that a replica holds and that move
// to its shard.
func (j *journey) arrivals(ctx context.Context, at arrival, f func(map[route][]search.Point) error) error {
	return pages(ctx, at.store.Scroll, scanOf(at.c), func(points []search.Point) error {
		found := map[route][]search.Point{}
		for _, p := range points {
			from, owner, moves := j.move.plan.Moves(at.c, p.Key, p.Meta)
			if moves && owner == at.to {
				found[route{from, at.to}] = append(found[route{from, at.to}], p)
			}
		}
		return f(found)
	})
}

// scanOf walks through all of a collection, with the metadata if that places the points.
func scanOf(c search.Collection) search.Scan {
	return search.Scan{
		Collection: c.Name, AllTenants: true, Limit: 2 * repairBatch,
		Fields: search.Fields{Meta: c.Placement.By == search.ByKey},
	}
}

// pages calls f with one page after another.
func pages(ctx context.Context, scroll func(context.Context, search.Scan) (search.Page, error), s search.Scan, f func([]search.Point) error) error {
	for {
		page, err := again(ctx, func() (search.Page, error) { return scroll(ctx, s) })
		if err != nil {
			return err
		}
		if n := len(page.Points); n > 0 {
			s.After = page.Points[n-1].Key
			if err := f(page.Points); err != nil {
				return err
			}
		}
		if !page.More || len(page.Points) == 0 {
			return nil
		}
	}
}

// undo removes copies of an earlier attempt that the old shard has changed or deleted since.
func (j *journey) undo(ctx context.Context, c search.Collection, to int) error {
	s := j.next[to]
	for _, replica := range s.replicas {
		err := j.arrivals(ctx, arrival{c, to, replica.Store}, func(found map[route][]search.Point) error {
			for way, points := range found {
				stale, err := j.stale(ctx, c, way, points)
				if err != nil {
					return err
				}
				if err := j.write(ctx, s, replica, search.Batch{Collection: c.Name, Deletes: stale}); err != nil {
					return err
				}
				j.moved.Undone += int64(len(stale))
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("replica %s: %w", replica.Name, err)
		}
	}
	return nil
}

// stale lists the copies that differ from what the old shard holds.
func (j *journey) stale(ctx context.Context, c search.Collection, way route, points []search.Point) ([]search.Tombstone, error) {
	have, err := j.versions(ctx, c, way.from, points)
	if err != nil {
		return nil, err
	}
	var stale []search.Tombstone
	for _, p := range points {
		if v, ok := have[p.Key]; !ok || v != p.Version {
			stale = append(stale, search.Tombstone{Key: p.Key, Version: p.Version})
		}
	}
	return stale, nil
}

// versions asks an old shard for the versions that it holds of some points.
func (j *journey) versions(ctx context.Context, c search.Collection, from int, points []search.Point) (map[search.Key]search.Version, error) {
	found, err := again(ctx, func() ([]search.Point, error) {
		return read(ctx, j.old.shards[from], "get", func(ctx context.Context, store search.Store) ([]search.Point, error) {
			return store.Get(ctx, c.Name, keysOf(points), search.Fields{})
		})
	})
	return versionsOf(found), err
}

func keysOf(points []search.Point) []search.Key {
	keys := make([]search.Key, len(points))
	for i, p := range points {
		keys[i] = p.Key
	}
	return keys
}

func versionsOf(points []search.Point) map[search.Key]search.Version {
	versions := make(map[search.Key]search.Version, len(points))
	for _, p := range points {
		versions[p.Key] = p.Version
	}
	return versions
}

// send copies what moves away from one shard, and adds up what that is.
func (j *journey) send(ctx context.Context, c search.Collection, from int, sent map[route]sum) error {
	s := j.old.shards[from]
	scroll := func(ctx context.Context, scan search.Scan) (search.Page, error) {
		return read(ctx, s, "scroll", func(ctx context.Context, store search.Store) (search.Page, error) { return store.Scroll(ctx, scan) })
	}
	return pages(ctx, scroll, scanOf(c), func(points []search.Point) error {
		leaving := map[int][]search.Point{}
		for _, p := range points {
			owner, to, moves := j.move.plan.Moves(c, p.Key, p.Meta)
			if owner != from || !moves {
				continue // a copy of an earlier move, or it stays
			}
			leaving[to] = append(leaving[to], p)
			way := sent[route{from, to}]
			way.add(p)
			sent[route{from, to}] = way
		}
		for to, points := range leaving {
			if err := j.deliver(ctx, c, route{from, to}, points); err != nil {
				return fmt.Errorf("to shard %s: %w", j.next[to].name, err)
			}
		}
		return nil
	})
}

// deliver copies points to the replicas that do not have them yet.
func (j *journey) deliver(ctx context.Context, c search.Collection, way route, points []search.Point) error {
	var missing []search.Key
	target := j.next[way.to]
	has := make([]map[search.Key]search.Version, len(target.replicas))
	for i, replica := range target.replicas {
		found, err := again(ctx, func() ([]search.Point, error) { return replica.Store.Get(ctx, c.Name, keysOf(points), search.Fields{}) })
		if err != nil {
			return fmt.Errorf("replica %s: %w", replica.Name, err)
		}
		has[i] = versionsOf(found)
	}
	for _, p := range points {
		for i := range has {
			if v, ok := has[i][p.Key]; !ok || v != p.Version {
				missing = append(missing, p.Key)
				break
			}
		}
	}
	j.moved.Already += int64(len(points) - len(missing))
	j.move.done.Add(int64(len(points) - len(missing)))
	for len(missing) > 0 {
		n := min(len(missing), repairBatch)
		if err := j.copy(ctx, c, way, missing[:n]); err != nil {
			return err
		}
		missing = missing[n:]
	}
	return nil
}

// copy reads points from the old shard and writes them to every replica of the new one.
func (j *journey) copy(ctx context.Context, c search.Collection, way route, keys []search.Key) error {
	if err := j.move.pace.wait(ctx, len(keys)); err != nil {
		return err
	}
	points, err := again(ctx, func() ([]search.Point, error) {
		return read(ctx, j.old.shards[way.from], "get", func(ctx context.Context, store search.Store) ([]search.Point, error) {
			return store.Get(ctx, c.Name, keys, search.Fields{Text: true, Meta: true, Vector: true})
		})
	})
	if err != nil {
		return err
	}
	target := j.next[way.to]
	for _, replica := range target.replicas {
		if err := j.write(ctx, target, replica, search.Batch{Collection: c.Name, Upserts: points}); err != nil {
			return fmt.Errorf("replica %s: %w", replica.Name, err)
		}
	}
	j.moved.Copied += int64(len(points))
	j.move.done.Add(int64(len(points)))
	return nil
}

// write sends a batch to one replica, past the turnstile of its shard.
func (j *journey) write(ctx context.Context, s *shard, replica Replica, b search.Batch) error {
	if len(b.Upserts)+len(b.Deletes) == 0 {
		return nil
	}
	crowd, err := s.writes.enter(ctx, 1)
	if err != nil {
		return err
	}
	defer s.writes.leave(crowd)
	b.Epoch = j.r.writeEpoch(j.old)
	_, err = again(ctx, func() (search.Written, error) { return replica.Store.Write(ctx, b) })
	return err
}

// verify compares the number and the digest of what was sent with what every replica holds.
func (j *journey) verify(ctx context.Context, c search.Collection, sent map[route]sum) error {
	for to, s := range j.next {
		for _, replica := range s.replicas {
			got := map[route]sum{}
			err := j.arrivals(ctx, arrival{c, to, replica.Store}, func(found map[route][]search.Point) error {
				for way, points := range found {
					there := got[way]
					for _, p := range points {
						there.add(p)
					}
					got[way] = there
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("verify replica %s/%s: %w", s.name, replica.Name, err)
			}
			for from := range j.old.shards {
				if way := (route{from, to}); got[way] != sent[way] {
					return fault.New(fault.Unavailable, "the copy on replica %s/%s does not verify: %d points with digest %x came from shard %s, and %d with %x were sent; apply the plan again",
						s.name, replica.Name, got[way].points, got[way].digest, j.old.shards[from].name, sent[way].points, sent[way].digest)
				}
			}
		}
	}
	return nil
}

// sweeping is a replica whose foreign points are to be removed.
type sweeping struct {
	topo    *topology
	c       search.Collection
	shard   int
	replica Replica
	pace    *pace
}

// sweep removes the points that a replica's shard does not own.
func (r *Router) sweep(ctx context.Context, w sweeping) (n int64, err error) {
	err = pages(ctx, w.replica.Store.Scroll, scanOf(w.c), func(points []search.Point) error {
		b := search.Batch{Collection: w.c.Name, Epoch: r.writeEpoch(w.topo)}
		for _, p := range points {
			if w.topo.m.Owner(w.c, p.Key, p.Meta) != w.shard {
				b.Deletes = append(b.Deletes, search.Tombstone{Key: p.Key, Version: p.Version})
			}
		}
		if len(b.Deletes) == 0 {
			return nil
		}
		if err := w.pace.wait(ctx, len(b.Deletes)); err != nil {
			return err
		}
		n += int64(len(b.Deletes))
		_, err := again(ctx, func() (search.Written, error) { return w.replica.Store.Write(ctx, b) })
		return err
	})
	return n, err
}

// The waits between the attempts of a step of a move, doubling.
const (
	firstPause = 100 * time.Millisecond
	attempts   = 6
)

// again repeats a step while its replica is unavailable or overloaded, a few times.
func again[R any](ctx context.Context, step func() (R, error)) (res R, err error) {
	wait := firstPause
	for range attempts {
		res, err = guarded(step)
		if err == nil || !errors.Is(err, fault.Unavailable) && !errors.Is(err, fault.Overloaded) {
			return res, err
		}
		if ended := pause(ctx, max(wait, fault.RetryAfter(err))); ended != nil {
			return res, errors.Join(err, ended)
		}
		wait *= 2
	}
	return res, err
}
