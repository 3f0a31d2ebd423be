package weaviate

import (
	"context"
	"errors"
	"slices"

	pb "github.com/weaviate/weaviate/grpc/generated/protocol/v1"
	"google.golang.org/grpc"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// pageRows is how many rows with texts, metadata or vectors the server is asked for at
// once. Where they are too large for one message, fewer are.
const pageRows = 500

// ask sends a search of a class and reads the answer into r.
func (s *Store) ask(ctx context.Context, c *class, req *pb.SearchRequest, r *reply) error {
	if c.outline != nil {
		return s.askExternal(ctx, c, req, r)
	}
	req.Collection, req.Uses_127Api = c.engine, true
	req.Properties = &pb.PropertiesRequest{NonRefProperties: r.properties()}
	if req.Metadata == nil {
		req.Metadata = &pb.MetadataRequest{}
	}
	req.Metadata.Vector = r.vector || r.fields.Vector
	err := s.conn.Invoke(ctx, pb.Weaviate_Search_FullMethodName, req, r, grpc.ForceCodecV2(codec{}))
	return s.judge(ctx, "search "+c.Name, err)
}

// properties are what must be fetched.
func (r *reply) properties() []string {
	out := append(make([]string, 0, 6), keyProperty)
	for name, wanted := range map[string]bool{
		textProperty: r.fields.Text, metaProperty: r.fields.Meta, sparseProperty: r.fields.Vector,
		goneProperty: r.marks, fenceProperty: r.marks,
	} {
		if wanted {
			out = append(out, name)
		}
	}
	return out
}

// limit is the longest list of n rows that may be asked for.
func (s *Store) limit(n int) uint32 { return uint32(min(n, s.cfg.MaxRows)) } //nolint:gosec // at least 1

// byID fetches those of the objects that are there, in calls of a bounded size.
func (s *Store) byID(ctx context.Context, c *class, ids []string, r *reply) ([]row, error) {
	var all []row
	size := min(pageRows, s.cfg.MaxRows)
	for len(ids) > 0 {
		n := min(size, len(ids))
		err := s.ask(ctx, c, &pb.SearchRequest{
			Filters: c.among(ids[:n]), Limit: s.limit(n), Metadata: &pb.MetadataRequest{Uuid: true},
		}, r)
		if isTooLarge(err) && n > 1 {
			size = n / 2
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, r.rows...)
		r.floats = nil // they are the rows' now
		ids = ids[n:]
	}
	return all, nil
}

// Get fetches points by key, in the order of the keys.
func (s *Store) Get(ctx context.Context, collection string, keys []search.Key, f search.Fields) ([]search.Point, error) {
	if err := s.enter(ctx, "get"); err != nil {
		return nil, err
	}
	defer s.leave()
	var points []search.Point
	err := s.withClass(ctx, collection, func(c *class) (err error) {
		points, err = s.points(ctx, c, keys, f)
		return err
	})
	return points, err
}

func (s *Store) points(ctx context.Context, c *class, keys []search.Key, f search.Fields) ([]search.Point, error) {
	rows, err := s.byID(ctx, c, c.objectIDs(keys), &reply{fields: f})
	if err != nil {
		return nil, err
	}
	byKey := make(map[search.Key]int, len(rows))
	for i := range rows {
		if rows[i].hasKey {
			byKey[rows[i].Key] = i
		}
	}
	points := make([]search.Point, 0, len(rows))
	for _, k := range keys {
		if i, ok := byKey[k]; ok {
			points = append(points, rows[i].Point)
		}
	}
	return points, nil
}

// among holds for the objects with the ids; there is at least one.
func (c *class) among(ids []string) *pb.Filters {
	if c.outline != nil {
		return c.outline.among(ids)
	}
	return anyOf(idProperty, ids)
}

// objectIDs leaves out the keys that nobody has, and repeated ones.
func (c *class) objectIDs(keys []search.Key) []string {
	if c.outline != nil {
		return c.outline.externalIDs(keys)
	}
	ids := make([]string, 0, len(keys))
	for _, k := range keys {
		if storable(k) {
			ids = append(ids, objectID(k))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Scroll fetches one page in key order. A page may be shorter than asked for where there
// is more: the server's answers are bounded.
func (s *Store) Scroll(ctx context.Context, scan search.Scan) (out search.Page, err error) {
	if err := s.enter(ctx, "scroll"); err != nil {
		return out, err
	}
	defer s.leave()
	switch {
	case scan.Limit < 1:
		return out, fault.BadField("/limit", "is %d, it must be at least 1", scan.Limit)
	case !storable(scan.After):
		return out, fault.BadField("/after", "no point has such a key")
	}
	err = s.withClass(ctx, scan.Collection, func(c *class) error {
		out, err = s.page(ctx, c, &scan)
		return err
	})
	return out, err
}

// page asks for one row more than the page has. Where the server gives fewer, it is asked
// again behind the last one: a point that is overwritten at that moment may be missing
// from an answer, and a short one is no proof of the end.
func (s *Store) page(ctx context.Context, c *class, scan *search.Scan) (search.Page, error) {
	if c.outline != nil {
		return s.externalPage(ctx, c, scan)
	}
	want := min(scan.Limit, s.cfg.MaxRows-1)
	if scan.Fields != (search.Fields{}) {
		want = min(want, pageRows)
	}
	p := &pushdown{s: s, c: c}
	filter, err := p.condition(ctx, &scan.Filter)
	if err != nil {
		return search.Page{}, err
	}
	if filter != nil && !scan.AllTenants {
		filter = both(ofTenant(scan.Tenant), filter)
	}
	out, after := search.Page{}, lowest(scan)
	for len(out.Points) <= want {
		points, done, err := s.following(ctx, c, scan, following{after, filter, want + 1 - len(out.Points)})
		if isTooLarge(err) && want > 1 {
			want /= 2
			continue
		}
		if err != nil {
			return search.Page{}, err
		}
		out.Points = append(out.Points, points...)
		if done || len(points) == 0 {
			return out, nil
		}
		after = behind(points[len(points)-1].Key)
	}
	return search.Page{Points: out.Points[:want], More: true}, nil
}

// lowest is below the text of every point that a scan is to find, and not below that
// of any other point of its tenant.
func lowest(scan *search.Scan) string {
	after := behind(scan.After)
	if scan.AllTenants {
		return after
	}
	return max(after, behind(search.Key{Tenant: scan.Tenant}))
}

// following is a part of a collection: n points behind a key text.
type following struct {
	after  string
	filter *pb.Filters // nil: all
	n      int
}

// following fetches points in key order. Done is true where they have reached the end of
// the tenant. Without a filter the condition is one comparison on the key alone, for which
// Weaviate reads no further in its index than the limit; the tenant is told from the key.
func (s *Store) following(ctx context.Context, c *class, scan *search.Scan, part following) (points []search.Point, done bool, err error) {
	r := &reply{fields: scan.Fields}
	err = s.ask(ctx, c, &pb.SearchRequest{
		Filters: both(compare(keyProperty, pb.Filters_OPERATOR_GREATER_THAN, part.after), part.filter),
		SortBy:  []*pb.SortBy{{Ascending: true, Path: []string{keyProperty}}}, Limit: s.limit(part.n),
	}, r)
	if err != nil {
		return nil, false, err
	}
	for i := range r.rows {
		if !scan.AllTenants && r.rows[i].Tenant != scan.Tenant {
			return points, true, nil
		}
		points = append(points, r.rows[i].Point)
	}
	return points, false, nil
}

// isTooLarge tells a message that is over a limit.
func isTooLarge(err error) bool {
	return errors.Is(err, fault.Invalid) && messageIsTooLarge(err.Error())
}

// Count counts a tenant's points that match a filter.
func (s *Store) Count(ctx context.Context, collection, tenant string, f search.Filter) (n int, err error) {
	if err := s.enter(ctx, "count"); err != nil {
		return 0, err
	}
	defer s.leave()
	err = s.withClass(ctx, collection, func(c *class) error {
		if c.outline != nil {
			n, err = s.externalCount(ctx, c, tenant, f)
			return err
		}
		p := &pushdown{s: s, c: c}
		filter, err := p.condition(ctx, &f)
		if err != nil {
			return err
		}
		out, err := s.aggregate(ctx, c, &pb.AggregateRequest{ObjectsCount: true, Filters: both(ofTenant(tenant), filter)})
		n = int(out.GetObjectsCount())
		return err
	})
	return n, err
}

func (s *Store) aggregate(ctx context.Context, c *class, req *pb.AggregateRequest) (*pb.AggregateReply_Single, error) {
	req.Collection = c.engine
	out, err := s.rpc.Aggregate(ctx, req)
	if err := s.judge(ctx, "count "+c.Name, err); err != nil {
		return nil, err
	}
	if out.GetSingleResult() == nil {
		return nil, s.unavailable("count "+c.Name, "the answer is empty")
	}
	return out.GetSingleResult(), nil
}
