package milvus

import (
	"sync"
	"time"

	"github.com/lanewise/lanewise/internal/keylock"
	"github.com/lanewise/lanewise/search"
)

// guard stands in for conditional writes. It lets one write of an id at a time
// through, and remembers the versions that this Store has written lately: a read
// with bounded consistency may not see them yet.
type guard struct {
	ids  keylock.Locks // that are being written
	keep time.Duration // how long a version is remembered; longer than a read may lag

	mu          sync.Mutex
	collections map[string]*recent
}

// recent is what was written lately to one collection.
type recent struct {
	marks    map[string]mark // by primary key
	prune    int             // size at which old marks are taken out
	doubtful time.Time       // until then, others' writes or lost ones may not be seen by a bounded read
	newest   search.Version
}

// mark is the last write of an id.
type mark struct {
	version search.Version
	at      time.Time
}

func newGuard(keep time.Duration) *guard {
	return &guard{keep: keep, collections: map[string]*recent{}}
}

// of returns the collection's record. The caller holds mu.
func (g *guard) of(collection string) *recent {
	r := g.collections[collection]
	if r == nil {
		r = &recent{marks: map[string]mark{}, prune: 1024, doubtful: time.Now().Add(g.keep)}
		g.collections[collection] = r
	}
	return r
}

// forget begins anew with a collection. Where it was made just now nobody has
// written to it before.
func (g *guard) forget(collection string, made bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.collections, collection)
	if made {
		g.of(collection).doubtful = time.Time{}
	}
}

// doubt is called after a write whose outcome is not known: what is remembered of
// its ids is dropped, and for a while the server is asked with strong consistency.
func (g *guard) doubt(collection string, pks []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.of(collection)
	r.doubtful = time.Now().Add(g.keep)
	for _, pk := range pks {
		delete(r.marks, pk)
	}
}

// doubts reports whether the server must be asked with strong consistency.
func (g *guard) doubts(collection string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Now().Before(g.of(collection).doubtful)
}

// remembered adds the versions of recent writes to those that the server told.
func (g *guard) remembered(collection string, pks []string, versions map[string]search.Version) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.of(collection)
	for _, pk := range pks {
		if m, ok := r.marks[pk]; ok {
			versions[pk] = max(versions[pk], m.version)
		}
	}
}

// note remembers what was written.
func (g *guard) note(collection string, written map[string]search.Version) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r, now := g.of(collection), time.Now()
	for pk, v := range written {
		r.marks[pk] = mark{v, now}
		if pk != fencePK {
			r.newest = max(r.newest, v)
		}
	}
	if len(r.marks) < r.prune {
		return
	}
	for pk, m := range r.marks {
		if now.Sub(m.at) > g.keep {
			delete(r.marks, pk)
		}
	}
	r.prune = max(1024, 2*len(r.marks))
}

// newest is the newest version written to a collection.
func (g *guard) newest(collection string) search.Version {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.of(collection).newest
}
