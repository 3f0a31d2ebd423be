package router

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/search"
)

// vocabulary remembers how common terms are, so that not every question costs a
// round trip for it. It forgets everything at once, by age or by size, so that what it
// knows is of about one moment.
type vocabulary struct{ current atomic.Pointer[edition] }

// mostTerms bounds an edition: about 10 MB.
const mostTerms = 100_000

// edition is what was learned within one age.
type edition struct {
	printed time.Time
	size    atomic.Int64
	counts  sync.Map // entry → uint64
}

// entry is a term of a tenant's points, or their number.
type entry struct {
	collection, tenant string
	term               uint32
	docs               bool // how many points there are
}

// edition returns the one to use now. A negative age remembers nothing.
func (v *vocabulary) edition(age time.Duration) *edition {
	e := v.current.Load()
	if e != nil && time.Since(e.printed) <= age && e.size.Load() < mostTerms {
		return e
	}
	fresh := &edition{printed: time.Now()}
	if v.current.CompareAndSwap(e, fresh) {
		return fresh
	}
	return v.current.Load()
}

// forget drops everything, because a collection is another now.
func (v *vocabulary) forget() { v.current.Store(nil) }

// lookUp answers a query if all of it is known.
func (e *edition) lookUp(q search.TermQuery) (search.TermStats, bool) {
	docs, ok := e.counts.Load(entry{collection: q.Collection, tenant: q.Tenant, docs: true})
	if !ok {
		return search.TermStats{}, false
	}
	stats := search.TermStats{Docs: docs.(uint64), Counts: make([]uint64, len(q.Terms))} //nolint:forcetypeassert // enter stores no other type
	for i, term := range q.Terms {
		n, ok := e.counts.Load(entry{collection: q.Collection, tenant: q.Tenant, term: term})
		if !ok {
			return search.TermStats{}, false
		}
		stats.Counts[i] = n.(uint64) //nolint:forcetypeassert // as above
	}
	return stats, true
}

// enter remembers an answer. The number of points stays the first one of the edition.
func (e *edition) enter(q search.TermQuery, s search.TermStats) {
	e.counts.LoadOrStore(entry{collection: q.Collection, tenant: q.Tenant, docs: true}, s.Docs)
	for i, term := range q.Terms {
		e.counts.Store(entry{collection: q.Collection, tenant: q.Tenant, term: term}, s.Counts[i])
	}
	e.size.Add(int64(len(q.Terms) + 1))
}
