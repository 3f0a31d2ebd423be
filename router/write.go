package router

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// maxIDLength bounds the ids of points, in bytes: stores keep them in memory.
const maxIDLength = 512

// Upsert stores points on every replica of the shards that own them, embedding
// the texts of those that come without a vector. It returns when all of them are
// durable everywhere.
//
// Errors: fault.Invalid names the point at fault and nothing has been written;
// a *WriteError names per point the replicas that have it, and repeating is safe.
func (r *Router) Upsert(ctx context.Context, u Upsert) (Ack, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.WriteTimeout)
	defer cancel()
	for {
		ack, err := r.upsert(ctx, u)
		if !errors.Is(err, errElsewhere) {
			return ack, err
		}
	}
}

func (r *Router) upsert(ctx context.Context, u Upsert) (Ack, error) {
	t := r.topo.Load()
	c, err := t.writable(u.Collection, u.Tenant)
	if err != nil {
		return Ack{}, err
	}
	points, err := r.readyPoints(ctx, c, u)
	if err != nil {
		return Ack{}, err
	}
	return r.commit(ctx, c, search.Batch{Collection: u.Collection, Upserts: points})
}

// Delete removes points from every replica of the shards that own them. A
// filter is first resolved to the ids that match it now.
func (r *Router) Delete(ctx context.Context, d Delete) (Ack, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.WriteTimeout)
	defer cancel()
	for {
		ack, err := r.deletePoints(ctx, d)
		if !errors.Is(err, errElsewhere) {
			return ack, err
		}
	}
}

func (r *Router) deletePoints(ctx context.Context, d Delete) (Ack, error) {
	t := r.topo.Load()
	c, err := t.writable(d.Collection, d.Tenant)
	if err != nil {
		return Ack{}, err
	}
	if d.IDs == nil {
		if d.Filter.IsZero() {
			return Ack{}, fault.BadField("/filter", "give ids or a filter; to delete everything, drop the collection")
		}
		return r.deleteMatching(ctx, c, d)
	}
	b := search.Batch{Collection: d.Collection}
	for _, id := range d.IDs {
		b.Deletes = append(b.Deletes, search.Tombstone{Key: search.Key{Tenant: d.Tenant, ID: id}})
	}
	return r.commit(ctx, c, b)
}

// deleteMatching walks through the points that match and deletes them page by page.
func (r *Router) deleteMatching(ctx context.Context, c search.Collection, d Delete) (Ack, error) {
	var total Ack
	scan := search.Scan{Collection: c.Name, Tenant: d.Tenant, Filter: d.Filter, Limit: 1000}
	for {
		page, err := r.Scroll(ctx, scan)
		if err != nil || len(page.Points) == 0 {
			return total, err
		}
		b := search.Batch{Collection: d.Collection}
		for _, p := range page.Points {
			b.Deletes = append(b.Deletes, search.Tombstone{Key: p.Key})
		}
		ack, err := r.commit(ctx, c, b)
		total.Written += ack.Written
		total.Version, total.Lag = max(total.Version, ack.Version), max(total.Lag, ack.Lag)
		if err != nil || !page.More {
			return total, err
		}
		scan.After = page.Points[len(page.Points)-1].Key
	}
}

// writable returns the collection if points may be written to it.
func (t *topology) writable(name, tenant string) (search.Collection, error) {
	c, ok := t.m.Collection(name)
	switch {
	case !ok:
		return c, unknownCollection(name)
	case c.Placement.By == search.ByExternal:
		return c, fault.BadField("/collection", "collection %q is external and read-only", c.Name)
	}
	return c, checkTenant(c, tenant)
}

// readyPoints checks the points of an upsert and embeds those without a vector.
func (r *Router) readyPoints(ctx context.Context, c search.Collection, u Upsert) ([]search.Point, error) {
	points, t := make([]search.Point, len(u.Points)), r.topo.Load()
	var texts []string
	var bare []int // points without a vector
	for i, p := range u.Points {
		p.Tenant, p.Version = u.Tenant, 0
		at := fmt.Sprintf("/points/%d", i)
		if err := cmp.Or(checkPoint(at, p, c), t.holdable(at, p)); err != nil {
			return nil, err
		}
		if len(p.Dense) == 0 {
			bare, texts = append(bare, i), append(texts, p.Text)
		}
		points[i] = p
	}
	if err := r.inWords(c, points); err != nil {
		return nil, err
	}
	if len(bare) == 0 {
		return points, nil
	}
	v, err := r.embed(ctx, c, embed.Batch{Texts: texts, Task: embed.DocumentTask, Bulk: true})
	if err != nil {
		return nil, err
	}
	for row, i := range bare {
		points[i].Dense = v.Row(row)
	}
	return points, nil
}

// checkPoint refuses a point that no store should hold. path is its JSON pointer.
func checkPoint(path string, p search.Point, c search.Collection) error {
	switch {
	case p.ID == "":
		return fault.BadField(path+"/id", "must not be empty")
	case len(p.ID) > maxIDLength:
		return fault.BadField(path+"/id", "has %d bytes, at most %d are possible", len(p.ID), maxIDLength)
	case len(p.Dense) == 0 && p.Text == "":
		return fault.BadField(path, "point %q has neither text nor vector", p.ID)
	case len(p.Dense) > 0:
		if err := checkVector(path+"/vector", p.Dense, c); err != nil {
			return err
		}
	}
	var object map[string]json.RawMessage
	if len(p.Meta) > 0 && json.Unmarshal(p.Meta, &object) != nil {
		return fault.BadField(path+"/metadata", "must be a JSON object")
	}
	return nil
}

// enter passes the turnstiles of the shards that the jobs go to, all replicas of a shard
// together, so that a comparison never falls between them.
func (r *Router) enter(ctx context.Context, jobs []job) ([]job, error) {
	for i := range jobs {
		if i > 0 && jobs[i].shard == jobs[i-1].shard {
			jobs[i].crowd = jobs[i-1].crowd
			continue
		}
		crowd, err := jobs[i].shard.writes.enter(ctx, len(jobs[i].shard.replicas))
		if err != nil {
			for _, j := range jobs[:i] {
				j.shard.writes.leave(j.crowd)
			}
			return nil, err
		}
		jobs[i].crowd = crowd
	}
	return jobs, nil
}

// acknowledge notes what every replica has confirmed.
func acknowledge(jobs []job) {
	for _, j := range jobs {
		newest := search.Version(0)
		for _, p := range j.part.Upserts {
			newest = max(newest, p.Version)
		}
		for _, d := range j.part.Deletes {
			newest = max(newest, d.Version)
		}
		j.shard.acked.add(j.part.Collection, newest)
	}
}

// job is the part of a write that goes to one replica.
type job struct {
	name    string // shard/replica
	shard   *shard
	crowd   *crowd // in the shard's turnstile
	replica Replica
	part    search.Batch
}

// outcome is what became of a job.
type outcome struct {
	job     int
	written search.Written
	err     error
}

// jobs lists what is to be written where.
func (r *Router) jobs(t *topology, c search.Collection, b search.Batch) []job {
	var out []job
	for i, part := range t.split(c, b) {
		if len(part.Upserts)+len(part.Deletes) == 0 {
			continue
		}
		part.Collection, part.Epoch = c.Name, r.writeEpoch(t)
		for _, replica := range t.shards[i].replicas {
			out = append(out, job{name: t.shards[i].name + "/" + replica.Name, shard: t.shards[i], replica: replica, part: part})
		}
	}
	return out
}

// guarded turns a panic of a store into an error of that call.
func guarded[R any](call func() (R, error)) (res R, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Unavailable, "the store panicked: %v", p)
		}
	}()
	return call()
}

// writeEpoch is the epoch that fences off routers with an older map. A map in
// memory has no history, so it fences off nobody.
func (r *Router) writeEpoch(t *topology) uint64 {
	if r.keep == nil {
		return 0
	}
	return t.m.Epoch()
}

// split deals a batch out to the shards that own its points. Under placement by
// key an id's old place is unknown: an upsert also deletes it from the other
// shards, and a delete goes everywhere.
func (t *topology) split(c search.Collection, b search.Batch) []search.Batch {
	parts := make([]search.Batch, len(t.shards))
	everywhere := c.Placement.By == search.ByKey
	for _, p := range b.Upserts {
		owner := t.m.Owner(c, p.Key, p.Meta)
		parts[owner].Upserts = append(parts[owner].Upserts, p)
		for i := range parts {
			if everywhere && i != owner {
				parts[i].Deletes = append(parts[i].Deletes, search.Tombstone{Key: p.Key, Version: p.Version})
			}
		}
	}
	for _, d := range b.Deletes {
		if everywhere {
			for i := range parts {
				parts[i].Deletes = append(parts[i].Deletes, d)
			}
			continue
		}
		owner := t.m.Owner(c, d.Key, nil)
		parts[owner].Deletes = append(parts[owner].Deletes, d)
	}
	return parts
}
