package wire

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
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
	r.array(func(int) {
		if l.Hits == nil {
			l.Hits = make([]search.Hit, 0, 16)
		}
		l.Hits = append(l.Hits, search.Hit{})
		r.hit(&l.Hits[len(l.Hits)-1])
	})
}

func (r *reader) hit(h *search.Hit) {
	raw := false
	r.object(hitFields, func(i int) {
		switch i {
		case 8:
			h.Collection = r.text()
		case 9:
			h.Score = r.float()
		case 10:
			h.Raw, raw = r.float(), true
		case 11:
			h.Shard = r.text()
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
	if r.data != nil {
		return r.data[r.i-len(raw) : r.i : r.i]
	}
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
	return [...]*int{
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
