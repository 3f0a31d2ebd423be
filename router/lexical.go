package router

import (
	"context"
	"errors"
	"slices"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tracing"
	"github.com/lanewise/lanewise/search"
)

// Lexicon turns the texts of a collection into words that can be compared: sparse
// vectors whose indices are terms. Safe for concurrent use. Package embed/bm25 has one.
type Lexicon interface {
	// Document returns the vector that is stored with a text; it does not depend on other texts.
	Document(text string) search.Sparse
	// Query returns the terms of a question and how often each occurs.
	Query(text string) search.Sparse
	// Weigh makes a query vector of terms, by how rare they are in all of a tenant's points.
	Weigh(terms search.Sparse, stats search.TermStats) (search.Sparse, error)
}

// inWords adds the vectors of their words to the points of a lexical collection.
func (r *Router) inWords(c search.Collection, points []search.Point) error {
	if !c.Lexical || r.cfg.Lexicon == nil {
		return nil
	}
	lexicon, err := r.cfg.Lexicon(c)
	if err != nil {
		return err
	}
	for i := range points {
		if p := &points[i]; len(p.Sparse.Index) == 0 && p.Text != "" {
			p.Sparse = lexicon.Document(p.Text)
		}
	}
	return nil
}

// weigh makes query vectors of the texts of the plan's lexical legs. A text
// without words of its own leaves its leg empty. A shard that cannot say how common the
// words are makes the answer a partial one: all scores would be others.
func (r *Router) weigh(ctx context.Context, p *plan, rec *recorder) error {
	if !slices.ContainsFunc(p.legs, leg.toWeigh) {
		return nil // and no timer for it
	}
	ctx, span := tracing.Start(ctx, "terms")
	ctx, cancel := halfOf(ctx)
	defer cancel()
	for i := range p.legs {
		if !p.legs[i].toWeigh() {
			continue
		}
		if err := r.weighLeg(ctx, p, &p.legs[i]); err != nil {
			span.End(err)
			return err
		}
	}
	span.End(nil)
	rec.stage("terms")
	return nil
}

func (r *Router) weighLeg(ctx context.Context, p *plan, l *leg) error {
	lexicon, err := r.cfg.Lexicon(l.collection)
	if err != nil {
		return err
	}
	terms := lexicon.Query(l.Text)
	if len(terms.Index) == 0 {
		return nil
	}
	q := search.TermQuery{Collection: l.collection.Name, Tenant: p.Tenant, Terms: terms.Index}
	stats, silent, err := r.termStats(ctx, p.topo, l.collection, q)
	if len(silent) == len(p.topo.m.Route(l.collection, p.Tenant)) && slices.ContainsFunc(p.legs, leg.dense) {
		p.silent = append(p.silent, silent...)
		return nil // the leg stays empty, and the others answer
	}
	if err != nil {
		return err
	}
	p.silent = append(p.silent, silent...)
	l.Sparse, err = lexicon.Weigh(terms, stats)
	return err
}

// termStats returns how common terms are over all shards that hold the tenant's
// points, and the shards that did not say. It fails where none of them did.
func (r *Router) termStats(ctx context.Context, t *topology, c search.Collection, q search.TermQuery) (search.TermStats, []*ShardError, error) {
	remembered := r.vocabulary.edition(r.cfg.StatsAge)
	if stats, ok := remembered.lookUp(q); ok {
		return stats, nil, nil
	}
	var silent []*ShardError
	sum, heard := search.TermStats{Counts: make([]uint64, len(q.Terms))}, 0
	shards := t.m.Route(c, q.Tenant)
	results := scatter(len(shards), func(i int) (a termAnswer) {
		a.stats, a.err = t.shards[shards[i]].termStats(ctx, q)
		return a
	})
	for i, a := range results {
		if a.err == nil {
			a.err = sum.Add(a.stats)
		}
		if a.err != nil {
			silent = append(silent, &ShardError{Shard: t.shards[shards[i]].name, Reason: search.Lexical, Err: a.err})
			continue
		}
		heard++
	}
	switch {
	case len(silent) == 0:
		remembered.enter(q, sum)
	case heard == 0:
		return sum, silent, errors.Join((&PartialError{Shards: silent}).Unwrap()...)
	}
	return sum, silent, nil
}

type termAnswer struct {
	stats search.TermStats
	err   error
}

// termStats asks whichever replica is fastest.
func (s *shard) termStats(ctx context.Context, q search.TermQuery) (search.TermStats, error) {
	if s.companions != nil && s.mute.Load() {
		return search.TermStats{}, errMute
	}
	return balance.Do(ctx, s.ranksWords(), balance.Call{Class: "terms"},
		func(ctx context.Context, replica Replica) (search.TermStats, error) {
			counter, ok := replica.Store.(search.TermCounter)
			if !ok {
				return search.TermStats{}, fault.New(fault.Invalid, "replica %s cannot count words", replica.Name)
			}
			stats, err := counter.TermStats(ctx, q)
			if err == nil && len(stats.Counts) != len(q.Terms) {
				err = fault.New(fault.Unavailable, "replica %s counted %d of %d terms", replica.Name, len(stats.Counts), len(q.Terms))
			}
			return stats, s.theirs(err)
		})
}

// checkWords refuses a lexical collection that some shard could not search.
func (r *Router) checkWords(c search.Collection) error {
	switch {
	case !c.Lexical && c.AvgLen != 0:
		return fault.BadField("/avg_len", `goes with "lexical": true only`)
	case !c.Lexical:
		return nil
	case r.cfg.Lexicon == nil:
		return fault.BadField("/lexical", "this router has no lexicon")
	}
	if name := r.wordless(); name != "" {
		return fault.BadField("/lexical", "replica %s cannot search by words; a lexical companion of its shard can", name)
	}
	_, err := r.cfg.Lexicon(c) // refuses a language that it cannot read
	return err
}

// SearchesWords reports whether every shard can search by words, so that new
// collections may be lexical.
func (r *Router) SearchesWords() bool { return r.cfg.Lexicon != nil && r.wordless() == "" }

// wordless names a replica that cannot search by words.
func (r *Router) wordless() string {
	for _, s := range r.topo.Load().shards {
		if s.companions != nil {
			continue // which can
		}
		for _, a := range s.able {
			if !a.Sparse {
				return a.replica
			}
		}
		for _, replica := range s.replicas {
			if _, ok := replica.Store.(search.TermCounter); !ok {
				return s.name + "/" + replica.Name
			}
		}
	}
	return ""
}
