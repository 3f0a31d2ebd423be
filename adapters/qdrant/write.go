package qdrant

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// largestUpsert bounds the bytes of one upsert. Qdrant takes what its memory holds, what
// is in front of it may not.
const largestUpsert = 16 << 20

// Write applies a batch. What is invalid is refused before anything is sent; an
// error after that may leave a part of the batch applied, and to write it again
// is safe.
func (s *Store) Write(ctx context.Context, b search.Batch) (search.Written, error) {
	if err := s.begin(ctx, "write"); err != nil {
		return search.Written{}, err
	}
	defer s.end()
	if err := s.admit(&b); err != nil {
		return search.Written{}, err
	}
	if b.Create != nil {
		return search.Written{}, s.create(ctx, &b)
	}
	c, err := s.fitting(ctx, b.Collection, func(c *collection) error { return checkBatch(c, &b) })
	if err != nil {
		return search.Written{}, err
	}
	if c.external != nil {
		return search.Written{}, fault.BadField("/collection", "collection %q is external: lanewise only reads it", c.Name)
	}
	s.windows.close(c.Name)
	if b.Drop {
		return search.Written{}, s.drop(ctx, c)
	}
	changes, err := c.changes(&b)
	if err != nil {
		return search.Written{}, err
	}
	out, err := s.apply(ctx, c, changes)
	s.forget(c.Name, err)
	s.windows.close(c.Name)
	if err == nil && len(b.Deletes) > 0 {
		s.sweep(ctx, c)
	}
	return out, err
}

// admit checks the form and the epoch of a batch.
func (s *Store) admit(b *search.Batch) error {
	switch {
	case b.Create != nil && (b.Drop || len(b.Upserts)+len(b.Deletes) > 0):
		return fault.BadField("/create", "stands alone in a batch")
	case b.Drop && len(b.Upserts)+len(b.Deletes) > 0:
		return fault.BadField("/drop", "stands alone in a batch")
	}
	for {
		seen := s.epoch.Load()
		switch {
		case b.Epoch != 0 && b.Epoch < seen:
			return fault.New(fault.Conflict, "the write is of epoch %d, this store has seen epoch %d: read the shard map again", b.Epoch, seen)
		case b.Epoch <= seen, s.epoch.CompareAndSwap(seen, b.Epoch):
			return nil
		}
	}
}

// change is an upsert or a deletion: both leave a point with a version.
type change struct {
	key     search.Key
	version search.Version
	point   *qdrant.PointStruct
	most    int // bytes that the point takes in a message at most
	writes  int // of the batch that it stands for
}

// changes turns a batch into what is sent. Of several writes to one key the newest
// counts, of equally new ones the last.
func (c *collection) changes(b *search.Batch) ([]change, error) {
	list := make([]change, 0, len(b.Upserts)+len(b.Deletes))
	place := make(map[search.Key]int, cap(list))
	add := func(next change) {
		next.writes = 1
		i, ok := place[next.key]
		if !ok {
			place[next.key] = len(list)
			list = append(list, next)
			return
		}
		next.writes += list[i].writes
		if list[i].version > next.version {
			next.version, next.point, next.most = list[i].version, list[i].point, list[i].most
		}
		list[i] = next
	}
	for i := range b.Upserts {
		p := &b.Upserts[i]
		point, err := c.encode(p)
		if err != nil {
			return nil, err
		}
		add(change{key: p.Key, version: p.Version, point: point, most: mostBytes(p)})
	}
	now := time.Now()
	for i := range b.Deletes {
		t := &b.Deletes[i]
		add(change{key: t.Key, version: t.Version, point: c.mark(t, now), most: mostBytes(&search.Point{Key: t.Key})})
	}
	return list, nil
}

// mostBytes is more than what a point takes in a message: cheaper to know than how much
// it is. What filters need of a byte of metadata is a term of up to 200 bytes for every second one.
func mostBytes(p *search.Point) int {
	return 1000 + len(p.Tenant) + len(p.ID) + len(p.Text) + 128*len(p.Meta) + 4*len(p.Dense) + 32*len(p.Sparse.Index)
}

// apply sends the changes and reads back what became of them. All go under one
// condition first, the lowest of their versions: points that are older than that
// are replaced, and nearly all are. What another version held up is judged by what
// is stored then, and sent again under its own condition where that is older.
func (s *Store) apply(ctx context.Context, c *collection, list []change) (search.Written, error) {
	var out search.Written
	if len(list) == 0 {
		return out, nil
	}
	lowest := slices.MinFunc(list, func(a, b change) int { return cmp.Compare(a.version, b.version) }).version
	err := s.send(ctx, c, list, lowest)
	if err != nil {
		return out, err
	}
	left, err := s.judge(ctx, c, list, &out)
	if err != nil || len(left) == 0 {
		return out, err
	}
	slices.SortFunc(left, func(a, b change) int { return cmp.Compare(a.version, b.version) })
	for same := range runs(left) {
		if err := s.send(ctx, c, same, same[0].version); err != nil {
			return out, err
		}
	}
	if left, err = s.judge(ctx, c, left, &out); err == nil && len(left) > 0 {
		err = fault.New(fault.Unavailable, "write to %s: Qdrant confirmed %d points that it does not have", c.engine, len(left))
	}
	return out, err
}

// runs yields the stretches of changes with one version.
func runs(list []change) func(yield func([]change) bool) {
	return func(yield func([]change) bool) {
		for start, end := 0, 0; start < len(list); start = end {
			for end = start; end < len(list) && list[end].version == list[start].version; end++ {
			}
			if !yield(list[start:end]) {
				return
			}
		}
	}
}

// send upserts points unless they are stored in a version above most.
func (s *Store) send(ctx context.Context, c *collection, list []change, most search.Version) error {
	for part := range messages(list) {
		req := &qdrant.UpsertPoints{
			CollectionName: c.engine, Wait: new(true), UpdateFilter: upTo(most), Timeout: seconds(ctx), ShardKeySelector: s.shard,
			Points: make([]*qdrant.PointStruct, len(part)),
		}
		for i := range part {
			req.Points[i] = part[i].point
		}
		resp, err := s.points().Upsert(ctx, req)
		if err != nil {
			return s.classify(ctx, "write to "+c.engine, err)
		}
		if got := resp.GetResult().GetStatus(); got != qdrant.UpdateStatus_Completed {
			return fault.New(fault.Unavailable, "write to %s: Qdrant did not confirm it (%v)", c.engine, got)
		}
	}
	return nil
}

// messages yields the changes in parts that Qdrant takes at once. To know how large a
// point is costs a tenth of a write, so that is looked at only where it might matter.
func messages(list []change) func(yield func([]change) bool) {
	most := 0
	for i := range list {
		most += list[i].most
	}
	sizeOf := func(c change) int { return proto.Size(c.point) }
	if most < largestUpsert {
		sizeOf = func(c change) int { return c.most }
	}
	return func(yield func([]change) bool) {
		for start, end := 0, 0; start < len(list); start = end {
			for size := 0; end < len(list) && size < largestUpsert; end++ {
				size += sizeOf(list[end])
			}
			if !yield(list[start:end]) {
				return
			}
		}
	}
}

// upTo is the condition on a stored version.
func upTo(v search.Version) *qdrant.Filter {
	ms, n := float64(millis(v)), float64(seq(v))
	return &qdrant.Filter{Should: []*qdrant.Condition{
		qdrant.NewRange(fieldMillis, &qdrant.Range{Lt: &ms}),
		all(qdrant.NewMatchInt(fieldMillis, millis(v)), qdrant.NewRange(fieldSeq, &qdrant.Range{Lte: &n})),
	}}
}

// judge compares changes with what is stored now, counts those that took effect,
// and returns those that an older version is in the place of.
func (s *Store) judge(ctx context.Context, c *collection, list []change, out *search.Written) (left []change, err error) {
	ids := make([]*qdrant.PointId, len(list))
	for i := range list {
		ids[i] = list[i].point.GetId()
	}
	versions := make(map[place]search.Version, len(list))
	resp, err := s.points().Get(ctx, &qdrant.GetPoints{
		CollectionName: c.engine, Ids: ids, WithPayload: qdrant.NewWithPayloadInclude(fieldMillis, fieldSeq),
		WithVectors: qdrant.NewWithVectors(false), ReadConsistency: s.consistency, ShardKeySelector: s.shard, Timeout: seconds(ctx),
	})
	if err != nil {
		return nil, s.classify(ctx, "confirm the write to "+c.engine, err)
	}
	for _, p := range resp.GetResult() {
		versions[placeOf(p.GetId())] = versionOf(p.GetPayload())
	}
	for i, ch := range list {
		switch have, ok := versions[placeOf(ids[i])]; {
		case !ok || have < ch.version:
			left = append(left, ch)
		case have == ch.version:
			out.Applied += ch.writes
		default:
			out.Newer = max(out.Newer, have)
		}
	}
	return left, nil
}

// sweep removes marks whose time is over, now and then. It is nobody's duty in
// particular: where it does not succeed, a later deletion does it.
func (s *Store) sweep(ctx context.Context, c *collection) {
	now := time.Now()
	c.swept.Lock()
	due := now.Sub(c.last) > min(s.config.Remember, time.Hour)
	if due {
		c.last = now
	}
	c.swept.Unlock()
	if !due {
		return
	}
	before := float64(now.Add(-s.config.Remember).UnixMilli())
	_, _ = s.points().Delete(ctx, &qdrant.DeletePoints{
		CollectionName: c.engine, ShardKeySelector: s.shard, Timeout: seconds(ctx),
		Points: qdrant.NewPointsSelectorFilter(&qdrant.Filter{Must: []*qdrant.Condition{
			qdrant.NewMatchBool(fieldDeleted, true), qdrant.NewRange(fieldAt, &qdrant.Range{Lt: &before}),
		}}),
	})
}
