package router

import (
	"context"
	"encoding/base64"
	"encoding/json"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// Reindex asks for one step of giving a collection words that was made without.
type Reindex struct {
	Collection string
	Language   string // ISO 639-1 code for stemming; empty: none
	AvgLen     int    // words of a typical text; 0: 100
	Cursor     string // where the step before ended; empty: at the start
	Limit      int    // points to look at; 0: 500
}

// Reindexed is what a step has done.
type Reindexed struct {
	Seen   int    // points looked at
	Given  int    // points that have been given words
	Cursor string // of the next step; empty: the collection is done
}

// seam is where a step of a reindexing ended.
type seam struct {
	Sweep int        `json:"s"` // 0: before the collection is lexical; 1: after, for what was written meanwhile
	After search.Key `json:"a"`
}

// Reindex adds the vectors of their words to the points of a collection, a step
// at a time, while searches and writes go on. Once all points have words the collection is lexical, and a second sweep
// looks for those that were written meanwhile. Points that have words are passed over, so that it may be started
// again at any time.
//
// A step never undoes a write: it takes its versions first, waits for the writes under way, and then reads, so that
// every write which it has not seen is newer. While other routers share the map it is fault.Conflict. Where an engine keeps no versions, writes at the same time may be lost.
func (r *Router) Reindex(ctx context.Context, q Reindex) (Reindexed, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*r.cfg.WriteTimeout)
	defer cancel()
	at, err := openSeam(q.Cursor)
	if err != nil {
		return Reindexed{}, err
	}
	c, err := r.topo.Load().writable(q.Collection, "any")
	if err != nil {
		return Reindexed{}, err
	}
	lexical := c
	if !c.Lexical {
		lexical.Lexical, lexical.Language, lexical.AvgLen = true, q.Language, q.AvgLen
		if err := r.prepareWords(ctx, lexical, q.Cursor == ""); err != nil {
			return Reindexed{}, err
		}
	} else if q.Cursor == "" {
		at.Sweep = 1
	}
	_, release, err := r.alone(ctx)
	if err != nil {
		return Reindexed{}, err
	}
	defer release()
	done, last, more, err := r.giveWords(ctx, lexical, at.After, max(q.Limit, 0))
	switch {
	case err != nil:
		return done, err
	case more:
		done.Cursor = seam{at.Sweep, last}.String()
	case at.Sweep == 0:
		if !c.Lexical {
			err = r.edit(func(m *shardmap.Map) (*shardmap.Map, error) { return m.WithCollection(lexical) })
		}
		done.Cursor = seam{Sweep: 1}.String()
	}
	return done, err
}

// prepareWords makes the stores ready for words, at the start.
func (r *Router) prepareWords(ctx context.Context, c search.Collection, first bool) error {
	if err := r.checkWords(c); err != nil {
		return err
	}
	if m := r.topo.Load().move; m != nil {
		return m.refuse("no collection can be reindexed")
	}
	if !first {
		return nil
	}
	return r.everywhere(ctx, search.Batch{Collection: c.Name, Create: &c})
}

// giveWords gives words to the points of one page that lack them.
func (r *Router) giveWords(ctx context.Context, c search.Collection, after search.Key, limit int) (done Reindexed, last search.Key, more bool, err error) {
	if limit == 0 {
		limit = 500
	}
	first := r.clock.next(limit)
	if err := r.commits.drain(ctx); err != nil {
		return done, last, false, err
	}
	page, err := r.Scroll(ctx, search.Scan{
		Collection: c.Name, AllTenants: true, After: after, Limit: limit,
		Fields: search.Fields{Text: true, Meta: true, Vector: true},
	})
	if err != nil || len(page.Points) == 0 {
		return done, last, false, err
	}
	done.Seen, last = len(page.Points), page.Points[len(page.Points)-1].Key
	b, err := r.wordsFor(c, page.Points, first)
	if err != nil || len(b.Upserts) == 0 {
		return done, last, page.More, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.WriteTimeout)
	defer cancel()
	written, err := r.writeAll(ctx, c, func() search.Batch { return b })
	if written.Newer > 0 {
		r.clock.advance(written.Newer) // of a write meanwhile, which brought words of its own or is for the second sweep
	}
	done.Given = len(b.Upserts)
	return done, last, page.More, err
}

// wordsFor returns the points that lack words, with words and versions from first on.
func (r *Router) wordsFor(c search.Collection, points []search.Point, first stamps) (b search.Batch, err error) {
	for _, p := range points {
		if p.Text == "" || len(p.Sparse.Index) > 0 || p.Version >= first.at(0) {
			continue
		}
		p.Version = first.at(len(b.Upserts))
		b.Upserts = append(b.Upserts, p)
	}
	if err := r.inWords(c, b.Upserts); err != nil {
		return b, err
	}
	kept := b.Upserts[:0]
	for _, p := range b.Upserts {
		if len(p.Sparse.Index) > 0 { // a text may be of stop words alone
			kept = append(kept, p)
		}
	}
	b.Upserts = kept
	return b, nil
}

func (s seam) String() string {
	data, err := json.Marshal(s)
	if err != nil {
		panic(err) // a defect: it holds strings and a number
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

func openSeam(cursor string) (s seam, err error) {
	if cursor == "" {
		return s, nil
	}
	data, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil || s.Sweep < 0 || s.Sweep > 1 {
		return s, fault.BadField("/cursor", "is none that a reindexing gave")
	}
	return s, nil
}
