package qdrant

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/qdrant/go-client/qdrant"
	"golang.org/x/sync/errgroup"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/exact"
	"github.com/lanewise/lanewise/search"
)

var _ search.TermCounter = (*Store)(nil)

// mostCounts is how many counts of one TermStats are under way at a time.
const mostCounts = 8

// TermStats counts exactly, one call of Qdrant for each term: Qdrant knows its sparse
// index's frequencies, but tells them neither by tenant nor at all. What is written
// meanwhile may be in one count and not in another.
func (s *Store) TermStats(ctx context.Context, q search.TermQuery) (search.TermStats, error) {
	stats := search.TermStats{Counts: make([]uint64, len(q.Terms))}
	if err := s.begin(ctx, "terms"); err != nil {
		return stats, err
	}
	defer s.end()
	c, err := s.lookup(ctx, q.Collection)
	if err == nil {
		err = checkWords(c, q.Vector)
	}
	if err != nil {
		return stats, err
	}
	base, err := c.filter(&q.Tenant, search.Filter{})
	if err != nil {
		return stats, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(mostCounts)
	count := func(into *uint64, condition *qdrant.Condition) {
		group.Go(func() error {
			if err := ctx.Err(); err != nil { // another one failed
				return s.classify(ctx, "count in "+c.engine, err)
			}
			n, err := s.count(ctx, c, &qdrant.Filter{Must: append(slices.Clone(base.GetMust()), condition), MustNot: base.GetMustNot()})
			*into = uint64(n) //nolint:gosec // a count
			return err
		})
	}
	count(&stats.Docs, qdrant.NewHasVector(sparseVector))
	for i, term := range q.Terms {
		count(&stats.Counts[i], qdrant.NewMatchInt(fieldWords, int64(term)))
	}
	if err := group.Wait(); err != nil {
		s.forget(q.Collection, err)
		return stats, err //nolint:wrapcheck // classified by count
	}
	return stats, nil
}

// checkWords refuses what has no sparse vector of that name.
func checkWords(c *collection, vector string) error {
	switch {
	case c.external != nil:
		return fault.BadField("/sparse", "collection %q is external: it has no lexical leg", c.Name)
	case vector != "" && vector != sparseVector:
		return fault.BadField("/vector", "no sparse vector is called %q", vector)
	}
	return nil
}

// wordsOf is the payload that terms are counted by.
func wordsOf(v search.Sparse) *qdrant.Value {
	list := make([]*qdrant.Value, 0, len(v.Index))
	for i, term := range v.Index {
		if v.Value[i] != 0 {
			list = append(list, qdrant.NewValueInt(int64(term)))
		}
	}
	return qdrant.NewValueList(&qdrant.ListValue{Values: list})
}

// lexical reports whether the leg is one.
func (a *ask) lexical() bool { return len(a.leg.Sparse.Index) > 0 }

// vectors selects the vectors that are read: a lexical leg scores again by them.
func (a *ask) vectors(f search.Fields) *qdrant.WithVectorsSelector {
	if a.lexical() && !f.Vector {
		return qdrant.NewWithVectorsInclude(sparseVector)
	}
	return qdrant.NewWithVectors(f.Vector)
}

// score is the row's canonical score, in float64 where the leg is lexical: Qdrant adds
// up a query of many words in float32.
func (a *ask) score(row *qdrant.ScoredPoint) float64 {
	given := float64(row.GetScore())
	switch v := row.GetVectors().GetVectors().GetVectors()[sparseVector]; {
	case a.lexical() && v != nil:
		return exact.Sparse(a.leg.Sparse, sparseOf(v))
	case a.c.Metric == search.Euclidean && !a.lexical():
		return 0 - given // and not -0
	}
	return given
}

// redescribe stores other settings of a collection that is there.
func (s *Store) redescribe(ctx context.Context, have *collection, want *search.Collection) (*collection, error) {
	text, err := json.Marshal(s.config.describe(want))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "describe the collection", err)
	}
	_, err = s.collections().Update(ctx, &qdrant.UpdateCollection{
		CollectionName: have.engine, Timeout: seconds(ctx),
		Metadata: map[string]*qdrant.Value{descriptor: qdrant.NewValueString(string(text))},
	})
	if err != nil {
		return nil, s.classify(ctx, "change the description of "+have.engine, err)
	}
	return s.load(ctx, want.Name)
}
