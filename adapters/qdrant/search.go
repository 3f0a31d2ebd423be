package qdrant

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"

	"github.com/qdrant/go-client/qdrant"

	"github.com/lanewise/lanewise/search"
)

// mostTies is how many rows behind the last one wanted are read, at most, to find
// all that tie with it.
const mostTies = 4096

// ask is one leg on its way.
type ask struct {
	leg   *search.Leg
	at    int // index of the leg
	c     *collection
	query *qdrant.QueryPoints
	rows  []*qdrant.ScoredPoint
}

// Search answers a query. Each leg asks for one row more than it needs: whether
// that row is there tells an exact list's end, and whether its score equals the
// last one's tells a tie, whose other rows are then read too, so that ties are cut
// by id. Exact lists, and lexical ones, are prefixes of longer ones; others need not
// be. An approximate list that is short is compared with a count before it is
// called exhausted.
//
// One copy of each of Qdrant's shards ranks. Of several, Qdrant would keep the rows that
// enough of them have among their first ones with one score to the last bit, and lose
// those that tie or whose words were added up in another order.
func (s *Store) Search(ctx context.Context, q search.Query) (search.Result, error) {
	if err := s.begin(ctx, "search"); err != nil {
		return search.Result{}, err
	}
	defer s.end()
	asks, err := s.plan(ctx, &q)
	if err != nil {
		return search.Result{}, err
	}
	lists := make([]search.List, len(q.Legs))
	for _, group := range byCollection(asks) {
		if err := s.ask(ctx, group); err != nil {
			s.forget(group[0].c.Name, err)
			return search.Result{}, err
		}
	}
	for _, a := range asks {
		if lists[a.at], err = s.list(ctx, a, q.Fields); err != nil {
			return search.Result{}, err
		}
	}
	return search.Result{Lists: lists}, nil
}

// plan validates the legs and builds their queries.
func (s *Store) plan(ctx context.Context, q *search.Query) ([]*ask, error) {
	if len(q.Legs) == 0 {
		return nil, errNoLegs()
	}
	asks := make([]*ask, len(q.Legs))
	for i := range q.Legs {
		leg := &q.Legs[i]
		c, err := s.fitting(ctx, cmp.Or(leg.Collection, q.Collection), func(c *collection) error { return checkLeg(c, leg) })
		if err != nil {
			return nil, within("/legs/"+strconv.Itoa(i), err)
		}
		filter, err := c.filter(&q.Tenant, q.Filter)
		if err != nil {
			return nil, err
		}
		filter.MustNot = nil // marks have no vectors
		asks[i] = &ask{leg: leg, at: i, c: c, query: s.query(ctx, c, leg, filter)}
		asks[i].query.WithPayload, asks[i].query.WithVectors = c.wanted(q.Fields), asks[i].vectors(q.Fields)
		if leg.Only != nil {
			asks[i].query.Filter = c.only(filter, q.Tenant, leg.Only)
		}
	}
	return asks, nil
}

// query asks for one row more than the leg.
func (s *Store) query(ctx context.Context, c *collection, leg *search.Leg, filter *qdrant.Filter) *qdrant.QueryPoints {
	out := &qdrant.QueryPoints{
		CollectionName: c.engine, Filter: filter, Limit: new(uint64(leg.K) + 1), Timeout: seconds(ctx), ShardKeySelector: s.shard,
	}
	if len(leg.Sparse.Index) > 0 {
		out.Query, out.Using = qdrant.NewQuerySparse(leg.Sparse.Index, leg.Sparse.Value), new(sparseVector)
		return out
	}
	v, _ := c.prepared(leg.Dense)
	out.Query = qdrant.NewQueryDense(v)
	if c.dense != "" {
		out.Using = &c.dense
	}
	switch {
	case leg.Exact:
		out.Params = &qdrant.SearchParams{Exact: new(true)}
	case leg.EF > 0:
		out.Params = &qdrant.SearchParams{HnswEf: new(max(uint64(leg.EF), c.breadth))}
	}
	return out
}

// only narrows a filter down to some points of the tenant.
func (c *collection) only(f *qdrant.Filter, tenant string, keys []search.Key) *qdrant.Filter {
	if c.external != nil {
		return &qdrant.Filter{Must: append(slices.Clone(f.GetMust()), c.named(keys))}
	}
	ids := make([]*qdrant.PointId, 0, len(keys))
	for _, k := range keys {
		if k.Tenant == tenant && checkKey(k) == nil {
			ids = append(ids, c.pointID(k))
		}
	}
	must := append(slices.Clone(f.GetMust()), qdrant.NewHasID(ids...))
	if len(ids) == 0 {
		must = append(must, nothing())
	}
	return &qdrant.Filter{Must: must, MustNot: f.GetMustNot()}
}

// byCollection groups asks: one call asks all that go to the same collection.
func byCollection(asks []*ask) [][]*ask {
	var groups [][]*ask
	for _, a := range asks {
		i := slices.IndexFunc(groups, func(g []*ask) bool { return g[0].c == a.c })
		if i < 0 {
			groups = append(groups, nil)
			i = len(groups) - 1
		}
		groups[i] = append(groups[i], a)
	}
	return groups
}

// ask fills in the rows, and asks again for more where a tie is cut.
func (s *Store) ask(ctx context.Context, group []*ask) error {
	for len(group) > 0 {
		batch := &qdrant.QueryBatchPoints{CollectionName: group[0].c.engine, Timeout: seconds(ctx)}
		for _, a := range group {
			batch.QueryPoints = append(batch.QueryPoints, a.query)
		}
		resp, err := s.points().QueryBatch(ctx, batch)
		if err != nil {
			return s.classify(ctx, "search in "+batch.GetCollectionName(), err)
		}
		if len(resp.GetResult()) != len(group) {
			return errAnswers(len(group), len(resp.GetResult()))
		}
		var again []*ask
		for i, a := range group {
			if a.rows = resp.GetResult()[i].GetResult(); a.cutsTie() {
				more := 2 * (a.query.GetLimit() + 1)
				a.query.Limit = new(min(more, uint64(a.leg.K)+1+mostTies))
				again = append(again, a)
			}
		}
		group = again
	}
	return nil
}

// cutsTie reports whether rows that Qdrant left out may tie with the last one
// wanted, and can still be asked for.
func (a *ask) cutsTie() bool {
	limit := a.query.GetLimit()
	return a.tied() && limit < uint64(a.leg.K)+1+mostTies
}

// tied reports whether the list is full and ends in the score of its k-th row.
func (a *ask) tied() bool {
	n := len(a.rows)
	return n > a.leg.K && uint64(n) >= a.query.GetLimit() && a.rows[n-1].GetScore() == a.rows[a.leg.K-1].GetScore()
}

// list turns the rows of a leg into hits, in order.
func (s *Store) list(ctx context.Context, a *ask, f search.Fields) (search.List, error) {
	settled := a.leg.Exact || a.lexical()
	out := search.List{Hits: make([]search.Hit, 0, len(a.rows)), Prefix: settled && !a.tied()}
	for _, row := range a.rows {
		raw := float64(row.GetScore())
		if math.IsNaN(raw) || math.IsInf(raw, 0) {
			out.Dropped++
			continue
		}
		out.Hits = append(out.Hits, search.Hit{Point: a.c.decode(row, f), Collection: a.c.Name, Score: a.score(row), Raw: raw})
	}
	slices.SortFunc(out.Hits, func(x, y search.Hit) int {
		return cmp.Or(cmp.Compare(y.Score, x.Score), x.Compare(y.Key))
	})
	if uint64(len(a.rows)) < a.query.GetLimit() && len(out.Hits) <= a.leg.K {
		var err error
		if out.Exhausted, err = s.exhausted(ctx, a, settled); err != nil {
			return out, err
		}
	}
	out.Hits = out.Hits[:min(len(out.Hits), a.leg.K)]
	return out, nil
}

// exhausted reports whether a list that came back short holds every row there is.
// The walk through an approximate index may miss some.
func (s *Store) exhausted(ctx context.Context, a *ask, settled bool) (bool, error) {
	if settled {
		return true, nil
	}
	filter := &qdrant.Filter{Must: append(slices.Clone(a.query.GetFilter().GetMust()), qdrant.NewHasVector(a.c.dense))}
	n, err := s.count(ctx, a.c, filter)
	return n <= len(a.rows), err
}
