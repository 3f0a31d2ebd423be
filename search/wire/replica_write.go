package wire

import (
	"math"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

func (w *writer) query(q *search.Query) {
	w.object(func() {
		w.text("collection", q.Collection)
		w.text("tenant", q.Tenant)
		w.name("legs")
		w.b = append(w.b, '[')
		for i := range q.Legs {
			w.next()
			w.leg(&q.Legs[i])
		}
		w.b = append(w.b, ']')
		w.filter(&q.Filter)
		w.fields(q.Fields)
		w.uint("epoch", q.Epoch)
	})
}

func (w *writer) leg(l *search.Leg) {
	w.object(func() {
		w.text("collection", l.Collection)
		w.text("vector", l.Vector)
		w.floats("dense", l.Dense)
		w.sparse(l.Sparse)
		w.int("k", l.K)
		w.int("ef", l.EF)
		w.bool("exact", l.Exact)
		if l.Only != nil { // an empty list ranks nothing, nil ranks everything
			w.keyList("only", l.Only)
		}
	})
}

func (w *writer) sparse(s search.Sparse) {
	if len(s.Index) != len(s.Value) {
		w.fail(fault.New(fault.Invalid, "a sparse vector has %d indices and %d values", len(s.Index), len(s.Value)))
	}
	w.uints("index", s.Index)
	w.floats("value", s.Value)
}

func (w *writer) keyList(name string, keys []search.Key) {
	w.name(name)
	w.b = append(w.b, '[')
	for _, k := range keys {
		w.next()
		w.object(func() { w.key(k) })
	}
	w.b = append(w.b, ']')
}

func (w *writer) key(k search.Key) {
	w.text("tenant", k.Tenant)
	w.text("id", k.ID)
}

func (w *writer) filter(f *search.Filter) {
	if f.IsZero() {
		return
	}
	raw, err := f.MarshalJSON()
	if err != nil {
		w.fail(fault.Wrap(fault.Invalid, "filter", err))
		return
	}
	w.name("filter")
	w.b = append(w.b, raw...)
}

func (w *writer) fields(f search.Fields) {
	if f == (search.Fields{}) {
		return
	}
	w.name("fields")
	w.object(func() {
		w.bool("text", f.Text)
		w.bool("meta", f.Meta)
		w.bool("vector", f.Vector)
	})
}

func (w *writer) result(res *search.Result) {
	w.object(func() {
		w.name("lists")
		w.b = append(w.b, '[')
		for i := range res.Lists {
			w.next()
			w.list(&res.Lists[i])
		}
		w.b = append(w.b, ']')
		w.report(&res.Report)
	})
}

func (w *writer) list(l *search.List) {
	dropped := l.Dropped
	w.object(func() {
		w.name("hits")
		w.b = append(w.b, '[')
		for i := range l.Hits {
			if h := &l.Hits[i]; finite(h.Score) && finite(h.Raw) {
				w.next()
				w.hit(h)
			} else {
				dropped++
			}
		}
		w.b = append(w.b, ']')
		w.bool("exhausted", l.Exhausted)
		w.bool("prefix", l.Prefix)
		w.int("dropped", dropped)
	})
}

func (w *writer) hit(h *search.Hit) {
	w.object(func() {
		w.point(&h.Point)
		w.text("collection", h.Collection)
		w.float("score", h.Score)
		if math.Float64bits(h.Raw) != math.Float64bits(h.Score) {
			w.name("raw")
			w.b = appendFloat(w.b, h.Raw)
		}
		w.text("shard", h.Shard)
		w.legScores(h.Legs)
	})
}

// legScores writes what legs give a hit. A score that is NaN or infinite is as good as none.
func (w *writer) legScores(scores []search.LegScore) {
	if len(scores) == 0 {
		return
	}
	w.name("legs")
	w.b = append(w.b, '[')
	for _, s := range scores {
		if !finite(s.Score) {
			continue
		}
		w.next()
		w.object(func() {
			w.int("leg", s.Leg)
			w.int("rank", s.Rank)
			w.float("score", s.Score)
		})
	}
	w.b = append(w.b, ']')
}

// point writes the members of a point into an object that is open.
func (w *writer) point(p *search.Point) {
	w.key(p.Key)
	w.uint("version", uint64(p.Version))
	w.floats("dense", p.Dense)
	w.sparse(p.Sparse)
	w.text("text", p.Text)
	w.meta("meta", p.Meta)
}

func (w *writer) report(r *search.Report) {
	w.name("report")
	w.object(func() {
		w.bool("complete", r.Complete)
		w.float("coverage", r.Coverage)
		w.int("shards_asked", r.ShardsAsked)
		w.int("shards_answered", r.ShardsAnswered)
		w.missing(r.Missing)
		w.int("rows_asked", r.RowsAsked)
		w.int("rows_saved", r.RowsSaved)
		w.int("refills", r.Refills)
		w.int("dropped", r.Dropped)
		w.int("vanished", r.Vanished)
		w.text("mode", r.Mode)
		w.int("hedges", r.Hedges)
		w.int("failovers", r.Failovers)
		w.int("took_ns", int(r.Took))
		w.uint("epoch", r.Epoch)
	})
}

func (w *writer) missing(missing []search.Missing) {
	if len(missing) == 0 {
		return
	}
	w.name("missing")
	w.b = append(w.b, '[')
	for _, m := range missing {
		w.next()
		w.object(func() {
			w.text("shard", m.Shard)
			w.text("reason", string(m.Reason))
			w.text("detail", m.Detail)
		})
	}
	w.b = append(w.b, ']')
}

func (w *writer) batch(b *search.Batch) {
	w.checkMeta = true
	w.object(func() {
		w.text("collection", b.Collection)
		w.uint("epoch", b.Epoch)
		if b.Create != nil {
			w.embed("create", NewCollection(*b.Create))
		}
		w.bool("drop", b.Drop)
		w.points("upserts", b.Upserts)
		w.tombstones(b.Deletes)
	})
}

// embed writes a body of the public API.
func (w *writer) embed(name string, body any) {
	raw, err := Encode(body)
	if err != nil { // a text in it is not UTF-8
		w.fail(fault.Wrap(fault.Invalid, name, err))
		return
	}
	w.name(name)
	w.b = append(w.b, raw...)
}

func (w *writer) points(name string, points []search.Point) {
	if len(points) == 0 {
		return
	}
	w.name(name)
	w.b = append(w.b, '[')
	for i := range points {
		w.next()
		w.object(func() { w.point(&points[i]) })
	}
	w.b = append(w.b, ']')
}

func (w *writer) tombstones(deletes []search.Tombstone) {
	if len(deletes) == 0 {
		return
	}
	w.name("deletes")
	w.b = append(w.b, '[')
	for _, d := range deletes {
		w.next()
		w.object(func() {
			w.key(d.Key)
			w.uint("version", uint64(d.Version))
		})
	}
	w.b = append(w.b, ']')
}

func (w *writer) written(a *search.Written) {
	w.object(func() {
		w.int("applied", a.Applied)
		w.uint("newer", uint64(a.Newer))
		w.int("lag_ns", int(a.Lag))
	})
}

func (w *writer) keys(k *Keys) {
	w.object(func() {
		w.text("collection", k.Collection)
		w.keyList("keys", k.Keys)
		w.fields(k.Fields)
	})
}

func (w *writer) scan(s *search.Scan) {
	w.object(func() {
		w.text("collection", s.Collection)
		w.text("tenant", s.Tenant)
		w.bool("all_tenants", s.AllTenants)
		w.filter(&s.Filter)
		if s.After != (search.Key{}) {
			w.name("after")
			w.object(func() { w.key(s.After) })
		}
		w.int("limit", s.Limit)
		w.fields(s.Fields)
	})
}

func (w *writer) page(p *search.Page) {
	w.object(func() {
		w.points("points", p.Points)
		w.bool("more", p.More)
	})
}

func (w *writer) stats(stats []search.Stats) {
	w.object(func() {
		w.name("stats")
		w.b = append(w.b, '[')
		for i := range stats {
			s := &stats[i]
			w.next()
			w.object(func() {
				w.embed("collection", NewCollection(s.Collection))
				w.int("points", s.Points)
				w.int("bytes", int(s.Bytes))
				w.uint("newest", uint64(s.Newest))
				w.uint("digest", s.Digest)
				if s.DigestBits > 0 {
					w.int("digest_bits", s.DigestBits)
				}
			})
		}
		w.b = append(w.b, ']')
	})
}
