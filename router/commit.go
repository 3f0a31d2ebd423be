package router

import (
	"context"
	"errors"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// commit stamps a batch and writes it to the replicas of the shards it touches.
// Where a replica turns out to hold a newer version, the clock moves past it and
// the batch is stamped and written again, so that an acknowledged write is
// really the newest.
func (r *Router) commit(ctx context.Context, c search.Collection, b search.Batch) (Ack, error) {
	n := len(b.Upserts) + len(b.Deletes)
	if n == 0 {
		return Ack{}, nil
	}
	b.Upserts = lastOfEach(b.Upserts)
	for {
		var last search.Version
		written, err := r.writeAll(ctx, c, func() search.Batch {
			last = r.stamp(&b)
			return b
		})
		if err != nil {
			return Ack{}, err
		}
		if written.Newer == 0 {
			return Ack{Written: n, Version: last, Lag: written.Lag}, nil
		}
		r.clock.advance(written.Newer)
	}
}

// lastOfEach keeps the last point of each id: a batch that writes an id twice would stop
// its own first write, and never be the newest.
func lastOfEach(points []search.Point) []search.Point {
	last := make(map[search.Key]int, len(points))
	for i := range points {
		last[points[i].Key] = i
	}
	if len(last) == len(points) {
		return points
	}
	kept := make([]search.Point, 0, len(last))
	for i := range points {
		if last[points[i].Key] == i {
			kept = append(kept, points[i])
		}
	}
	return kept
}

// stamp gives every write of the batch a fresh version and returns the last.
func (r *Router) stamp(b *search.Batch) search.Version {
	n := len(b.Upserts) + len(b.Deletes)
	fresh := r.clock.next(n)
	for i := range b.Upserts {
		b.Upserts[i].Version = fresh.at(i)
	}
	for i := range b.Deletes {
		b.Deletes[i].Version = fresh.at(len(b.Upserts) + i)
	}
	return fresh.at(n - 1)
}

// writeAll is writeOnce, and again where the shard map was edited in between: stores refuse what an
// older epoch sends.
func (r *Router) writeAll(ctx context.Context, c search.Collection, stamped func() search.Batch) (search.Written, error) {
	for {
		epoch := r.topo.Load().m.Epoch()
		written, err := r.writeOnce(ctx, c, stamped)
		if !errors.Is(err, fault.Conflict) || errors.Is(err, errElsewhere) || !r.overtaken(ctx, epoch) {
			return written, err
		}
	}
}

// overtaken reports whether the map in force is newer than that of an epoch, for who was refused. A map
// that is shared is read again for that.
func (r *Router) overtaken(ctx context.Context, epoch uint64) bool {
	if k, shared := r.keep.(*sharedMap); shared && r.topo.Load().m.Epoch() == epoch {
		if r.change.enter(ctx) != nil {
			return false
		}
		defer r.change.Unlock()
		if r.topo.Load().m.Epoch() == epoch && k.catchUp(ctx) != nil {
			return false
		}
	}
	return r.topo.Load().m.Epoch() > epoch
}

func (r *Router) mapIsShared() bool { return r.cfg.MapStore != nil }

// mayWrite refuses while a router that shares its map has no lease.
func (r *Router) mayWrite() error {
	if k, shared := r.keep.(*sharedMap); shared {
		return k.tenure.check()
	}
	return nil
}

// writeOnce splits a stamped batch by shard and writes each part to every
// replica of its shard, side by side. It hears all of them out, also when one
// fails, but not beyond the deadline: what is silent then counts as failed. Versions are stamped once the
// write is under way, so that who waits for the writes under way knows all lower versions to be stored.
//
// It takes the topology of the moment, which is not that of a move until all writes that
// took an older one have ended.
func (r *Router) writeOnce(ctx context.Context, c search.Collection, stamped func() search.Batch) (search.Written, error) {
	crowd, t, b, err := r.enterCommit(ctx, c, stamped)
	if err != nil {
		return search.Written{}, err
	}
	defer r.commits.leave(crowd)
	if err := r.mayWrite(); err != nil {
		return search.Written{}, err
	}
	now, ok := t.m.Collection(c.Name)
	if !ok || !now.Accepts(c) && !c.Accepts(now) {
		return search.Written{}, unknownCollection(c.Name)
	}
	if now.Lexical && !c.Lexical { // it became lexical while the texts were embedded
		if err := r.inWords(now, b.Upserts); err != nil {
			return search.Written{}, err
		}
	}
	if t.move != nil {
		if err := t.move.check(c, b); err != nil {
			return search.Written{}, err
		}
	}
	jobs, err := r.enter(ctx, r.jobs(t, c, b))
	if err != nil {
		return search.Written{}, err
	}
	heard := make(chan outcome, len(jobs))
	for i, job := range jobs {
		r.writes.Go(func() {
			defer job.shard.writes.leave(job.crowd)
			written, err := guarded(func() (search.Written, error) { return job.replica.Store.Write(ctx, job.part) })
			heard <- outcome{job: i, written: written, err: err}
		})
	}
	tally := newTally()
	silent := make(map[int]bool, len(jobs))
	for i := range jobs {
		silent[i] = true
	}
	for range jobs {
		select {
		case o := <-heard:
			delete(silent, o.job)
			tally.add(jobs[o.job], o.written, o.err)
		case <-ctx.Done():
			for i := range silent {
				tally.add(jobs[i], search.Written{}, context.Cause(ctx))
			}
			return tally.result()
		}
	}
	written, err := tally.result()
	if err == nil {
		acknowledge(jobs)
	}
	return written, err
}
