package milvus

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// condition is that of a tenant's points that pass a filter. There are no tenants.
func (o *outline) condition(tenant string, f search.Filter) (string, error) {
	if tenant != "" {
		return "", fault.BadField("/tenant", "collection %q is external: its points belong to no tenant", o.Name)
	}
	return o.filter(f)
}

// externalLeg answers one leg on an external collection.
func (s *Store) externalLeg(ctx context.Context, x *External, q search.Query, i int) (list search.List, err error) {
	leg := q.Legs[i]
	err = s.outlined(ctx, x, func(o *outline) error {
		check := schema{Collection: o.Collection, index: HNSW}
		if o.index == string(Flat) {
			check.index = Flat
		}
		if len(leg.Sparse.Index) > 0 {
			return fault.BadField(fmt.Sprintf("/legs/%d/sparse", i), "collection %q is external: it has no lexical leg", o.Name)
		}
		if err := checkLeg(check, leg, fmt.Sprintf("/legs/%d", i)); err != nil {
			return err
		}
		condition, err := o.condition(q.Tenant, q.Filter)
		if err != nil {
			return err
		}
		a := ask{leg, q.Fields, condition}
		if leg.Only != nil {
			list, err = s.externalOnly(ctx, o, a)
		} else {
			list, err = s.externalNearest(ctx, o, a)
		}
		return err
	})
	for j := range list.Hits {
		list.Hits[j].Collection = x.Name
	}
	return list, err
}

// externalNearest is nearest on an external collection.
func (s *Store) externalNearest(ctx context.Context, o *outline, a ask) (list search.List, err error) {
	level, since := s.level()
	out, err := s.rpc.Search(ctx, &milvuspb.SearchRequest{
		CollectionName: o.engine, Dsl: a.condition, DslType: commonpb.DslType_BoolExprV1, Nq: 1, OutputFields: o.columns(a.fields),
		PlaceholderGroup: placeholder(a.leg.Dense), ConsistencyLevel: level, GuaranteeTimestamp: since,
		SearchParams: pairs("anns_field", o.vector, "topk", strconv.Itoa(a.rows()), "params", o.params(a.leg, a.rows()),
			"metric_type", string(metricOf(o.Metric)), "round_decimal", "-1", "ignore_growing", "false", "offset", "0"),
	})
	if err := s.judge(ctx, "search "+o.engine, out.GetStatus(), err); err != nil {
		return list, err
	}
	scores := out.GetResults().GetScores()
	t, err := tableOf(o, out.GetResults().GetFieldsData(), out.GetResults().GetIds())
	if err != nil || len(t.ids) != len(scores) {
		return list, cmp.Or(err, s.unavailable("search "+o.engine, fmt.Sprintf("got %d ids and %d scores", len(t.ids), len(scores))))
	}
	for i, figure := range scores {
		score, raw := canonical(o.Metric, float64(figure))
		if math.IsNaN(score) || math.IsInf(score, 0) {
			list.Dropped++
			continue
		}
		list.Hits = append(list.Hits, search.Hit{Point: t.point(i, a.fields), Score: score, Raw: raw})
	}
	slices.SortFunc(list.Hits, better)
	k, flat := a.leg.K, o.index == string(Flat)
	list.Exhausted = flat && len(scores) < a.rows() && len(list.Hits) <= k
	list.Prefix = flat && list.Dropped == 0 && (list.Exhausted || len(list.Hits) > k && list.Hits[k].Score < list.Hits[k-1].Score)
	list.Hits = list.Hits[:min(len(list.Hits), k)]
	return list, nil
}

// externalOnly scores the named points here.
func (s *Store) externalOnly(ctx context.Context, o *outline, a ask) (search.List, error) {
	need := a.fields
	need.Vector = true
	points, err := s.externalPoints(ctx, o, page{both(o.among(a.leg.Only), a.condition), need, 0})
	if err != nil {
		return search.List{}, err
	}
	var hits []search.Hit
	for _, p := range points {
		if h, ok := scoredHere(o.Metric, a.leg, p); ok {
			if !a.fields.Vector {
				h.Dense = nil
			}
			hits = append(hits, h)
		}
	}
	slices.SortFunc(hits, better)
	return search.List{Hits: hits[:min(len(hits), a.leg.K)], Exhausted: len(hits) <= a.leg.K, Prefix: true}, nil
}

// externalPoints fetches the points that meet a condition, the first ones by primary key
// where there is a limit.
func (s *Store) externalPoints(ctx context.Context, o *outline, want page) ([]search.Point, error) {
	level, since := s.level()
	req := &milvuspb.QueryRequest{
		CollectionName: o.engine, Expr: cmp.Or(want.condition, o.is(true)), OutputFields: o.columns(want.fields),
		ConsistencyLevel: level, GuaranteeTimestamp: since,
	}
	if want.limit > 0 {
		req.QueryParams = pairs("limit", strconv.Itoa(want.limit))
	}
	out, err := s.rpc.Query(ctx, req)
	if err := s.judge(ctx, "query "+o.engine, out.GetStatus(), err); err != nil {
		return nil, err
	}
	t, err := tableOf(o, out.GetFieldsData(), nil)
	if err != nil {
		return nil, err
	}
	points := make([]search.Point, len(t.ids))
	for i := range points {
		points[i] = t.point(i, want.fields)
	}
	return points, nil
}

// behind is the condition that a primary key is greater than an id.
func (o *outline) behind(id string) (string, error) {
	if id == "" {
		return "", nil
	}
	text, ok := o.literal(id)
	if !ok {
		return "", fault.BadField("/after", "%q is no primary key of collection %q", id, o.Name)
	}
	return o.pk.GetName() + " > " + text, nil
}

// Walk reads a page of an external collection in the order of its primary keys: the
// points, whole, and where the next page starts, which is empty behind the last one. An
// empty after starts. It is meant for copies of a collection.
func (s *Store) Walk(ctx context.Context, name, after string, limit int) (points []search.Point, next string, err error) {
	if err := s.enter(ctx, "walk"); err != nil {
		return nil, "", err
	}
	defer s.leave()
	x := s.cfg.external(name)
	if x == nil {
		return nil, "", fault.BadField("/collection", "collection %q is not external", name)
	}
	err = s.outlined(ctx, x, func(o *outline) error {
		behind, err := o.behind(after)
		if err != nil {
			return err
		}
		points, err = s.externalPoints(ctx, o, page{behind, search.Fields{Text: true, Meta: true, Vector: true}, min(limit, maxRows)})
		slices.SortFunc(points, o.byKey)
		return err
	})
	if err == nil && len(points) > 0 && len(points) == min(limit, maxRows) {
		next = points[len(points)-1].ID
	}
	return points, next, err
}

// byKey compares in the server's order.
func (o *outline) byKey(a, b search.Point) int {
	if o.pk.GetDataType() == schemapb.DataType_VarChar {
		return cmp.Compare(a.ID, b.ID)
	}
	x, errX := strconv.ParseInt(a.ID, 10, 64)
	y, errY := strconv.ParseInt(b.ID, 10, 64)
	if errX != nil || errY != nil {
		return cmp.Compare(a.ID, b.ID)
	}
	return cmp.Compare(x, y)
}

// externalScroll fetches a page in the order of the keys as texts. Milvus has that order only
// for keys that are texts: others are all read, and the lowest kept.
func (s *Store) externalScroll(ctx context.Context, o *outline, scan search.Scan) (out search.Page, err error) {
	condition, err := o.condition(scan.Tenant, scan.Filter)
	if err != nil {
		return out, err
	}
	limit := min(scan.Limit, pageRows)
	want := page{condition, search.Fields{}, limit + 1}
	var keys []search.Key
	if o.pk.GetDataType() == schemapb.DataType_VarChar {
		keys, err = s.keysBehind(ctx, o, want, scan.After.ID)
	} else {
		keys, err = s.lowestKeys(ctx, o, want, scan.After)
	}
	if err != nil {
		return out, err
	}
	out.More = len(keys) > limit
	keys = keys[:min(len(keys), limit)]
	out.Points, err = s.externalGet(ctx, o, keys, scan.Fields)
	return out, err
}

// keysBehind are the first keys of a page behind an id, in the server's order.
func (s *Store) keysBehind(ctx context.Context, o *outline, want page, after string) ([]search.Key, error) {
	behind, err := o.behind(after)
	if err != nil {
		return nil, err
	}
	want.condition = both(behind, want.condition)
	points, err := s.externalPoints(ctx, o, want)
	slices.SortFunc(points, o.byKey)
	keys := make([]search.Key, len(points))
	for i, p := range points {
		keys[i] = p.Key
	}
	return keys, err
}

// lowestKeys walks through all keys and keeps the lowest ones behind a key.
func (s *Store) lowestKeys(ctx context.Context, o *outline, want page, after search.Key) ([]search.Key, error) {
	var lowest []search.Key
	n, at := want.limit, ""
	want.limit = maxRows
	for {
		keys, err := s.keysBehind(ctx, o, want, at)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			if k.Compare(after) > 0 {
				lowest = append(lowest, k)
			}
		}
		slices.SortFunc(lowest, search.Key.Compare)
		lowest = lowest[:min(len(lowest), n)]
		if len(keys) < maxRows {
			return lowest, nil
		}
		at = keys[len(keys)-1].ID
	}
}

func (s *Store) externalGet(ctx context.Context, o *outline, keys []search.Key, f search.Fields) ([]search.Point, error) {
	points := make([]search.Point, 0, len(keys))
	for part := range slices.Chunk(keys, pageRows) {
		found, err := s.externalPoints(ctx, o, page{o.among(part), f, 0})
		if err != nil {
			return nil, err
		}
		points = inOrder(points, part, found)
	}
	return points, nil
}

func (s *Store) externalCount(ctx context.Context, o *outline, condition string) (int, error) {
	level, since := s.level()
	out, err := s.rpc.Query(ctx, &milvuspb.QueryRequest{
		CollectionName: o.engine, Expr: condition, OutputFields: []string{"count(*)"}, ConsistencyLevel: level, GuaranteeTimestamp: since,
	})
	if err := s.judge(ctx, "count "+o.engine, out.GetStatus(), err); err != nil {
		return 0, err
	}
	for _, f := range out.GetFieldsData() {
		if data := f.GetScalars().GetLongData().GetData(); len(data) == 1 {
			return int(data[0]), nil
		}
	}
	return 0, s.unavailable("count "+o.engine, "the answer is not a number")
}

func (s *Store) externalStats(ctx context.Context, x *External) (out search.Stats, err error) {
	s.outlines.Delete(x.Name)
	err = s.outlined(ctx, x, func(o *outline) error {
		n, err := s.externalCount(ctx, o, "")
		out = search.Stats{Collection: o.Collection, Points: n, Bytes: int64(4 * n * o.Dims)}
		return err
	})
	return out, err
}
