package local

import (
	"context"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

var _ search.TermCounter = (*Store)(nil)

// TermStats counts the points of a tenant that have each term, exactly and in one
// snapshot. A tenant without points has zeros; a collection that is not there is
// fault.NotFound.
func (s *Store) TermStats(ctx context.Context, q search.TermQuery) (search.TermStats, error) {
	stats := search.TermStats{Counts: make([]uint64, len(q.Terms))}
	if q.Vector != "" {
		return stats, fault.BadField("/vector", "is %q, but points of the embedded store have one vector without a name", q.Vector)
	}
	st, c, err := s.look(ctx, q.Collection)
	if err != nil {
		return stats, err
	}
	defer st.release()
	part, ok := c.tenants.get(q.Tenant)
	if !ok {
		return stats, nil
	}
	stats.Docs = uint64(part.words.docs) //nolint:gosec // a count
	for i, term := range q.Terms {
		if ctx.Err() != nil {
			return stats, context.Cause(ctx)
		}
		if l, ok := part.words.lists.get(term); ok {
			stats.Counts[i] = part.count(l)
		}
	}
	return stats, nil
}

// count returns how many of a list's rows stand for a point.
func (p *part) count(l *postings) (n uint64) {
	if p.dead == 0 {
		return uint64(len(l.rows))
	}
	for _, x := range l.rows {
		if p.blocks[x.row>>rowBits].isLive(int(x.row % windowRows)) {
			n++
		}
	}
	return n
}
