package milvus

import (
	"context"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"golang.org/x/sync/errgroup"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// pageRows is how many rows with texts, metadata and vectors the server is asked for
// at once: the largest of them stay below the 100 MB that it sends.
const pageRows = 256

// level is the consistency of reads, as the server takes it: a level, and the time
// on the server's clock up to which everything must be seen.
func (s *Store) level() (commonpb.ConsistencyLevel, uint64) {
	switch s.cfg.Consistency {
	case Strong:
		return strongly()
	case Session:
		return s.session.level(s.cfg.Lag)
	case Eventually:
		return commonpb.ConsistencyLevel_Eventually, 1
	default:
		return boundedly()
	}
}

func strongly() (commonpb.ConsistencyLevel, uint64)  { return commonpb.ConsistencyLevel_Strong, 0 }
func boundedly() (commonpb.ConsistencyLevel, uint64) { return commonpb.ConsistencyLevel_Bounded, 2 }

// query is the server's query: rows that meet a condition, the first ones by primary
// key where there is a limit.
func (s *Store) query(ctx context.Context, c schema, req *milvuspb.QueryRequest, limit int) (*milvuspb.QueryResults, error) {
	req.CollectionName = c.engine
	if limit > 0 {
		req.QueryParams = pairs("limit", strconv.Itoa(limit))
	}
	out, err := s.rpc.Query(ctx, req)
	if err := s.judge(ctx, "query "+c.Name, out.GetStatus(), err); err != nil {
		return nil, err
	}
	return out, nil
}

// page is a part of a collection: the points that meet a condition, the first ones
// in key order where there is a limit.
type page struct {
	condition string
	fields    search.Fields
	limit     int
}

// points fetches a page, in key order.
func (s *Store) points(ctx context.Context, c schema, want page) ([]search.Point, error) {
	level, since := s.level()
	f := want.fields
	out, err := s.query(ctx, c, &milvuspb.QueryRequest{
		Expr: want.condition, OutputFields: columns(f), ConsistencyLevel: level, GuaranteeTimestamp: since,
	}, want.limit)
	if err != nil {
		return nil, err
	}
	found := newRows(out.GetFieldsData(), nil, c)
	if err := found.check(f); err != nil {
		return nil, err
	}
	points := make([]search.Point, found.n)
	for i := range points {
		if points[i], err = found.point(i, f); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(points, func(a, b search.Point) int { return a.Compare(b.Key) })
	return points, nil
}

// Get fetches points by key, in the order of the keys.
func (s *Store) Get(ctx context.Context, collection string, keys []search.Key, f search.Fields) ([]search.Point, error) {
	if err := s.enter(ctx, "get"); err != nil {
		return nil, err
	}
	defer s.leave()
	if x := s.cfg.external(collection); x != nil {
		var points []search.Point
		err := s.outlined(ctx, x, func(o *outline) (err error) {
			points, err = s.externalGet(ctx, o, keys, f)
			return err
		})
		return points, err
	}
	points := make([]search.Point, 0, len(keys))
	err := s.withSchema(ctx, collection, func(c schema) error {
		points = points[:0]
		for part := range slices.Chunk(keys, pageRows) {
			found, err := s.points(ctx, c, page{among(part), f, 0})
			if err != nil {
				return err
			}
			points = inOrder(points, part, found)
		}
		return nil
	})
	return points, err
}

// inOrder appends what was found in the order of the keys.
func inOrder(points []search.Point, keys []search.Key, found []search.Point) []search.Point {
	byKey := make(map[search.Key]int, len(found))
	for i, p := range found {
		byKey[p.Key] = i
	}
	for _, k := range keys {
		if i, ok := byKey[k]; ok {
			points = append(points, found[i])
		}
	}
	return points
}

// Scroll fetches one page in key order. A page may be shorter than asked for where
// there is more: the server's answers are bounded.
func (s *Store) Scroll(ctx context.Context, scan search.Scan) (out search.Page, err error) {
	if err := s.enter(ctx, "scroll"); err != nil {
		return out, err
	}
	defer s.leave()
	if scan.Limit < 1 {
		return out, fault.BadField("/limit", "is %d, it must be at least 1", scan.Limit)
	}
	if x := s.cfg.external(scan.Collection); x != nil {
		err = s.outlined(ctx, x, func(o *outline) (err error) {
			out, err = s.externalScroll(ctx, o, scan)
			return err
		})
		return out, err
	}
	condition, err := scanned(scan)
	if err != nil {
		return out, err
	}
	limit := min(scan.Limit, maxRows-1)
	if scan.Fields != (search.Fields{}) {
		limit = min(limit, pageRows)
	}
	err = s.withSchema(ctx, scan.Collection, func(c schema) error {
		points, err := s.points(ctx, c, page{condition, scan.Fields, limit + 1})
		out = search.Page{Points: points[:min(len(points), limit)], More: len(points) > limit}
		return err
	})
	return out, err
}

func scanned(scan search.Scan) (string, error) {
	filter, err := filterOf(scan.Filter)
	if err != nil {
		return "", err
	}
	tenant, after := "", ""
	if !scan.AllTenants {
		tenant = ofTenant(scan.Tenant)
	}
	if scan.After != (search.Key{}) {
		if pk := primary(scan.After); utf8.ValidString(pk) {
			after = "pk > " + literal(pk)
		} else {
			return "", fault.BadField("/after", "is not UTF-8")
		}
	}
	return both(after, tenant, filter, isPoint), nil
}

// Count counts a tenant's points that match a filter.
func (s *Store) Count(ctx context.Context, collection, tenant string, f search.Filter) (n int, err error) {
	if err := s.enter(ctx, "count"); err != nil {
		return 0, err
	}
	defer s.leave()
	if x := s.cfg.external(collection); x != nil {
		err = s.outlined(ctx, x, func(o *outline) error {
			condition, err := o.condition(tenant, f)
			if err == nil {
				n, err = s.externalCount(ctx, o, condition)
			}
			return err
		})
		return n, err
	}
	filter, err := filterOf(f)
	if err != nil {
		return 0, err
	}
	err = s.withSchema(ctx, collection, func(c schema) error {
		level, since := s.level()
		n, err = s.count(ctx, c, both(ofTenant(tenant), filter, isPoint), seen{level, since})
		return err
	})
	return n, err
}

// seen is what a read must see: see level.
type seen struct {
	level commonpb.ConsistencyLevel
	since uint64
}

func (s *Store) count(ctx context.Context, c schema, condition string, at seen) (int, error) {
	out, err := s.query(ctx, c, &milvuspb.QueryRequest{
		Expr: condition, OutputFields: []string{"count(*)"}, ConsistencyLevel: at.level, GuaranteeTimestamp: at.since,
	}, 0)
	if err != nil {
		return 0, err
	}
	if fields := out.GetFieldsData(); len(fields) == 1 {
		if data := fields[0].GetScalars().GetLongData().GetData(); len(data) == 1 {
			return int(data[0]), nil
		}
	}
	return 0, s.unavailable("count "+c.Name, "the answer is not a number")
}

// Stats describes a collection, or all that this program made, as of now: strongly
// consistent, whatever the other reads are, since copies are compared by it. Points is a count
// by the server; Bytes is that of the vectors; Newest is the newest version that this
// Store has written or met, 0 where it has none. Milvus cannot add digests up: Digest is
// that of the points where there are at most 10,000, which are read for it, and 0 where
// there are more.
func (s *Store) Stats(ctx context.Context, collection string) ([]search.Stats, error) {
	if err := s.enter(ctx, "stats"); err != nil {
		return nil, err
	}
	defer s.leave()
	var all []search.Stats
	for i := range s.cfg.External {
		x := &s.cfg.External[i]
		if collection != "" && collection != x.Name {
			continue
		}
		one, err := s.externalStats(ctx, x)
		if err != nil {
			return nil, err
		}
		if all = append(all, one); collection != "" {
			return all, nil
		}
	}
	list, err := s.described(ctx, collection)
	if err != nil {
		return nil, err
	}
	own := make([]search.Stats, len(list))
	var side errgroup.Group // to wait for the present takes Milvus 200 ms
	side.SetLimit(8)
	for i, c := range list {
		side.Go(func() error {
			n, digest, err := s.tally(ctx, c)
			own[i] = search.Stats{Collection: c.Collection, Points: n, Bytes: int64(4 * n * c.Dims), Newest: s.guard.newest(c.Name), Digest: digest}
			return err
		})
	}
	if err := side.Wait(); err != nil {
		return nil, err //nolint:wrapcheck // of this package
	}
	all = append(all, own...)
	slices.SortFunc(all, func(a, b search.Stats) int {
		return search.Key{ID: a.Collection.Name}.Compare(search.Key{ID: b.Collection.Name})
	})
	return all, nil
}

// mostDigested is how many points are read to add their digests up.
const mostDigested = 10000

// tally counts the points of a collection and adds their digests up, where there are not too many.
func (s *Store) tally(ctx context.Context, c schema) (n int, digest uint64, err error) {
	level, since := strongly()
	out, err := s.query(ctx, c, &milvuspb.QueryRequest{
		Expr: isPoint, OutputFields: columns(search.Fields{}), ConsistencyLevel: level, GuaranteeTimestamp: since,
	}, mostDigested+1)
	if err != nil {
		return 0, 0, err
	}
	found := newRows(out.GetFieldsData(), nil, c)
	if err := found.check(search.Fields{}); err != nil {
		return 0, 0, err
	}
	if found.n > mostDigested {
		n, err = s.count(ctx, c, isPoint, seen{level, since})
		return n, 0, err
	}
	for i := range found.n {
		p, err := found.point(i, search.Fields{})
		if err != nil {
			return 0, 0, err
		}
		digest += search.Digest(p.Key, p.Version)
	}
	return found.n, digest, nil
}

func (s *Store) described(ctx context.Context, collection string) ([]schema, error) {
	if collection == "" {
		return s.list(ctx)
	}
	c, err := s.describe(ctx, collection)
	return []schema{c}, err
}
