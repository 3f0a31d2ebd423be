package weaviate

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"

	pb "github.com/weaviate/weaviate/grpc/generated/protocol/v1"

	"github.com/lanewise/lanewise/search"
)

// Every point keeps the lowest bits of search.Digest of itself: Weaviate adds numbers up as
// float64, and sums of so many bits are exact over 2^29 points. So the server can tell the
// sum of all digests without giving the points away. All 64 bits would take three properties,
// and each value an entry of its own in an index.
const (
	digestBits = 24
	digestMask = 1<<digestBits - 1
)

// Stats describes a collection, or all of this Store, by name. Points, Newest and Digest are
// the server's sums, which take some milliseconds a million points; while points are
// being written they may be of slightly different moments. Bytes is that of the vectors.
func (s *Store) Stats(ctx context.Context, collection string) ([]search.Stats, error) {
	if err := s.enter(ctx, "stats"); err != nil {
		return nil, err
	}
	defer s.leave()
	list, err := s.described(ctx, collection)
	if err != nil {
		return nil, err
	}
	all := make([]search.Stats, len(list))
	for i, c := range list {
		if all[i], err = s.stats(ctx, c); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b search.Stats) int { return cmp.Compare(a.Collection.Name, b.Collection.Name) })
	return all, nil
}

func (s *Store) described(ctx context.Context, collection string) ([]*class, error) {
	if collection == "" {
		all, err := s.list(ctx)
		for i := 0; i < len(s.cfg.External) && err == nil; i++ {
			var c *class
			c, err = s.describe(ctx, s.cfg.External[i].Name)
			all = append(all, c)
		}
		return all, err
	}
	c, err := s.describe(ctx, collection)
	return []*class{c}, err
}

func (s *Store) stats(ctx context.Context, c *class) (search.Stats, error) {
	out := search.Stats{Collection: c.Collection}
	if c.outline != nil {
		n, err := s.externalCount(ctx, c, "", search.Filter{})
		out.Points, out.Bytes = n, int64(4*n*c.Dims)
		return out, err
	}
	req := &pb.AggregateRequest{ObjectsCount: true, Aggregations: []*pb.AggregateRequest_Aggregation{
		numbers(markProperty), numbers(fencedProperty),
	}}
	if c.digest {
		req.Aggregations = append(req.Aggregations, numbers(digestProperty))
		out.DigestBits = digestBits
	}
	found, err := s.aggregate(ctx, c, req)
	if err != nil {
		return out, err
	}
	by := map[string]*pb.AggregateReply_Aggregations_Aggregation_Integer{}
	for _, a := range found.GetAggregations().GetAggregations() {
		by[a.GetProperty()] = a.GetInt()
	}
	others := by[markProperty].GetCount() + by[fencedProperty].GetCount()
	out.Points = int(max(found.GetObjectsCount()-others, 0)) // of another moment than the others while points are written
	out.Bytes = int64(4 * out.Points * c.Dims)
	out.Digest = uint64(by[digestProperty].GetSum()) & digestMask //nolint:gosec // not negative
	last, err := s.byID(ctx, c, []string{flushID}, &reply{marks: true})
	if len(last) > 0 {
		out.Newest = last[0].Version
	}
	return out, err
}

func numbers(name string) *pb.AggregateRequest_Aggregation {
	return &pb.AggregateRequest_Aggregation{Property: name, Aggregation: &pb.AggregateRequest_Aggregation_Int{
		Int: &pb.AggregateRequest_Aggregation_Integer{Count: true, Sum: true, Maximum: true},
	}}
}

// tally is what this Store knows of a class beside its description.
type tally struct {
	newest  atomic.Uint64 // search.Version of any write
	telling sync.Mutex    // held while it is stored, so that it never falls
	swept   atomic.Int64  // when old marks were last looked for; Unix time
}

func (s *Store) tally(c *class) *tally {
	t, _ := s.tallies.LoadOrStore(c.born, &tally{})
	return t.(*tally) //nolint:forcetypeassert,errcheck // nothing else is stored
}

// note takes a version in that is stored.
func (t *tally) note(v search.Version) { raise(&t.newest, uint64(v)) }

// raise sets x to v, where that is more.
func raise(x *atomic.Uint64, v uint64) {
	for old := x.Load(); v > old && !x.CompareAndSwap(old, v); {
		old = x.Load()
	}
}
