package milvus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/wellformed"
	"github.com/lanewise/lanewise/search"
)

// maxRows is the longest list that Milvus gives.
const maxRows = 16384

// Search ranks the points of a tenant for each leg of the query. On a FLAT index it
// is exact, in float32; a leg that names its points (Only) is scored here, in float64.
//
// Errors: fault.Invalid for a leg that does not fit the collection or that Milvus
// cannot answer (see the package's limits), fault.NotFound for a collection that is
// not there, fault.Refused, fault.Overloaded or fault.Unavailable for the server.
func (s *Store) Search(ctx context.Context, q search.Query) (search.Result, error) {
	if err := s.enter(ctx, "search"); err != nil {
		return search.Result{}, err
	}
	defer s.leave()
	if len(q.Legs) == 0 {
		return search.Result{}, fault.BadField("/legs", "must have at least one leg")
	}
	condition, err := filterOf(q.Filter)
	if err != nil {
		return search.Result{}, err
	}
	condition = both(ofTenant(q.Tenant), condition)
	lists, errs := make([]search.List, len(q.Legs)), make([]error, len(q.Legs))
	var wg sync.WaitGroup
	for i := range q.Legs[1:] {
		wg.Go(func() { lists[i+1], errs[i+1] = s.leg(ctx, q, i+1, condition) })
	}
	lists[0], errs[0] = s.leg(ctx, q, 0, condition)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return search.Result{}, first(errs)
	}
	return search.Result{Lists: lists}, nil
}

// first returns the first error that blames the request, or else the first.
func first(errs []error) error {
	for _, err := range errs {
		if errors.Is(err, fault.Invalid) {
			return err
		}
	}
	i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	return errs[i]
}

// leg answers one leg.
func (s *Store) leg(ctx context.Context, q search.Query, i int, condition string) (list search.List, err error) {
	leg := q.Legs[i]
	name := cmp.Or(leg.Collection, q.Collection)
	if x := s.cfg.external(name); x != nil {
		return s.externalLeg(ctx, x, q, i)
	}
	err = s.withSchema(ctx, name, func(c schema) error {
		if err := checkLeg(c, leg, fmt.Sprintf("/legs/%d", i)); err != nil {
			return err
		}
		a := ask{leg, q.Fields, condition}
		if leg.Only != nil {
			list, err = s.only(ctx, c, a)
		} else {
			list, err = s.nearest(ctx, c, a)
		}
		return err
	})
	for j := range list.Hits {
		list.Hits[j].Collection = name
	}
	return list, err
}

// ask is a leg with what it shares with the query's other legs.
type ask struct {
	leg       search.Leg
	fields    search.Fields
	condition string // of tenant and filter
}

// rows is how many rows the index is asked for: one more than is wanted.
func (a ask) rows() int { return min(a.leg.K+1, maxRows) }

func checkLeg(c schema, leg search.Leg, at string) error {
	switch {
	case leg.K < 1 || leg.K > maxRows:
		return fault.BadField(at+"/k", "is %d, it must be between 1 and %d", leg.K, maxRows)
	case leg.Vector != "":
		return fault.BadField(at+"/vector", "%q: a point has one vector here, without a name", leg.Vector)
	case len(leg.Sparse.Index) > 0 && leg.Only == nil:
		return fault.BadField(at+"/sparse", "this engine has no index for sparse vectors")
	case len(leg.Sparse.Index) > 0 && len(leg.Dense) > 0:
		return fault.BadField(at+"/sparse", "stands beside a dense vector: a leg is one ranking")
	case len(leg.Sparse.Index) > 0:
		return wellformed.Sparse(at+"/sparse", leg.Sparse)
	case len(leg.Dense) != c.Dims:
		return fault.BadField(at+"/dense", "has %d dims, collection %q has %d", len(leg.Dense), c.Name, c.Dims)
	case !finite(leg.Dense):
		return fault.BadField(at+"/dense", "has a number that is not finite")
	case leg.Exact && leg.Only == nil && c.index != Flat:
		return fault.BadField(at+"/exact", "collection %q has an %s index, which cannot be searched exactly", c.Name, c.index)
	}
	return nil
}

// nearest asks the server's index. It asks for one row more than is wanted: that
// there is none shows that the list is exhausted, and that its score is lower shows
// that no tie was cut, so that a longer list would begin with this one.
func (s *Store) nearest(ctx context.Context, c schema, a ask) (search.List, error) {
	if c.Metric == search.Cosine && isZero(a.leg.Dense) {
		return s.tied(ctx, c, a)
	}
	k := a.leg.K
	found, err := s.ranked(ctx, c, a)
	if err != nil {
		return search.List{}, err
	}
	list, err := found.list(a.fields)
	if err != nil {
		return search.List{}, err
	}
	list.Hits, err = s.addZeroed(ctx, c, a, list.Hits)
	slices.SortFunc(list.Hits, better)
	list.Exhausted = c.index == Flat && len(found.scores) < a.rows() && len(list.Hits) <= k
	list.Prefix = c.index == Flat && list.Dropped == 0 &&
		(list.Exhausted || len(list.Hits) > k && list.Hits[k].Score < list.Hits[k-1].Score)
	list.Hits = list.Hits[:min(len(list.Hits), k)]
	return list, err
}

// ranked asks the index. Rows that it cannot rank have a zero vector in it: where every
// row that comes is better than that, none of those is among them, and the condition
// that leaves them out, which the server would try on every row of the collection, was not
// needed. Else it is asked again with it, and so are the next searches from the beginning.
func (s *Store) ranked(ctx context.Context, c schema, a ask) (scored, error) {
	if c.unranked.Load() <= 0 {
		found, err := s.once(ctx, c, a)
		if err != nil || found.above(zeroed(c.Metric, a.leg.Dense)) {
			return found, err
		}
		c.unranked.Store(guarded)
	}
	c.unranked.Add(-1)
	a.condition = both(a.condition, isRanked)
	return s.once(ctx, c, a)
}

// guarded is how many searches leave out what cannot be ranked by a condition, after one
// that came to it without: the question that is asked twice is one in as many.
const guarded = 64

// zeroed is the worst that the server's figure for a zero vector may be: larger is better.
func zeroed(m search.Metric, query []float32) float64 {
	if m != search.Euclidean {
		return 0
	}
	var sum float64
	for _, x := range query {
		sum += float64(x) * float64(x)
	}
	return -math.Sqrt(sum) * (1 - 1e-4) // nearer than rounding could bring it
}

// above reports whether every score is better than a limit.
func (a scored) above(limit float64) bool {
	return !slices.ContainsFunc(a.scores, func(figure float32) bool {
		score, _ := canonical(a.metric, float64(figure))
		return !(score > limit) // nor is what is no number
	})
}

// once sends one search and reads the answer.
func (s *Store) once(ctx context.Context, c schema, a ask) (scored, error) {
	out, err := s.rpc.Search(ctx, s.request(c, a))
	if err := s.judge(ctx, "search "+c.Name, out.GetStatus(), err); err != nil {
		return scored{}, err
	}
	return s.answered(out, c, a.fields)
}

// list makes hits of an answer, best first.
func (a scored) list(f search.Fields) (search.List, error) {
	list := search.List{Hits: make([]search.Hit, 0, len(a.scores))}
	for i, figure := range a.scores {
		score, raw := canonical(a.metric, float64(figure))
		if math.IsNaN(score) || math.IsInf(score, 0) {
			list.Dropped++
			continue
		}
		p, err := a.point(i, f)
		if err != nil {
			return list, err
		}
		list.Hits = append(list.Hits, search.Hit{Point: p, Score: score, Raw: raw})
	}
	slices.SortFunc(list.Hits, better)
	return list, nil
}

func better(a, b search.Hit) int {
	return cmp.Or(cmp.Compare(b.Score, a.Score), a.Compare(b.Key))
}

func isZero(v []float32) bool {
	return !slices.ContainsFunc(v, func(x float32) bool { return x != 0 })
}

// canonical turns the server's figure into a score, larger being better, and the raw
// figure that search.Hit asks for: Milvus gives squared distances.
func canonical(m search.Metric, figure float64) (score, raw float64) {
	if m != search.Euclidean {
		return figure, figure
	}
	distance := math.Sqrt(max(figure, 0)) // rounding may leave a little below 0
	return -distance, distance
}

// request makes the server's search.
func (s *Store) request(c schema, a ask) *milvuspb.SearchRequest {
	params := "{}"
	if c.index == HNSW {
		params = fmt.Sprintf(`{"ef":%d}`, min(max(a.leg.EF, a.rows(), 64), 32768))
	}
	level, since := s.level()
	return &milvuspb.SearchRequest{
		CollectionName: c.engine, Dsl: a.condition, DslType: commonpb.DslType_BoolExprV1, Nq: 1, OutputFields: columns(a.fields)[1:], // primary keys come anyway
		PlaceholderGroup: placeholder(a.leg.Dense), ConsistencyLevel: level, GuaranteeTimestamp: since,
		SearchParams: pairs("anns_field", "vector", "topk", strconv.Itoa(a.rows()), "params", params,
			"metric_type", string(metricOf(c.Metric)), "round_decimal", "-1", "ignore_growing", "false", "offset", "0"),
	}
}

func placeholder(v []float32) []byte {
	group := &commonpb.PlaceholderGroup{Placeholders: []*commonpb.PlaceholderValue{{
		Tag: "$0", Type: commonpb.PlaceholderType_FloatVector, Values: [][]byte{entity.FloatVector(v).Serialize()},
	}}}
	packed, err := proto.Marshal(protoadapt.MessageV2Of(group))
	if err != nil {
		panic(err) // numbers and a constant: there is nothing to go wrong
	}
	return packed
}

// scored is an answer that has been held to its shape.
type scored struct {
	rows
	metric search.Metric
	scores []float32
}

// answered checks that the answer is one list, and that every column of it is whole.
func (s *Store) answered(out *milvuspb.SearchResults, c schema, f search.Fields) (scored, error) {
	found := out.GetResults()
	a := scored{newRows(found.GetFieldsData(), found.GetIds().GetStrId().GetData(), c), c.Metric, found.GetScores()}
	switch {
	case found.GetNumQueries() != 1 || len(found.GetTopks()) != 1:
		return a, s.unavailable("search "+c.Name, fmt.Sprintf("asked one query, got answers to %d", found.GetNumQueries()))
	case int(found.GetTopks()[0]) != len(a.scores) || a.n != len(a.scores):
		return a, s.unavailable("search "+c.Name, fmt.Sprintf("got %d ids and %d scores", a.n, len(a.scores)))
	case a.n == 0: // then the columns may be missing
		return a, nil
	}
	return a, a.check(f)
}

// only scores the named points here: an approximate index would not find them all.
func (s *Store) only(ctx context.Context, c schema, a ask) (search.List, error) {
	var hits []search.Hit
	need := a.fields
	need.Vector = true
	for part := range slices.Chunk(a.leg.Only, pageRows) {
		points, err := s.points(ctx, c, page{both(among(part), a.condition), need, 0})
		if err != nil {
			return search.List{}, err
		}
		for _, p := range points {
			if h, ok := scoredHere(c.Metric, a.leg, p); ok {
				hits = append(hits, h)
			}
		}
	}
	slices.SortFunc(hits, better)
	hits = slices.CompactFunc(hits, func(a, b search.Hit) bool { return a.Key == b.Key })
	list := search.List{Hits: hits[:min(len(hits), a.leg.K)], Exhausted: len(hits) <= a.leg.K, Prefix: true}
	for i := range list.Hits {
		if !a.fields.Vector {
			list.Hits[i].Dense, list.Hits[i].Sparse = nil, search.Sparse{}
		}
	}
	return list, nil
}
