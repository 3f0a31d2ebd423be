package local

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/wellformed"
	"github.com/lanewise/lanewise/search"
)

// ranking is one leg on its way through a search: a dense one has a probe, a
// lexical one a recall.
type ranking struct {
	c    *collection
	part *part
	leg  *search.Leg
	*probe
	words     *recall
	best      []candidate
	exhausted bool
}

// Search ranks the points of exactly the query's tenant, exactly: EF and Exact of
// a leg change nothing. Dense legs on the same collection share one scan.
//
// A leg with a sparse vector ranks the points that share a dimension with it where
// neither value is 0, by the inner product, and no others, not even those that
// Only names. It goes by an index in memory. A leg has one vector; a dense one with
// other dims than the collection's, a sparse one whose indices do not rise, and a
// number that is not finite are fault.Invalid. A collection that is not there is
// fault.NotFound.
func (s *Store) Search(ctx context.Context, q search.Query) (search.Result, error) {
	if ctx.Err() != nil {
		return search.Result{}, context.Cause(ctx)
	}
	st := s.acquire()
	if st == nil {
		return search.Result{}, errClosed()
	}
	defer st.release()
	rankings, err := st.plan(&q)
	if err != nil {
		return search.Result{}, err
	}
	if err := s.rank(ctx, &q, rankings); err != nil {
		return search.Result{}, err
	}
	lists, err := s.lists(&q, rankings)
	if err != nil {
		return search.Result{}, err
	}
	if q.Complete && len(rankings) > 1 {
		complete(lists, rankings)
	}
	return search.Result{Lists: lists, Report: search.Report{Complete: true, Coverage: 1}}, nil
}

// plan checks the legs and finds what they rank.
func (st *state) plan(q *search.Query) ([]*ranking, error) {
	if len(q.Legs) == 0 {
		return nil, fault.BadField("/legs", "is empty")
	}
	rankings := make([]*ranking, len(q.Legs))
	for i := range q.Legs {
		r, err := st.planLeg(q, &q.Legs[i])
		if err != nil {
			return nil, within(fmt.Sprintf("/legs/%d", i), err)
		}
		rankings[i] = r
	}
	return rankings, nil
}

func (st *state) planLeg(q *search.Query, leg *search.Leg) (*ranking, error) {
	name := leg.Collection
	if name == "" {
		name = q.Collection
	}
	c, ok := st.collections[name]
	switch {
	case !ok:
		return nil, errNoCollection(name)
	case leg.K < 1:
		return nil, fault.BadField("/k", "is %d, it must be at least 1", leg.K)
	case leg.Vector != "":
		return nil, fault.BadField("/vector", "is %q, but points of the embedded store have one vector without a name", leg.Vector)
	}
	if err := checkVector(c.head.Collection.Dims, leg); err != nil {
		return nil, err
	}
	p, ok := c.tenants.get(q.Tenant)
	if !ok {
		p = new(part)
	}
	k := min(leg.K, p.points) + 1 // one more tells whether there are more
	r := &ranking{c: c, part: p, leg: leg}
	if isLexical(leg) {
		r.words = newRecall(p, leg.Sparse, k)
	} else {
		r.probe = newProbe(c.head.Collection.Metric, leg.Dense, k)
	}
	return r, nil
}

func isLexical(leg *search.Leg) bool { return len(leg.Sparse.Index)+len(leg.Sparse.Value) > 0 }

// checkVector wants one vector, in good form.
func checkVector(dims int, leg *search.Leg) error {
	switch {
	case !isLexical(leg):
		return wellformed.Dense("/dense", dims, leg.Dense)
	case len(leg.Dense) > 0:
		return fault.BadField("/sparse", "stands beside a dense vector: a leg is one ranking")
	default:
		return wellformed.Sparse("/sparse", leg.Sparse)
	}
}

// rank fills in the best rows of every leg.
func (s *Store) rank(ctx context.Context, q *search.Query, rankings []*ranking) error {
	swept := map[*part]bool{}
	for _, r := range rankings {
		var err error
		switch {
		case r.words != nil:
			err = s.recall(ctx, q, r)
		case r.leg.Only != nil:
			err = s.rankOnly(q, r)
		case !swept[r.part]:
			swept[r.part] = true
			err = s.sweep(ctx, q, slices.DeleteFunc(slices.Clone(rankings), func(other *ranking) bool {
				return other.part != r.part || other.leg.Only != nil || other.words != nil
			}))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sweep ranks legs on the same part in one scan.
func (s *Store) sweep(ctx context.Context, q *search.Query, rankings []*ranking) error {
	w := sweep{s: s, c: rankings[0].c, part: rankings[0].part, filter: q.Filter}
	for _, r := range rankings {
		w.probes = append(w.probes, r.probe)
	}
	collectors, err := w.run(ctx)
	if err != nil {
		return err
	}
	for i, r := range rankings {
		r.best, r.exhausted = collectors[i].best()
	}
	return nil
}

// rankOnly ranks the points that the leg names.
func (s *Store) rankOnly(q *search.Query, r *ranking) error {
	c := newCollector(r.probe, r.part)
	c.k = min(r.leg.K, len(r.leg.Only)) + 1
	slots := r.part.only(q.Tenant, r.leg.Only)
	keep := func(sv *sieve) error {
		for _, at := range slots {
			b := r.part.blocks[at.block]
			ok, err := sv.look(b, int(at.row))
			if err != nil {
				return err
			}
			if ok && !b.bare[at.row] {
				score := c.exact(b.vector(int(at.row)))
				c.rows = append(c.rows, candidate{lower: score * c.unit, upper: score * c.unit, score: score, block: at.block, row: at.row, exact: true})
			}
		}
		return nil
	}
	var err error
	if q.Filter.IsZero() {
		err = keep(nil)
	} else {
		err = s.read(r.c, func(h *shelf) error { return keep(newSieve(q.Filter, r.c.columns, h)) })
	}
	r.best, r.exhausted = c.best()
	return err
}

// recall ranks a lexical leg. Documents are open for the filter only.
func (s *Store) recall(ctx context.Context, q *search.Query, r *ranking) error {
	run := func(sv *sieve) error {
		if r.leg.Only != nil {
			return r.words.only(r.part.only(q.Tenant, r.leg.Only), sv)
		}
		return s.recallAll(ctx, r.words, sv)
	}
	var err error
	if q.Filter.IsZero() {
		err = run(nil)
	} else {
		err = s.read(r.c, func(h *shelf) error { return run(newSieve(q.Filter, r.c.columns, h)) })
	}
	r.best, r.exhausted = r.words.heap.best()
	return err
}

// recallAll ranks all rows, with the sums of an earlier search where there are some: whoever comes to the end
// leaves them untouched.
func (s *Store) recallAll(ctx context.Context, words *recall, sv *sieve) error {
	sums, ok := s.sums.Get().(*[windowRows]float64)
	if !ok {
		sums = new([windowRows]float64)
		for i := range sums {
			sums[i] = untouched()
		}
	}
	words.sums = sums[:]
	err := words.run(ctx, sv)
	if words.sums = nil; err == nil {
		s.sums.Put(sums)
	}
	return err
}

// raw returns the engine's own figure for a canonical score.
func (r *ranking) raw(score float64) float64 {
	if r.words != nil {
		return score
	}
	return r.probe.raw(score)
}

// only finds the points with these keys, each once.
func (p *part) only(tenant string, keys []search.Key) []slot {
	slots := make([]slot, 0, len(keys))
	for _, k := range keys {
		if k.Tenant != tenant {
			continue
		}
		if at, ok := p.ids.get(k.ID); ok && !at.deleted() {
			slots = append(slots, at)
		}
	}
	slices.SortFunc(slots, func(a, b slot) int { return cmp.Or(cmp.Compare(a.block, b.block), cmp.Compare(a.row, b.row)) })
	return slices.Compact(slots)
}

// lists turns the best rows into hits.
func (s *Store) lists(q *search.Query, rankings []*ranking) ([]search.List, error) {
	lists := make([]search.List, len(rankings))
	for i, r := range rankings {
		hits := make([]search.Hit, len(r.best))
		err := s.withDocuments(r.c, q.Fields, func(h *shelf) error {
			for j, x := range r.best {
				p, err := r.part.blocks[x.block].point(q.Tenant, int(x.row), q.Fields, h)
				if err != nil {
					return err
				}
				hits[j] = search.Hit{Point: p, Collection: r.c.head.Collection.Name, Score: x.score, Raw: r.raw(x.score)}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		lists[i] = search.List{Hits: hits, Exhausted: r.exhausted, Prefix: true}
	}
	return lists, nil
}
