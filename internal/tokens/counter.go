package tokens

import (
	"context"
	"sync/atomic"
)

// Counter adds up the tokens that are embedded for one request. The nil Counter counts none. Safe for concurrent use.
type Counter struct{ n atomic.Int64 }

// counterKey finds a request's counter in its context.
type counterKey struct{}

// Counting returns a context under which Count counts.
func Counting(ctx context.Context) (context.Context, *Counter) {
	c := &Counter{}
	return context.WithValue(ctx, counterKey{}, c), c
}

// Count adds to the counter of ctx, if there is one.
func Count(ctx context.Context, n int) {
	if c, ok := ctx.Value(counterKey{}).(*Counter); ok {
		c.n.Add(int64(n))
	}
}

// Total is what has been counted so far.
func (c *Counter) Total() int64 {
	if c == nil {
		return 0
	}
	return c.n.Load()
}
