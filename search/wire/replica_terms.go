package wire

import (
	"strconv"

	"github.com/lanewise/lanewise/search"
)

func (w *writer) termQuery(q *search.TermQuery) {
	w.object(func() {
		w.text("collection", q.Collection)
		w.text("tenant", q.Tenant)
		w.text("vector", q.Vector)
		w.uints("terms", q.Terms)
	})
}

func (r *reader) termQuery(q *search.TermQuery) {
	r.object(termQueryFields, func(i int) {
		switch i {
		case 0:
			q.Collection = r.text()
		case 1:
			q.Tenant = r.text()
		case 2:
			q.Vector = r.text()
		case 3:
			q.Terms = r.uints()
		}
	})
}

func (w *writer) termStats(s *search.TermStats) {
	w.object(func() {
		w.uint("docs", s.Docs)
		w.name("counts")
		w.b = append(w.b, '[')
		for _, n := range s.Counts {
			w.next()
			w.b = strconv.AppendUint(w.b, n, 10)
		}
		w.b = append(w.b, ']')
	})
}

func (r *reader) termStats(s *search.TermStats) {
	r.object(termStatsFields, func(i int) {
		switch i {
		case 0:
			s.Docs = r.unsigned()
		case 1:
			r.array(func(int) { s.Counts = append(s.Counts, r.unsigned()) })
		}
	})
}
