package router

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"sync"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// mostFollowed bounds the keys that a follower notes: about 10 MB.
const mostFollowed = 100_000

// followers know of each collection that another one is being made of which points were
// written meanwhile. The zero value follows none.
type followers struct {
	mu sync.RWMutex
	of map[string]*follower // by collection
}

// follower notes what is written to one collection.
type follower struct {
	id   uint64        // that no other one has, in this process or the next
	into string        // the collection that is made of this one
	turn chan struct{} // holds a token while nobody works on it
	seen uint64        // routers that had joined when it was looked at last

	mu   sync.Mutex
	keys map[search.Key]struct{} // written since they were taken the last time
	lost bool                    // there were too many to note: everything has to be compared again
	shut chan struct{}           // closed when writes may go on; nil: they may
}

// join returns the follower of a collection, a new one if there is none, once it is the caller's turn.
func (y *followers) join(ctx context.Context, of, into string) (f *follower, leave func(), err error) {
	y.mu.Lock()
	if f = y.of[of]; f == nil || f.into != into {
		f = &follower{id: rand.Uint64(), into: into, turn: make(chan struct{}, 1), keys: map[search.Key]struct{}{}} //nolint:gosec // it only has to differ
		f.turn <- struct{}{}
		if y.of == nil {
			y.of = map[string]*follower{}
		}
		y.of[of] = f
	}
	y.mu.Unlock()
	select {
	case <-f.turn:
		return f, func() { f.turn <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
}

// end stops following a collection, and those of which it was being made.
func (y *followers) end(name string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	maps.DeleteFunc(y.of, func(of string, f *follower) bool { return of == name || f.into == name })
}

// note takes the keys of a batch that is about to be written. Where writes have to wait it notes
// nothing and returns what is closed once they need not any more.
func (y *followers) note(collection string, b search.Batch) (wait <-chan struct{}) {
	y.mu.RLock()
	f := y.of[collection]
	y.mu.RUnlock()
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shut != nil {
		return f.shut
	}
	for i := range b.Upserts {
		f.add(b.Upserts[i].Key)
	}
	for i := range b.Deletes {
		f.add(b.Deletes[i].Key)
	}
	return nil
}

// add notes a key. The caller holds the lock.
func (f *follower) add(k search.Key) {
	if len(f.keys) >= mostFollowed {
		f.keys, f.lost = map[search.Key]struct{}{}, true
	}
	f.keys[k] = struct{}{}
}

// forgot reports whether keys were lost, and starts afresh if so.
func (f *follower) forgot() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.lost
	f.lost = false
	return was
}

// meet loses what is noted where other routers have joined: what they wrote is not.
func (f *follower) meet(joined uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = f.lost || f.seen != joined
	f.seen = joined
}

// lossy reports whether keys were lost.
func (f *follower) lossy() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lost
}

// size is the number of keys that are noted.
func (f *follower) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.keys)
}

// take returns n of the keys at most, which are then not noted any more.
func (f *follower) take(n int) (keys []search.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k := range f.keys {
		if len(keys) == n {
			break
		}
		keys = append(keys, k)
		delete(f.keys, k)
	}
	return keys
}

// back notes keys again that were taken in vain.
func (f *follower) back(keys []search.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range keys {
		f.add(k)
	}
}

// hold keeps writes to the collection waiting until go is called.
func (f *follower) hold() (resume func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	shut := make(chan struct{})
	f.shut = shut
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.shut = nil
		close(shut)
	}
}

// errElsewhere is of a write to a name that has come to stand for another collection since the write
// was made ready for the former one.
var errElsewhere = fault.New(fault.Conflict, "the name has come to stand for another collection: repeat the write")

// enterCommit has a write begin: it is stamped, the topology of the moment is its own, and who
// follows the collection knows of it. The caller leaves the crowd when it has ended.
func (r *Router) enterCommit(ctx context.Context, c search.Collection, stamped func() search.Batch) (*crowd, *topology, search.Batch, error) {
	for {
		crowd, err := r.commits.enter(ctx, 1)
		if err != nil {
			return nil, nil, search.Batch{}, err
		}
		t, b := r.topo.Load(), stamped()
		if now, ok := t.m.Collection(cmp.Or(b.Collection, c.Name)); ok && now.Name != c.Name {
			r.commits.leave(crowd)
			return nil, nil, b, errElsewhere
		}
		wait := r.follows.note(c.Name, b)
		if wait == nil {
			return crowd, t, b, nil
		}
		r.commits.leave(crowd)
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, nil, b, context.Cause(ctx)
		}
	}
}
