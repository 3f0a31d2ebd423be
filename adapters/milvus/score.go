package milvus

import (
	"context"
	"math"

	"github.com/lanewise/lanewise/internal/exact"
	"github.com/lanewise/lanewise/search"
)

// scoredHere scores a point in float64. False
// where the point has no vector for the leg, or none that shares a dimension with a
// lexical leg, or the score is not finite.
func scoredHere(m search.Metric, leg search.Leg, p search.Point) (search.Hit, bool) {
	h := search.Hit{Point: p}
	switch {
	case len(leg.Dense) == 0:
		if !exact.Share(leg.Sparse, p.Sparse) {
			return h, false
		}
		h.Score = exact.Sparse(leg.Sparse, p.Sparse)
	case len(p.Dense) != len(leg.Dense):
		return h, false
	default:
		h.Score = exact.Score(m, leg.Dense, p.Dense)
	}
	h.Raw = h.Score
	if len(leg.Dense) > 0 {
		h.Raw = exact.Raw(m, h.Score)
	}
	return h, !math.IsNaN(h.Score) && !math.IsInf(h.Score, 0)
}

// tied answers a query by the zero vector on cosine: every score is 0, and the keys
// decide. Milvus would divide by the length of the query.
func (s *Store) tied(ctx context.Context, c schema, a ask) (search.List, error) {
	points, err := s.points(ctx, c, page{both(a.condition, hasVector), a.fields, min(a.leg.K+1, maxRows)})
	if err != nil {
		return search.List{}, err
	}
	list := search.List{Exhausted: len(points) <= a.leg.K && len(points) < maxRows, Prefix: true}
	for _, p := range points[:min(len(points), a.leg.K)] {
		list.Hits = append(list.Hits, search.Hit{Point: p})
	}
	return list, nil
}

// addZeroed adds the points whose vector is zero to a list on cosine that reaches
// down to their score, which is 0. Milvus cannot rank them.
func (s *Store) addZeroed(ctx context.Context, c schema, a ask, hits []search.Hit) ([]search.Hit, error) {
	want := a.rows()
	if c.Metric != search.Cosine || len(hits) >= want && hits[len(hits)-1].Score > 0 {
		return hits, nil
	}
	points, err := s.points(ctx, c, page{both(a.condition, isZeroed), a.fields, want})
	for _, p := range points {
		hits = append(hits, search.Hit{Point: p})
	}
	return hits, err
}
