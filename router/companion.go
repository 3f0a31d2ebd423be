package router

import (
	"context"
	"errors"
	"slices"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// A lexical companion ranks the points of a shard by their words, where the shard's replicas
// cannot: they are on engines without sparse vectors. It is written to like a replica, counts in the
// acknowledgements, and is compared and mended with the replicas; it never answers for them, and it is
// not spread over by hand: it holds the words, texts and metadata of all the shard's points, and no dense vectors.

// companion is the store of a lexical companion: what is written to it loses its dense vector.
type companion struct {
	search.Store
	search.TermCounter
}

func (c companion) Write(ctx context.Context, b search.Batch) (search.Written, error) {
	if len(b.Upserts) > 0 {
		b.Upserts = slices.Clone(b.Upserts)
		for i := range b.Upserts {
			b.Upserts[i].Dense = nil
		}
	}
	return c.Store.Write(ctx, b)
}

// companionsOf are the companions of a shard as replicas that only hold words.
func companionsOf(c Shard) []Replica {
	out := slices.Clone(c.Lexical)
	for i := range out {
		counter, ok := out[i].Store.(search.TermCounter)
		if !ok {
			continue // validate refuses it
		}
		out[i].Store, out[i].words = companion{out[i].Store, counter}, true
	}
	return out
}

// ranksWords are the replicas that answer lexical legs over all points.
func (s *shard) ranksWords() *balance.Pool[Replica] {
	if s.companions != nil {
		return s.companions
	}
	return s.pool
}

// errMute is of a lexical leg where no companion is in step.
var errMute = fault.New(fault.Unavailable, "no lexical companion is in step with its shard; lanewise repair mends them")

// split parts what goes to the companions of a shard from what its replicas answer.
func (g *gathering) split(round []asking) []asking {
	if !slices.ContainsFunc(round, func(a asking) bool { return g.shard(a).companions != nil }) {
		return round
	}
	var out []asking
	for _, a := range round {
		own, words := asking{at: a.at}, asking{at: a.at, words: true}
		for i, leg := range a.asked {
			to := &own
			if g.shard(a).companions != nil && len(leg.Sparse.Index) > 0 {
				to = &words
			}
			to.legs, to.asked = append(to.legs, a.legs[i]), append(to.asked, leg)
		}
		words.alone = len(own.legs) == 0
		for _, part := range []asking{own, words} {
			if len(part.legs) > 0 {
				out = append(out, part)
			}
		}
	}
	return out
}

// muted records that a shard's companions did not answer.
func (g *gathering) muted(a asking, err error) {
	g.mutes[a.at] = err
	for _, leg := range a.legs {
		g.legs[leg].Fail(a.at)
	}
}

// halved reports whether a shard that lacks its lexical leg has answered another. To complete the scores of what
// other legs ranked is part of an answer, too.
func (g *gathering) halved(at int) bool {
	return g.errs[at] == nil && g.mutes[at] != nil && slices.ContainsFunc(g.query.Legs, func(l search.Leg) bool {
		return len(l.Sparse.Index) == 0 || l.Only != nil
	})
}

// failure is why a shard is missing in the answer, as a whole or by a leg; nil: it is not.
func (g *gathering) failure(at int) (search.Reason, error) {
	switch {
	case g.errs[at] != nil:
		return reason(g.errs[at]), g.errs[at]
	case g.mutes[at] != nil:
		return search.Lexical, g.mutes[at]
	}
	return "", nil
}

// fillIn fetches the vectors of hits that companions found: they hold none.
func (r *Router) fillIn(ctx context.Context, g *gathering, lists []search.List) error {
	if !g.fields.Vector || !slices.ContainsFunc(g.shards, func(i int) bool { return g.topo.shards[i].companions != nil }) {
		return nil
	}
	var keys []search.Key
	for _, list := range lists {
		for _, h := range list.Hits {
			if len(h.Dense) == 0 {
				keys = append(keys, h.Key)
			}
		}
	}
	if len(keys) == 0 {
		return nil
	}
	points, err := r.Get(ctx, g.query.Collection, keys, search.Fields{Vector: true})
	if err != nil {
		return err
	}
	vectors := make(map[search.Key]search.Point, len(points))
	for _, p := range points {
		vectors[p.Key] = p
	}
	for _, list := range lists {
		for i := range list.Hits {
			h := &list.Hits[i]
			if p, ok := vectors[h.Key]; ok && len(h.Dense) == 0 {
				h.Dense, h.Sparse = p.Dense, p.Sparse
			}
		}
	}
	return nil
}

// checkCompanions refuses companions that cannot do what they are for.
func checkCompanions(s Shard, path func(j int) string) error {
	var errs []error
	for j, l := range s.Lexical {
		if l.Store == nil {
			continue // it is reported already
		}
		_, counts := l.Store.(search.TermCounter)
		can, declares := l.Store.(interface{ Capabilities() search.Capabilities })
		if !counts || declares && !can.Capabilities().Sparse {
			errs = append(errs, fault.New(fault.Invalid, "%s.store: cannot rank by words", path(j)))
		}
	}
	return errors.Join(errs...)
}
