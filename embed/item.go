package embed

import (
	"context"
	"time"
)

// key is a hash of a space, a task and a text. Half of a SHA-256 is enough that
// nobody can make two texts share a vector.
type key [16]byte

// row is what came of one text. Its vector is never written again.
type row struct {
	vector []float32
	tokens int
	cut    bool  // the text was truncated
	at     int64 // Unix seconds, when it was made; 0: just now, and not cached
}

// item is one text on its way to a vector. It belongs to all who wait for it.
type item struct {
	key    key // zero: not shared
	text   string
	ids    []uint32 // instead of the text
	size   Limits
	cut    bool
	ctx    context.Context //nolint:containedctx // what its first caller's knows: traces, allowance
	due    time.Time       // at which it waits for company no longer
	until  time.Time       // by which its call has to end
	queue  *queue
	done   chan struct{} // closed when row and err are set
	row    row
	err    error
	flight *flight // guarded by the batcher, as what follows; nil: still in the queue

	waiting int // callers
}

// wait returns when the item has its end, or with ctx's cause.
func (i *item) wait(ctx context.Context) error {
	select {
	case <-i.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// queue holds the texts of one task and one form that wait to be sent, in order.
// Those that everybody has left stay until their turn, and count for nothing.
type queue struct {
	task  Task
	ids   bool
	items []*item
	sum   Limits // of those that somebody waits for
}

func (q *queue) push(i *item) {
	q.items = append(q.items, i)
	q.sum = q.sum.plus(i.size)
}

// head returns the oldest item that somebody waits for, or nil.
func (q *queue) head() *item {
	for len(q.items) > 0 && q.items[0].waiting == 0 {
		q.items = q.items[1:]
	}
	if len(q.items) == 0 {
		q.items = nil // the memory of those that are gone
		return nil
	}
	return q.items[0]
}

// take removes the items of the next call: as many as the limits allow, in
// order, and at least one.
func (q *queue) take(limits Limits) []*item {
	var out []*item
	var sum Limits
	for i := q.head(); i != nil; i = q.head() {
		if len(out) > 0 && limits.exceeded(sum.plus(i.size)) {
			break
		}
		sum = sum.plus(i.size)
		out = append(out, i)
		q.items = q.items[1:]
	}
	q.sum = q.sum.minus(sum)
	return out
}

// batch returns what is asked of an upstream for items of the queue.
func (q *queue) batch(items []*item, bulk bool) Batch {
	b := Batch{Task: q.task, Bulk: bulk}
	for _, i := range items {
		if q.ids {
			b.IDs = append(b.IDs, i.ids)
		} else {
			b.Texts = append(b.Texts, i.text)
		}
	}
	return b
}
