package milvus

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// maxMessage is about how many bytes of points go into one call.
const maxMessage = 16 << 20

// Write applies a batch. Everything in it is checked before anything is written, but
// the server applies it in parts, and a write of another Store may come between. A
// point or tombstone that is older than what is stored is left out and reported in
// Written.Newer. A lower epoch than the collection, or this Store, has seen is
// fault.Conflict.
//
// When ctx ends first, Write returns at once; the write goes on until it is done
// or Config.WriteTimeout is over, and the ids in it are locked for as long.
func (s *Store) Write(ctx context.Context, b search.Batch) (search.Written, error) {
	if err := s.enter(ctx, "write"); err != nil {
		return search.Written{}, err
	}
	done := make(chan result, 1)
	go func() { // owned by Close, which waits until leave
		defer s.leave()
		out, err := s.write(ctx, b)
		done <- result{out, err}
	}()
	select {
	case r := <-done:
		return r.written, r.err
	case <-ctx.Done():
		return search.Written{}, s.ended("write", ctx.Err())
	}
}

type result struct {
	written search.Written
	err     error
}

// write does the work. What the caller's end must not cut short runs in a context
// of its own.
func (s *Store) write(ctx context.Context, b search.Batch) (out search.Written, err error) {
	switch {
	case s.cfg.external(b.Collection) != nil || b.Create != nil && s.cfg.external(b.Create.Name) != nil:
		return search.Written{}, fault.BadField("/collection", "collection %q is external: lanewise only reads it", b.Collection)
	case b.Create != nil:
		return search.Written{}, s.create(ctx, *b.Create)
	case b.Drop:
		return search.Written{}, s.drop(ctx, b.Collection)
	}
	err = s.withSchema(ctx, b.Collection, func(c schema) error {
		out, err = s.apply(ctx, c, b)
		return err
	})
	return out, err
}

// change is what a batch does to one id.
type change struct {
	version search.Version
	point   *search.Point // nil: deletion
	filter  []byte        // of the point: its filter field
}

// changes checks a batch and brings it down to one change for each primary key: the
// newest; of the same version the later one, and a deletion after an upsert.
func changes(c schema, b search.Batch) (map[string]change, error) {
	all := make(map[string]change, len(b.Upserts)+len(b.Deletes))
	take := func(k search.Key, one change) {
		pk := primary(k)
		if old, ok := all[pk]; !ok || one.version >= old.version {
			all[pk] = one
		}
	}
	for i := range b.Upserts {
		p := &b.Upserts[i]
		if err := checkPoint(c, *p); err != nil {
			return nil, err
		}
		filter, err := shadowOf(p.Meta)
		if err != nil {
			return nil, err
		}
		take(p.Key, change{p.Version, p, filter})
	}
	for _, t := range b.Deletes {
		if t.ID != "" && storable(t.Key) { // nobody has another key
			take(t.Key, change{version: t.Version})
		}
	}
	return all, nil
}

// apply writes what is not older than what is stored.
func (s *Store) apply(ctx context.Context, c schema, b search.Batch) (search.Written, error) {
	all, err := changes(c, b)
	if err != nil || len(all) == 0 && b.Epoch == 0 {
		return search.Written{}, err
	}
	pks := slices.Sorted(maps.Keys(all))
	unlock, err := s.guard.ids.Lock(ctx, pks)
	if err != nil {
		return search.Written{}, s.ended("write "+c.Name, err)
	}
	defer unlock()
	if b.Epoch != 0 {
		pks = append(pks, fencePK)
	}
	stored, err := s.versions(ctx, c, pks)
	if err != nil {
		return search.Written{}, err
	}
	kept := uint64(stored[fencePK])
	delete(stored, fencePK)
	if err := s.pass(b.Epoch, kept); err != nil {
		return search.Written{}, err
	}
	out := search.Written{Lag: s.lag()}
	for pk, v := range stored {
		if v > all[pk].version {
			out.Newer = max(out.Newer, v)
			delete(all, pk)
		}
	}
	out.Applied = len(all)
	if b.Epoch > kept {
		all[fencePK] = change{search.Version(b.Epoch), &search.Point{Version: search.Version(b.Epoch)}, []byte("{}")}
	}
	if len(all) == 0 {
		return out, nil
	}
	if ctx.Err() != nil {
		return out, s.ended("write "+c.Name, ctx.Err()) // nothing was written yet
	}
	return out, s.commit(context.WithoutCancel(ctx), c, all)
}

// pass refuses a write of a lower epoch than the collection or this Store has seen.
func (s *Store) pass(epoch, kept uint64) error {
	if seen := max(kept, s.epoch.Load()); epoch != 0 && epoch < seen {
		return fault.New(fault.Conflict, "the write is of epoch %d, this store has seen epoch %d: read the shard map again", epoch, seen)
	}
	for old := s.epoch.Load(); epoch > old && !s.epoch.CompareAndSwap(old, epoch); {
		old = s.epoch.Load()
	}
	return nil
}

// lag is how long a search may not find a write.
func (s *Store) lag() time.Duration {
	if s.cfg.Consistency == Strong || s.cfg.Consistency == Session {
		return 0
	}
	return s.cfg.Lag
}

// versions returns the versions of those of the points that are there, and of those
// that this Store deleted lately. Reading with bounded consistency does not wait; what it
// may not see yet is what this Store remembers.
func (s *Store) versions(ctx context.Context, c schema, pks []string) (map[string]search.Version, error) {
	level, since := boundedly()
	if s.guard.doubts(c.Name) {
		level, since = strongly()
	}
	stored := make(map[string]search.Version)
	for part := range slices.Chunk(pks, maxRows/2) {
		out, err := s.query(ctx, c, &milvuspb.QueryRequest{
			Expr: "pk in " + literals(part), OutputFields: columns(search.Fields{}), ConsistencyLevel: level, GuaranteeTimestamp: since,
		}, 0)
		if err != nil {
			return nil, err
		}
		found := newRows(out.GetFieldsData(), nil, c)
		if err := found.check(search.Fields{}); err != nil {
			return nil, err
		}
		for i, pk := range found.pk {
			stored[pk] = max(stored[pk], search.Version(found.version[i])) //nolint:gosec // the bits
		}
	}
	s.guard.remembered(c.Name, pks, stored)
	return stored, nil
}

// commit sends the changes. The caller may be gone: ctx does not end with its.
func (s *Store) commit(ctx context.Context, c schema, all map[string]change) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	var upserts []change
	var deletes []string
	written := make(map[string]search.Version, len(all))
	for _, pk := range slices.Sorted(maps.Keys(all)) {
		written[pk] = all[pk].version
		if all[pk].point == nil {
			deletes = append(deletes, pk)
		} else {
			upserts = append(upserts, all[pk])
		}
	}
	err := s.upsert(ctx, c, upserts)
	if err == nil {
		err = s.remove(ctx, c, deletes)
	}
	if err != nil {
		s.guard.doubt(c.Name, slices.Collect(maps.Keys(all)))
		if errors.Is(err, context.DeadlineExceeded) {
			return s.unavailable("write "+c.Name, "no answer within "+s.cfg.WriteTimeout.String())
		}
		return err
	}
	s.guard.note(c.Name, written)
	return nil
}

// upsert stores points, in calls of a bounded size.
func (s *Store) upsert(ctx context.Context, c schema, list []change) error {
	for len(list) > 0 {
		n, size := 0, 0
		for n < len(list) && (n == 0 || size < maxMessage) {
			p := list[n].point
			size += 4*c.Dims + len(p.Text) + len(p.Meta) + len(list[n].filter) + 11*len(p.Sparse.Index) + 2*len(p.ID) + 2*len(p.Tenant)
			n++
		}
		began := s.session.now()
		out, err := s.rpc.Upsert(ctx, &milvuspb.UpsertRequest{
			CollectionName: c.engine, FieldsData: pack(c, list[:n]), NumRows: uint32(n), //nolint:gosec // a few million at most
		})
		if err := s.judge(ctx, "write "+c.Name, out.GetStatus(), err); err != nil {
			return err
		}
		s.session.saw(out.GetTimestamp(), began)
		list = list[n:]
	}
	return nil
}

// remove deletes points by primary key.
func (s *Store) remove(ctx context.Context, c schema, pks []string) error {
	for part := range slices.Chunk(pks, maxRows/2) {
		began := s.session.now()
		out, err := s.rpc.Delete(ctx, &milvuspb.DeleteRequest{CollectionName: c.engine, Expr: "pk in " + literals(part)})
		if err := s.judge(ctx, "delete from "+c.Name, out.GetStatus(), err); err != nil {
			return err
		}
		s.session.saw(out.GetTimestamp(), began)
	}
	return nil
}
