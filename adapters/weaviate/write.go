package weaviate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	pb "github.com/weaviate/weaviate/grpc/generated/protocol/v1"
	"google.golang.org/grpc"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/wellformed"
	"github.com/lanewise/lanewise/search"
)

// Write applies a batch. Everything in it is checked before anything is written, but the
// server applies it object by object, and a write of another Store may come between. A
// point or tombstone that is older than what is stored is left out and reported in
// Written.Newer. A lower epoch than the collection, or this Store, has seen is
// fault.Conflict.
//
// When ctx ends first, Write returns at once; the write goes on until it is done or
// Config.WriteTimeout is over, and the ids in it are locked for as long.
func (s *Store) Write(ctx context.Context, b search.Batch) (search.Written, error) {
	if err := s.enter(ctx, "write"); err != nil {
		return search.Written{}, err
	}
	if s.cfg.external(b.Collection) != nil || b.Create != nil && s.cfg.external(b.Create.Name) != nil {
		s.leave()
		return search.Written{}, fault.BadField("/collection", "collection %q is external: lanewise only reads it", b.Collection)
	}
	done := make(chan result, 1)
	go func() { // owned by Close, which waits until leave
		defer s.leave()
		out, err := s.write(ctx, &b)
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

// write does the work. What the caller's end must not cut short runs in a context of its
// own.
func (s *Store) write(ctx context.Context, b *search.Batch) (out search.Written, err error) {
	switch {
	case b.Create != nil:
		return out, s.create(ctx, *b.Create)
	case b.Drop:
		return out, s.drop(ctx, b.Collection)
	}
	err = s.withClass(ctx, b.Collection, func(c *class) error {
		out, err = s.apply(ctx, c, b)
		return err
	})
	return out, err
}

// change is what a batch does to one id.
type change struct {
	version search.Version
	point   *search.Point // nil: deletion
	indexed indexed       // of the point
}

// changes checks a batch and brings it down to one change for each object: the newest; of
// the same version the later one, and a deletion after an upsert.
func changes(c *class, b *search.Batch) (map[string]change, error) {
	all := make(map[string]change, len(b.Upserts)+len(b.Deletes))
	take := func(k search.Key, one change) {
		id := objectID(k)
		if old, ok := all[id]; !ok || one.version >= old.version {
			all[id] = one
		}
	}
	for i := range b.Upserts {
		p := &b.Upserts[i]
		err := checkPoint(c, p)
		x := indexed{}
		if err == nil {
			x, err = index(p)
		}
		if err != nil {
			return nil, placed("/upserts", i, err)
		}
		take(p.Key, change{p.Version, p, x})
	}
	for i, t := range b.Deletes {
		if err := checkKey(t.Key); err != nil {
			return nil, placed("/deletes", i, err)
		}
		take(t.Key, change{version: t.Version})
	}
	return all, nil
}

// checkPoint refuses what cannot be stored, before anything is.
func checkPoint(c *class, p *search.Point) error {
	if err := checkKey(p.Key); err != nil {
		return err
	}
	if len(p.Dense) > 0 {
		if err := wellformed.Dense("/dense", c.Dims, p.Dense); err != nil {
			return err
		}
	}
	if len(p.Text) > largestText || !utf8.ValidString(p.Text) {
		return fault.BadField("/text", "has %d bytes; it must be UTF-8 and have at most %d", len(p.Text), largestText)
	}
	if err := checkMeta(p.Meta); err != nil {
		return err
	}
	return wellformed.Sparse("/sparse", p.Sparse)
}

// placed puts the place of a point before the field that an error blames.
func placed(at string, i int, err error) error {
	if e, ok := errors.AsType[*fault.Error](err); ok {
		e.Field = fmt.Sprintf("%s/%d%s", at, i, e.Field) // err was made for this call alone
	}
	return err
}

// apply writes what is not older than what is stored.
func (s *Store) apply(ctx context.Context, c *class, b *search.Batch) (search.Written, error) {
	all, err := changes(c, b)
	if err != nil || len(all) == 0 && b.Epoch == 0 {
		return search.Written{}, err
	}
	if len(b.Deletes) > 0 {
		if err := s.sweep(ctx, c); err != nil {
			return search.Written{}, err
		}
	}
	unlock, err := s.locks.Lock(ctx, slices.Collect(maps.Keys(all)))
	if err != nil {
		return search.Written{}, s.ended("write "+c.Name, err)
	}
	defer unlock()
	stored, err := s.stored(ctx, c, all)
	if err != nil {
		return search.Written{}, err
	}
	if err := s.pass(b.Epoch, stored.epoch); err != nil {
		return search.Written{}, err
	}
	out := search.Written{Lag: s.cfg.Lag}
	for id, v := range stored.versions {
		if v > all[id].version {
			out.Newer = max(out.Newer, v)
			delete(all, id)
		}
	}
	out.Applied = len(all)
	raise := b.Epoch > stored.epoch
	if len(all) == 0 && !raise {
		return out, nil
	}
	if ctx.Err() != nil {
		return out, s.ended("write "+c.Name, ctx.Err()) // nothing was written yet
	}
	epoch := uint64(0)
	if raise {
		epoch = b.Epoch
	}
	return out, s.commit(context.WithoutCancel(ctx), c, all, epoch)
}

// stored is what the server has that a batch depends on.
type stored struct {
	versions map[string]search.Version // of points and of marks; none where all writes are older than the batch
	epoch    uint64
}

// stored reads the fence, and the versions of a batch's ids where one of them may be newer.
// That is not so while every write that was told to have succeeded is older than the batch. One
// that failed may have left newer points behind; then they are overwritten, as if nothing of it
// had come here.
func (s *Store) stored(ctx context.Context, c *class, all map[string]change) (out stored, err error) {
	t := s.tally(c)
	rows, err := s.byID(ctx, c, []string{fenceID, flushID}, &reply{marks: true})
	for i := range rows {
		out.epoch = max(out.epoch, rows[i].epoch)
		t.note(rows[i].Version)
	}
	if err != nil || oldest(all) > search.Version(t.newest.Load()) {
		return out, err
	}
	rows, err = s.byID(ctx, c, slices.Sorted(maps.Keys(all)), &reply{marks: true})
	out.versions = make(map[string]search.Version, len(rows))
	for i := range rows {
		out.versions[rows[i].id] = rows[i].Version
	}
	return out, err
}

// oldest is the lowest version among changes.
func oldest(all map[string]change) search.Version {
	lowest := ^search.Version(0)
	for _, one := range all {
		lowest = min(lowest, one.version)
	}
	return lowest
}

// pass refuses a write of a lower epoch than the collection or this Store has seen.
func (s *Store) pass(epoch, kept uint64) error {
	seen := max(kept, s.epoch.Load())
	if epoch != 0 && epoch < seen {
		return fault.New(fault.Conflict, "the write is of epoch %d, this store has seen epoch %d: read the shard map again", epoch, seen)
	}
	raise(&s.epoch, epoch)
	return nil
}

// commit sends the changes and, above 0, the epoch. The caller may be gone: ctx does not
// end with its.
func (s *Store) commit(ctx context.Context, c *class, all map[string]change, epoch uint64) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	err := s.send(ctx, c, all, epoch)
	if errors.Is(err, context.DeadlineExceeded) {
		return s.unavailable("write "+c.Name, "no answer within "+s.cfg.WriteTimeout.String())
	}
	return err
}

func (s *Store) send(ctx context.Context, c *class, all map[string]change, epoch uint64) error {
	fields := map[string]string{}
	for _, one := range all {
		for name, o := range one.indexed.orders {
			fields[name] = o.path
		}
	}
	c, err := s.order(ctx, c, fields)
	if err != nil {
		return err
	}
	p := parcel{s: s, c: c}
	if epoch > 0 { // before the points: no write of the old epoch passes behind the first of the new
		p.fence(c, epoch)
	}
	p.grow(len(all), c.Dims)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		one := all[id]
		p.change(c, id, &one)
		if len(p.request) > maxMessage {
			if err := p.flush(ctx); err != nil {
				return err
			}
		}
	}
	if err := p.flush(ctx); err != nil {
		return err
	}
	t := s.tally(c)
	for _, one := range all {
		t.note(one.version)
	}
	t.telling.Lock()
	defer t.telling.Unlock()
	p.flushed(c, search.Version(t.newest.Load()))
	return p.flush(ctx)
}

// maxMessage is how many bytes of objects go into one call, but for the last object.
const maxMessage = 16 << 20

// parcel collects objects for a call.
type parcel struct {
	s *Store
	c *class
	draft
}

// flush sends what there is. An error of one object is the call's: which others were
// stored is not known to the caller either.
func (p *parcel) flush(ctx context.Context) error {
	if len(p.request) == 0 {
		return nil
	}
	out := &pb.BatchObjectsReply{}
	err := p.s.conn.Invoke(ctx, pb.Weaviate_BatchObjects_FullMethodName, p.request, out, grpc.ForceCodecV2(codec{}))
	p.request = nil // it may still be on its way
	if err := p.s.judge(ctx, "write "+p.c.Name, err); err != nil {
		return err
	}
	if bad := out.GetErrors(); len(bad) > 0 {
		text := bad[0].GetError()
		return fault.New(classOfObject(text), "write %s on %s: %d objects were refused, the first one: %s", p.c.Name, p.s.cfg.GRPC, len(bad), text)
	}
	return nil
}

// remembered is how long the version of a deletion is kept.
const remembered = 24 * time.Hour

// sweep removes marks whose time is over, some an hour. It runs before the write that
// comes with it takes locks.
func (s *Store) sweep(ctx context.Context, c *class) error {
	const most = 1000
	t, now := s.tally(c), time.Now()
	if now.Sub(time.Unix(t.swept.Load(), 0)) < time.Hour {
		return nil
	}
	t.swept.Store(now.Unix())
	old := markedBefore(now.Add(-remembered))
	r := &reply{}
	err := s.ask(ctx, c, &pb.SearchRequest{Filters: old, Limit: s.limit(most), Metadata: &pb.MetadataRequest{Uuid: true}}, r)
	if err != nil || len(r.rows) == 0 {
		return err
	}
	ids := make([]string, len(r.rows))
	for i := range r.rows {
		ids[i] = r.rows[i].id
	}
	unlock, err := s.locks.Lock(ctx, ids)
	if err != nil {
		return s.ended("forget deletions of "+c.Name, err)
	}
	defer unlock() // one that is written anew before the lock is no mark any more
	_, err = s.rpc.BatchDelete(ctx, &pb.BatchDeleteRequest{Collection: c.engine, Filters: both(anyOf(idProperty, ids), old)})
	return s.judge(ctx, "forget deletions of "+c.Name, err)
}

func markedBefore(t time.Time) *pb.Filters {
	return &pb.Filters{
		Operator: pb.Filters_OPERATOR_LESS_THAN, Target: property(markProperty), TestValue: &pb.Filters_ValueInt{ValueInt: t.Unix()},
	}
}
