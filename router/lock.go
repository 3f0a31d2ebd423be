package router

import "context"

// lock is a mutex that may be held for as long as a question to a server takes, and waited for only so long.
type lock chan struct{}

// enter takes the lock, unless ctx ends before.
func (l lock) enter(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Lock takes the lock.
func (l lock) Lock() { l <- struct{}{} }

// Unlock gives it back.
func (l lock) Unlock() { <-l }
