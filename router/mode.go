package router

import (
	"errors"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/search"
)

// shortForm spells out a request that has a text or a vector instead of legs:
// a text is matched by its meaning, its words or both, as the mode and the
// collection have it.
func (p *plan) shortForm(lexicon bool) ([]Leg, error) {
	dense := Leg{Text: p.Text, Vector: p.Vector}
	words := Leg{Text: p.Text, Using: Words}
	c, _ := p.topo.m.Collection(p.Collection)
	switch p.Mode {
	case Dense:
		return []Leg{dense}, nil
	case Lexical, Hybrid:
		if p.Text == "" && p.page == nil {
			return nil, fault.BadField("/mode", "%q needs a text", p.Mode)
		}
		if p.Mode == Lexical {
			return []Leg{words}, nil
		}
		return []Leg{dense, words}, nil
	case "", Auto:
		switch able := lexicon && c.Lexical && p.Text != ""; {
		case able && c.Space == "":
			return []Leg{words}, nil
		case able:
			return []Leg{dense, words}, nil
		}
		return []Leg{dense}, nil
	default:
		return nil, fault.BadField("/mode", `must be "auto", "dense", "lexical" or "hybrid", is %q`, p.Mode)
	}
}

// modeOf names what some legs come to.
func modeOf(legs []leg) Mode {
	dense, words := false, false
	for _, l := range legs {
		dense = dense || l.dense()
		words = words || !l.dense()
	}
	switch {
	case dense && words:
		return Hybrid
	case words:
		return Lexical
	default:
		return Dense
	}
}

// dense reports whether the leg ranks by dense vectors.
func (l leg) dense() bool { return l.Using != Words }

// toEmbed reports whether the leg's text has yet to become a vector.
func (l leg) toEmbed() bool { return l.dense() && len(l.Vector) == 0 }

// toWeigh reports whether the leg's text has yet to become a vector of words.
func (l leg) toWeigh() bool { return !l.dense() && l.Text != "" }

// empty reports whether the leg has nothing to ask for: its text had no words.
func (l leg) empty() bool { return !l.dense() && len(l.Sparse.Index) == 0 }

// ranking is what a fusion needs to know of a leg that gave some hits.
func (l leg) ranking(hits []search.Hit) merge.Ranking {
	ranking := merge.Ranking{Collection: l.collection.Name, Hits: hits, Metric: l.collection.Metric, Weight: l.Weight}
	if !l.dense() {
		ranking.Metric = "" // BM25
	}
	return ranking
}

// checkUsing checks that the collection has the vector that the leg uses.
func (l leg) checkUsing(lexicon bool) error {
	switch sparse := len(l.Sparse.Index) > 0; {
	case l.Using != "" && l.Using != Words:
		return fault.BadField(l.field+"/using", "collection %q has a dense vector, named \"\", and perhaps %q, but none of that name",
			l.collection.Name, Words)
	case l.Using == "" && sparse:
		return fault.BadField(l.field+"/using", "must be %q: no other vector is sparse", Words)
	case l.Using == "":
		return nil
	case len(l.Vector) > 0:
		return fault.BadField(l.field+"/vector", "a dense vector cannot be compared with words: give a text or a sparse vector")
	case !l.collection.Lexical:
		return fault.BadField(l.modeField(), "collection %q was made without a lexical leg: use \"dense\", or add one with: lanewise reindex %s",
			l.collection.Name, l.collection.Name)
	case !lexicon && !sparse:
		return fault.BadField(l.modeField(), "this router has no lexicon to take texts by their words")
	}
	return nil
}

// modeField is where the request says that words are to be used.
func (l leg) modeField() string {
	if l.field == "" {
		return "/mode"
	}
	return l.field + "/using"
}

// unheard adds the shards that did not say how common the words are to those that are
// missing, unless they failed the search itself, too.
func (p *plan) unheard(rep *search.Report, err error) error {
	var partial *PartialError
	if len(p.silent) == 0 || err != nil && !errors.As(err, &partial) {
		return err
	}
	var missing search.Report
	missing.Coverage = rep.Coverage
	for _, s := range p.silent {
		missing.Missing = append(missing.Missing, search.Missing{Shard: s.Shard, Reason: s.Reason, Detail: s.Err.Error()})
	}
	addMissing(rep, missing)
	joined := &PartialError{Report: *rep, Shards: p.silent}
	if partial != nil {
		joined.Shards = append(partial.Shards, p.silent...)
	}
	return joined
}
