package weaviate

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"

	pb "github.com/weaviate/weaviate/grpc/generated/protocol/v1"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/exact"
	"github.com/lanewise/lanewise/internal/wellformed"
	"github.com/lanewise/lanewise/search"
)

// spare is how many rows more than asked a search reads: enough to tell the order for
// certain where scores differ, and whether there are more. Rows are most of what a small
// search costs Weaviate.
const spare = 1

// mostRounds is how often a search reads on to be certain: firstMore rows, and then eight
// times as many each time.
const (
	mostRounds = 3
	firstMore  = 128
)

// Search ranks the points of exactly the query's tenant. On a flat index the answer is
// exact: Weaviate sums in float32, and this package takes more rows than asked, scores
// them again in float64, and asks on until no row behind them can belong to the list. A
// list whose order stays uncertain says so by Prefix = false.
//
// A leg that does not fit the collection is fault.Invalid, as is one with a vector's name,
// an exact one on an approximate index, and a lexical one that does not name its points
// (Only). A collection that is not there is fault.NotFound.
func (s *Store) Search(ctx context.Context, q search.Query) (search.Result, error) {
	if err := s.enter(ctx, "search"); err != nil {
		return search.Result{}, err
	}
	defer s.leave()
	if len(q.Legs) == 0 {
		return search.Result{}, fault.BadField("/legs", "is empty")
	}
	lists, errs := make([]search.List, len(q.Legs)), make([]error, len(q.Legs))
	var wg sync.WaitGroup
	for i := range q.Legs[1:] {
		wg.Go(func() { lists[i+1], errs[i+1] = s.leg(ctx, &q, i+1) })
	}
	lists[0], errs[0] = s.leg(ctx, &q, 0)
	wg.Wait()
	if err := first(errs); err != nil {
		return search.Result{}, err
	}
	return search.Result{Lists: lists, Report: search.Report{Complete: true, Coverage: 1}}, nil
}

// first returns the first error that blames the request, or else the first.
func first(errs []error) error {
	var found error
	for _, err := range errs {
		if fault.Of(err) == fault.Invalid {
			return err
		}
		found = cmp.Or(found, err)
	}
	return found
}

// ranking is one leg on its way through a search.
type ranking struct {
	c      *class
	q      *search.Query
	leg    *search.Leg
	filter *pb.Filters // of tenant and query
	sure   bool        // an answer that does not fit the class is taken as it is
	verify bool        // the filter lets rows through that do not match
}

// leg answers one leg.
func (s *Store) leg(ctx context.Context, q *search.Query, i int) (list search.List, err error) {
	leg := &q.Legs[i]
	name := cmp.Or(leg.Collection, q.Collection)
	sure := false
	err = s.withClass(ctx, name, func(c *class) error {
		if err := s.checkLeg(c, leg, fmt.Sprintf("/legs/%d", i)); err != nil {
			return err
		}
		r := &ranking{c: c, q: q, leg: leg, sure: sure}
		if err := r.scope(ctx, s); err != nil {
			return err
		}
		sure = true
		if leg.Only != nil {
			list, err = s.only(ctx, r)
		} else {
			list, err = s.nearest(ctx, r)
		}
		return err
	})
	for j := range list.Hits {
		list.Hits[j].Collection = name
	}
	return list, err
}

// scope sets the condition of the query's tenant and filter.
func (r *ranking) scope(ctx context.Context, s *Store) (err error) {
	if r.c.outline != nil {
		w := &foreign{c: r.c}
		r.filter, err = w.scope(r.q.Tenant, &r.q.Filter)
		r.verify, r.sure = w.verify, r.sure || r.c.outline.rough
		return err
	}
	p := &pushdown{s: s, c: r.c}
	filter, err := p.condition(ctx, &r.q.Filter)
	r.filter = both(ofTenant(r.q.Tenant), filter)
	return err
}

func (s *Store) checkLeg(c *class, leg *search.Leg, at string) error {
	sparse := len(leg.Sparse.Index) > 0
	switch {
	case leg.K < 1 || leg.K > s.cfg.MaxRows:
		return fault.BadField(at+"/k", "is %d, it must be between 1 and %d", leg.K, s.cfg.MaxRows)
	case leg.Vector != "":
		return fault.BadField(at+"/vector", "is %q, but points have one vector without a name here", leg.Vector)
	case sparse && (leg.Only == nil || c.outline != nil):
		return fault.BadField(at+"/sparse", "this engine has no index for sparse vectors")
	case sparse && len(leg.Dense) == 0:
		return wellformed.Sparse(at+"/sparse", leg.Sparse)
	case leg.Exact && c.index == HNSW && leg.Only == nil:
		return fault.BadField(at+"/exact", "collection %q has an approximate index only", c.Name)
	}
	return wellformed.Dense(at+"/dense", c.Dims, leg.Dense)
}

// nearest asks the index, and asks on while the order is not certain.
func (s *Store) nearest(ctx context.Context, r *ranking) (search.List, error) {
	k := r.leg.K
	if r.c.index == HNSW { // Weaviate's breadth is at least the limit
		rows, _, err := s.rank(ctx, r, max(k, r.leg.EF))
		return r.list(rows), err
	}
	ask := k + spare
	for round := 1; ; round++ {
		rows, all, err := s.rank(ctx, r, ask)
		if err != nil {
			return search.List{}, err
		}
		list := r.list(rows)
		switch {
		case all:
			list.Prefix, list.Exhausted = true, len(rows) <= k
			return list, nil
		case r.certain(rows):
			list.Prefix = true
			return list, nil
		case round == mostRounds || ask >= s.cfg.MaxRows:
			return list, nil
		}
		ask = max(8*ask, firstMore)
	}
}

// rank fetches the nearest n rows and puts them into their final order; all says that there
// are no others. Where they are too large for one message, what they carry is fetched by
// itself.
func (s *Store) rank(ctx context.Context, r *ranking, n int) (rows []row, all bool, err error) {
	got := &reply{fields: r.q.Fields, vector: true}
	got.fields.Meta = got.fields.Meta || r.verify
	err = s.ask(ctx, r.c, r.request(s.limit(n)), got)
	if isTooLarge(err) && got.fields != (search.Fields{}) {
		got = &reply{fields: search.Fields{Meta: r.verify}, vector: true}
		err = s.rankLarge(ctx, r, got, n)
	} else if err == nil {
		err = r.order(got.rows)
	}
	if err != nil {
		return nil, false, err
	}
	all = len(got.rows) < int(s.limit(n))
	return r.sift(got.rows), all, nil
}

// sift leaves out the rows that do not match, where the filter lets such through, and keys
// that are none.
func (r *ranking) sift(rows []row) []row {
	if r.c.outline == nil {
		return rows
	}
	rows = slices.DeleteFunc(rows, func(x row) bool { return !x.hasKey || r.verify && !r.q.Filter.Match(x.Meta) })
	for i := range rows {
		if !r.q.Fields.Meta {
			rows[i].Meta = nil
		}
	}
	return rows
}

// rankLarge is rank in two steps.
func (s *Store) rankLarge(ctx context.Context, r *ranking, got *reply, n int) error {
	if err := s.ask(ctx, r.c, r.request(s.limit(n)), got); err != nil {
		return err
	}
	if err := r.order(got.rows); err != nil {
		return err
	}
	best := got.rows[:min(len(got.rows), r.leg.K)]
	keys := make([]search.Key, len(best))
	for i := range best {
		keys[i] = best[i].Key
	}
	points, err := s.points(ctx, r.c, keys, r.q.Fields)
	if err != nil {
		return err
	}
	byKey := make(map[search.Key]search.Point, len(points))
	for _, p := range points {
		byKey[p.Key] = p
	}
	for i := range best { // a point that was deleted meanwhile keeps what the search told of it
		if p, ok := byKey[best[i].Key]; ok && p.Version == best[i].Version {
			best[i].Text, best[i].Sparse = p.Text, p.Sparse
			if len(best[i].Meta) == 0 {
				best[i].Meta = p.Meta
			}
		}
	}
	return nil
}

func (r *ranking) request(limit uint32) *pb.SearchRequest {
	packed := make([]byte, 0, 4*len(r.leg.Dense))
	for _, x := range r.leg.Dense {
		packed = binary.LittleEndian.AppendUint32(packed, math.Float32bits(x))
	}
	return &pb.SearchRequest{
		Filters: r.filter, Limit: limit, Metadata: &pb.MetadataRequest{Distance: true},
		NearVector: &pb.NearVector{VectorBytes: packed}, //nolint:staticcheck // the other form is for vectors with a name
	}
}

// order scores the rows and puts them into their final order. Figures that are far from
// the server's show that the class is another one than was thought.
func (r *ranking) order(rows []row) error {
	for i := range rows {
		x := &rows[i]
		if len(x.Dense) != r.c.Dims {
			return fmt.Errorf("search %s: a row has %d dims, the collection %d: %w", r.c.Name, len(x.Dense), r.c.Dims, errStale)
		}
		x.score = exact.Score(r.c.Metric, r.leg.Dense, x.Dense)
		told := canonical(r.c.Metric, x.distance)
		if off := math.Abs(told - x.score); !r.sure && off > 1e-2*(1+math.Abs(told)+math.Abs(x.score)) {
			return fmt.Errorf("search %s: a row is at %v, the server says %v: %w", r.c.Name, x.score, told, errStale)
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.score, a.score), a.Compare(b.Key))
	})
	return nil
}

// canonical turns Weaviate's distance into a score.
func canonical(m search.Metric, distance float64) float64 {
	switch m {
	case search.Cosine:
		return 1 - distance
	case search.Dot:
		return -distance
	default:
		return -math.Sqrt(max(distance, 0))
	}
}

// certain reports whether no row behind those that were read can belong to the best k: the
// last one read is further from the k-th than float32 can be wrong.
func (r *ranking) certain(rows []row) bool {
	k := r.leg.K
	if k >= len(rows) {
		return false
	}
	furthest, longest := math.Inf(-1), 0.0
	for i := range rows {
		furthest = max(furthest, rows[i].distance) // NaN if one is
		if r.c.Metric == search.Dot {
			longest = max(longest, exact.Score(search.Dot, rows[i].Dense, rows[i].Dense))
		}
	}
	last := canonical(r.c.Metric, furthest)
	return !math.IsInf(furthest, 0) && rows[k-1].score-last > exact.Margin(r.c.Metric, r.leg.Dense, last, longest)
}

// list makes hits of the best rows.
func (r *ranking) list(rows []row) search.List {
	rows = rows[:min(len(rows), r.leg.K)]
	list := search.List{Hits: make([]search.Hit, len(rows))}
	for i := range rows {
		x := &rows[i]
		list.Hits[i] = search.Hit{Point: x.Point, Score: x.score, Raw: exact.Raw(r.c.Metric, x.score)}
		if !r.q.Fields.Vector {
			list.Hits[i].Dense, list.Hits[i].Sparse = nil, search.Sparse{}
		}
	}
	return list
}

// only scores the named points here, whatever the index.
func (s *Store) only(ctx context.Context, r *ranking) (search.List, error) {
	var keys []search.Key
	for _, k := range r.leg.Only {
		if k.Tenant == r.q.Tenant {
			keys = append(keys, k)
		}
	}
	need := r.q.Fields
	need.Vector = true
	need.Meta = need.Meta || !r.q.Filter.IsZero()
	rows, err := s.byID(ctx, r.c, r.c.objectIDs(keys), &reply{fields: need})
	if err != nil {
		return search.List{}, err
	}
	lexical := len(r.leg.Dense) == 0
	rows = slices.DeleteFunc(rows, func(x row) bool {
		lacks := lexical && len(x.Sparse.Index) == 0 || !lexical && len(x.Dense) != r.c.Dims
		return !x.hasKey || x.Tenant != r.q.Tenant || lacks || !r.q.Filter.Match(x.Meta)
	})
	for i := range rows {
		if x := &rows[i]; lexical {
			x.score = exact.Sparse(r.leg.Sparse, x.Sparse)
		} else {
			x.score = exact.Score(r.c.Metric, r.leg.Dense, x.Dense)
		}
		if !r.q.Fields.Meta {
			rows[i].Meta = nil
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.score, a.score), a.Compare(b.Key))
	})
	list := r.list(rows)
	list.Prefix, list.Exhausted = true, len(rows) <= r.leg.K
	if lexical {
		for i := range list.Hits {
			list.Hits[i].Raw = list.Hits[i].Score
		}
	}
	return list, nil
}
