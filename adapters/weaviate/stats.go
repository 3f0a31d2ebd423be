package weaviate

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"

	pb "github.com/weaviate/weaviate/grpc/generated/protocol/v1"

	"github.com/lanewise/lanewise/search"
)

// Every point keeps search.Digest of itself in digits of 22 bits, each a property: Weaviate
// adds numbers up as float64, and sums of such digits are exact over 2^31 points. So the
// server can tell the sum of all digests without giving the points away.
const (
	digits    = 3
	digitBits = 22
)

func digitName(i int) string { return "digest" + strconv.Itoa(i) }

// digit is a digit of a digest.
func digit(d uint64, i int) uint64 { return d >> (digitBits * i) & (1<<digitBits - 1) }

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
		numbers(highProperty), numbers(markProperty), numbers(fencedProperty),
	}}
	for i := range digits {
		if c.digest {
			req.Aggregations = append(req.Aggregations, numbers(digitName(i)))
		}
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
	for i := range digits {
		out.Digest += uint64(by[digitName(i)].GetSum()) << (digitBits * i) //nolint:gosec // not negative
	}
	if by[highProperty].GetCount() > 0 {
		out.Newest, err = s.newest(ctx, c, by[highProperty].GetMaximum())
	}
	return out, err
}

func numbers(name string) *pb.AggregateRequest_Aggregation {
	return &pb.AggregateRequest_Aggregation{Property: name, Aggregation: &pb.AggregateRequest_Aggregation_Int{
		Int: &pb.AggregateRequest_Aggregation_Integer{Count: true, Sum: true, Maximum: true},
	}}
}

// newest is the newest version whose upper half is given.
func (s *Store) newest(ctx context.Context, c *class, high int64) (search.Version, error) {
	found, err := s.aggregate(ctx, c, &pb.AggregateRequest{
		Aggregations: []*pb.AggregateRequest_Aggregation{numbers(lowProperty)},
		Filters: &pb.Filters{
			Operator: pb.Filters_OPERATOR_EQUAL, Target: property(highProperty), TestValue: &pb.Filters_ValueInt{ValueInt: high},
		},
	})
	low := int64(0)
	for _, a := range found.GetAggregations().GetAggregations() {
		low = max(low, min(a.GetInt().GetMaximum(), math.MaxUint32))
	}
	return search.Version(high<<32 | low), err //nolint:gosec // halves of 32 bits
}
