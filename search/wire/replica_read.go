package wire

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// The names of the members, in the order of the cases below.
var (
	queryFields     = []string{"collection", "tenant", "legs", "filter", "fields", "epoch"}
	legFields       = []string{"collection", "vector", "dense", "index", "value", "k", "ef", "exact", "only"}
	keyFields       = []string{"tenant", "id"}
	flagFields      = []string{"text", "meta", "vector"}
	resultFields    = []string{"lists", "report"}
	listFields      = []string{"hits", "exhausted", "prefix", "dropped"}
	pointFields     = []string{"tenant", "id", "version", "dense", "index", "value", "text", "meta"}
	hitFields       = append(pointFields[:8:8], "collection", "score", "raw", "shard", "legs")
	scoreFields     = []string{"leg", "rank", "score"}
	missingFields   = []string{"shard", "reason", "detail"}
	batchFields     = []string{"collection", "epoch", "create", "drop", "upserts", "deletes"}
	tombstoneFields = []string{"tenant", "id", "version"}
	writtenFields   = []string{"applied", "newer", "lag_ns"}
	keysFields      = []string{"collection", "keys", "fields"}
	scanFields      = []string{"collection", "tenant", "all_tenants", "filter", "after", "limit", "fields"}
	pageFields      = []string{"points", "more"}
	countFields     = []string{"count"}
	statsFields     = []string{"stats"}
	statFields      = []string{"collection", "points", "bytes", "newest"}
	reportFields    = []string{
		"complete", "coverage", "shards_asked", "shards_answered", "missing", "rows_asked", "rows_saved",
		"refills", "dropped", "vanished", "mode", "hedges", "failovers", "took_ns", "epoch",
	}
)

func (r *reader) query(q *search.Query) {
	r.object(queryFields, func(i int) {
		switch i {
		case 0:
			q.Collection = r.text()
		case 1:
			q.Tenant = r.text()
		case 2:
			r.array(func(int) {
				q.Legs = append(q.Legs, search.Leg{})
				r.leg(&q.Legs[len(q.Legs)-1])
			})
		case 3:
			q.Filter = r.filter()
		case 4:
			r.fields(&q.Fields)
		case 5:
			q.Epoch = r.unsigned()
		}
	})
}

func (r *reader) leg(l *search.Leg) {
	r.object(legFields, func(i int) {
		switch i {
		case 0:
			l.Collection = r.text()
		case 1:
			l.Vector = r.text()
		case 2:
			l.Dense = r.floats()
		case 3:
			l.Sparse.Index = r.uints()
		case 4:
			l.Sparse.Value = r.floats()
		case 5:
			l.K = int(r.integer())
		case 6:
			l.EF = int(r.integer())
		case 7:
			l.Exact = r.bool()
		case 8:
			l.Only = r.keyList()
		}
	})
	r.checkSparse(&l.Sparse)
}

func (r *reader) checkSparse(s *search.Sparse) {
	if len(s.Index) != len(s.Value) {
		r.fail("has %d indices and %d values", len(s.Index), len(s.Value))
	}
	for i := 1; i < len(s.Index); i++ {
		if s.Index[i] <= s.Index[i-1] {
			r.fail("the indices of a sparse vector must increase strictly")
			return
		}
	}
}

// keyList tells an empty list from none.
func (r *reader) keyList() []search.Key {
	if r.null() {
		return nil
	}
	keys := []search.Key{}
	r.array(func(int) {
		var k search.Key
		r.key1(&k)
		keys = append(keys, k)
	})
	return keys
}

func (r *reader) key1(k *search.Key) {
	r.object(keyFields, func(i int) {
		switch i {
		case 0:
			k.Tenant = r.text()
		case 1:
			k.ID = r.text()
		}
	})
}

func (r *reader) filter() search.Filter {
	raw := r.raw()
	if r.err != nil {
		return search.Filter{}
	}
	f, err := search.ParseFilter([]byte(raw))
	if err != nil {
		r.adopt(err)
	}
	return f
}

// adopt makes the error of an inner reader the reader's own.
func (r *reader) adopt(err error) {
	if inner, ok := errors.AsType[*fault.Error](err); ok {
		r.fail("%s", inner.Message)
		r.at = inner.Field
		return
	}
	r.fail("%v", err)
}

func (r *reader) fields(f *search.Fields) {
	r.object(flagFields, func(i int) {
		switch i {
		case 0:
			f.Text = r.bool()
		case 1:
			f.Meta = r.bool()
		case 2:
			f.Vector = r.bool()
		}
	})
}

func (r *reader) result(res *search.Result) {
	r.object(resultFields, func(i int) {
		switch i {
		case 0:
			r.array(func(int) {
				res.Lists = append(res.Lists, search.List{})
				r.list(&res.Lists[len(res.Lists)-1])
			})
		case 1:
			r.report(&res.Report)
		}
	})
}

func (r *reader) list(l *search.List) {
	r.object(listFields, func(i int) {
		switch i {
		case 0:
			r.hits(l)
		case 1:
			l.Exhausted = r.bool()
		case 2:
			l.Prefix = r.bool()
		case 3:
			l.Dropped = int(r.integer())
		}
	})
}

func (r *reader) hits(l *search.List) {
	var last search.Hit
	r.array(func(int) {
		if l.Hits == nil {
			l.Hits = make([]search.Hit, 0, 16)
		}
		l.Hits = append(l.Hits, search.Hit{})
		h := &l.Hits[len(l.Hits)-1]
		r.hit(h, &last)
		last = *h
	})
}

func (r *reader) hit(h, last *search.Hit) {
	raw := false
	r.object(hitFields, func(i int) {
		switch i {
		case 8:
			h.Collection = r.same(last.Collection)
		case 9:
			h.Score = r.float()
		case 10:
			h.Raw, raw = r.float(), true
		case 11:
			h.Shard = r.same(last.Shard)
		case 12:
			r.legScores(h)
		default:
			r.pointField(i, &h.Point)
		}
	})
	if !raw {
		h.Raw = h.Score
	}
	r.checkSparse(&h.Sparse)
}

func (r *reader) legScores(h *search.Hit) {
	r.array(func(int) {
		var s search.LegScore
		r.object(scoreFields, func(i int) {
			switch i {
			case 0:
				s.Leg = int(r.integer())
			case 1:
				s.Rank = int(r.integer())
			case 2:
				s.Score = r.float()
			}
		})
		h.Legs = append(h.Legs, s)
	})
}

// pointField reads member i of pointFields.
func (r *reader) pointField(i int, p *search.Point) {
	switch i {
	case 0:
		p.Tenant = r.text()
	case 1:
		p.ID = r.text()
	case 2:
		p.Version = search.Version(r.unsigned())
	case 3:
		p.Dense = r.floats()
	case 4:
		p.Sparse.Index = r.uints()
	case 5:
		p.Sparse.Value = r.floats()
	case 6:
		p.Text = r.text()
	case 7:
		p.Meta = r.meta()
	}
}

func (r *reader) meta() json.RawMessage {
	if r.null() {
		return nil
	}
	if r.peek() != '{' {
		r.fail("must be an object")
	}
	raw := r.raw()
	return json.RawMessage(raw)
}

func (r *reader) report(p *search.Report) {
	r.object(reportFields, func(i int) {
		switch i {
		case 0:
			p.Complete = r.bool()
		case 1:
			p.Coverage = r.float()
		case 4:
			r.missing(p)
		case 10:
			p.Mode = r.text()
		case 13:
			p.Took = time.Duration(r.integer())
		case 14:
			p.Epoch = r.unsigned()
		default:
			*reportCount(p, i) = int(r.integer())
		}
	})
}

// reportCount returns the counter that is member i of reportFields.
func reportCount(p *search.Report, i int) *int {
	return map[int]*int{
		2: &p.ShardsAsked, 3: &p.ShardsAnswered, 5: &p.RowsAsked, 6: &p.RowsSaved, 7: &p.Refills,
		8: &p.Dropped, 9: &p.Vanished, 11: &p.Hedges, 12: &p.Failovers,
	}[i]
}

func (r *reader) missing(p *search.Report) {
	r.array(func(int) {
		var m search.Missing
		r.object(missingFields, func(i int) {
			switch i {
			case 0:
				m.Shard = r.text()
			case 1:
				m.Reason = search.Reason(r.text())
			case 2:
				m.Detail = r.text()
			}
		})
		p.Missing = append(p.Missing, m)
	})
}

func (r *reader) batch(b *search.Batch) {
	r.object(batchFields, func(i int) {
		switch i {
		case 0:
			b.Collection = r.text()
		case 1:
			b.Epoch = r.unsigned()
		case 2:
			if c, ok := r.collection(); ok {
				b.Create = &c
			}
		case 3:
			b.Drop = r.bool()
		case 4:
			r.points(&b.Upserts)
		case 5:
			r.tombstones(b)
		}
	})
}

func (r *reader) collection() (search.Collection, bool) {
	if r.null() {
		return search.Collection{}, false
	}
	raw := r.raw()
	if r.err != nil {
		return search.Collection{}, false
	}
	c, err := Decode[Collection]([]byte(raw))
	if err != nil {
		r.adopt(err)
	}
	return c.Descriptor(), true
}

func (r *reader) points(points *[]search.Point) {
	r.array(func(int) {
		*points = append(*points, search.Point{})
		p := &(*points)[len(*points)-1]
		r.object(pointFields, func(i int) { r.pointField(i, p) })
		r.checkSparse(&p.Sparse)
	})
}

func (r *reader) tombstones(b *search.Batch) {
	r.array(func(int) {
		var d search.Tombstone
		r.object(tombstoneFields, func(i int) {
			switch i {
			case 0:
				d.Tenant = r.text()
			case 1:
				d.ID = r.text()
			case 2:
				d.Version = search.Version(r.unsigned())
			}
		})
		b.Deletes = append(b.Deletes, d)
	})
}

func (r *reader) written(a *search.Written) {
	r.object(writtenFields, func(i int) {
		switch i {
		case 0:
			a.Applied = int(r.integer())
		case 1:
			a.Newer = search.Version(r.unsigned())
		case 2:
			a.Lag = time.Duration(r.integer())
		}
	})
}

func (r *reader) keys(k *Keys) {
	r.object(keysFields, func(i int) {
		switch i {
		case 0:
			k.Collection = r.text()
		case 1:
			k.Keys = r.keyList()
		case 2:
			r.fields(&k.Fields)
		}
	})
}

func (r *reader) scan(s *search.Scan) {
	r.object(scanFields, func(i int) {
		switch i {
		case 0:
			s.Collection = r.text()
		case 1:
			s.Tenant = r.text()
		case 2:
			s.AllTenants = r.bool()
		case 3:
			s.Filter = r.filter()
		case 4:
			r.key1(&s.After)
		case 5:
			s.Limit = int(r.integer())
		case 6:
			r.fields(&s.Fields)
		}
	})
}

func (r *reader) page(p *search.Page) {
	r.object(pageFields, func(i int) {
		switch i {
		case 0:
			r.points(&p.Points)
		case 1:
			p.More = r.bool()
		}
	})
}

func (r *reader) stats(stats *[]search.Stats) {
	r.object(statsFields, func(int) {
		r.array(func(int) {
			var s search.Stats
			r.object(statFields, func(i int) {
				switch i {
				case 0:
					s.Collection, _ = r.collection()
				case 1:
					s.Points = int(r.integer())
				case 2:
					s.Bytes = r.integer()
				case 3:
					s.Newest = search.Version(r.unsigned())
				}
			})
			*stats = append(*stats, s)
		})
	})
}
