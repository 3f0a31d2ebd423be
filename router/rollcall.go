package router

import (
	"context"
	"errors"
	"slices"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// rollCall asks the replicas of a shard what they hold while no write of this router
// is under way. It reports false where that moment does not come.
func (r *Router) rollCall(ctx context.Context, s *shard) ([]holdings, bool) {
	for range 3 {
		before, quiet := s.writes.quiet()
		if !quiet {
			continue
		}
		told := r.askHoldings(ctx, s)
		if after, quiet := s.writes.quiet(); quiet && after == before {
			return told, true
		}
	}
	patient, cancel := context.WithTimeout(ctx, comparePatient)
	defer cancel()
	open, err := s.writes.pause(patient)
	if err != nil {
		return nil, false
	}
	defer open()
	return r.askHoldings(ctx, s), true
}

func (r *Router) askHoldings(ctx context.Context, s *shard) []holdings {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.SearchTimeout)
	defer cancel()
	return scatter(len(s.replicas), func(i int) holdings {
		all, err := guarded(func() ([]search.Stats, error) { return s.replicas[i].Store.Stats(ctx, "") })
		h := holdings{err: err, words: s.replicas[i].words, collections: make(map[string]search.Stats, len(all))}
		for _, st := range all {
			h.collections[st.Collection.Name] = st
		}
		return h
	})
}

// supply creates the collections that a replica lacks, empty, so that it can
// take writes. It is not read before it is in step: also the questions end first that were on their
// way to it when it was put aside, or an empty collection would answer them.
func (r *Router) supply(ctx context.Context, t *topology, s *shard, found []finding) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.WriteTimeout)
	defer cancel()
	if !slices.ContainsFunc(found, func(f finding) bool { return len(f.lacks) > 0 }) || r.reads.drain(ctx) != nil {
		return
	}
	for i, f := range found {
		for _, c := range f.lacks {
			_, err := guarded(func() (search.Written, error) {
				return s.replicas[i].Store.Write(ctx, search.Batch{Collection: c.Name, Epoch: r.writeEpoch(t), Create: &c})
			})
			if err != nil && !errors.Is(err, fault.Conflict) {
				r.cfg.Log.WarnContext(ctx, "collection not created on a replica that lacks it", "shard", s.name, "replica", s.replicas[i].Name, "collection", c.Name, "err", err)
			}
		}
	}
}
