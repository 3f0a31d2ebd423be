package router

import (
	"sync"

	"github.com/lanewise/lanewise/search"
)

// ledger knows the newest version of each collection that every replica of a shard has
// confirmed to this router.
type ledger struct {
	mu     sync.Mutex
	newest map[string]search.Version
}

func (l *ledger) of(collection string) search.Version {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest[collection]
}

func (l *ledger) add(collection string, v search.Version) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.newest == nil {
		l.newest = map[string]search.Version{}
	}
	l.newest[collection] = max(l.newest[collection], v)
}

// forget is for a collection that is dropped: another one may get its name.
func (l *ledger) forget(collection string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.newest, collection)
}
