// Package keylock lets one caller at a time have a set of keys: writes of different ids
// pass each other, however many ids each of them has.
package keylock

import (
	"context"
	"sync"
)

// Locks are locks by key. The zero value has none locked. Safe for concurrent use.
type Locks struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when the key is free again
}

// Lock waits until nobody has any of the keys and takes all of them at once, so that nobody
// waits in a circle; those who wait are not served in any order. It returns ctx's error
// where that ends first. unlock must be called once.
func (l *Locks) Lock(ctx context.Context, keys []string) (unlock func(), err error) {
	free := make(chan struct{})
	for {
		other := l.take(keys, free)
		if other == nil {
			return func() { l.give(keys, free) }, nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err() //nolint:wrapcheck // the caller knows what it waited for
		}
	}
}

// take takes all keys, or returns what tells when one of them is free again.
func (l *Locks) take(keys []string, free chan struct{}) (other chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range keys {
		if other := l.held[k]; other != nil {
			return other
		}
	}
	if l.held == nil {
		l.held = map[string]chan struct{}{}
	}
	for _, k := range keys {
		l.held[k] = free
	}
	return nil
}

func (l *Locks) give(keys []string, free chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range keys {
		delete(l.held, k)
	}
	close(free)
}
