package embed

import (
	"context"
	"sync"
	"time"

	"github.com/lanewise/lanewise/fault"
)

var errClosed = fault.New(fault.Unavailable, "the embedder is closed")

// batcher packs the texts of many callers into calls. A text waits only while
// calls of its lane are under way, and no longer than wait (group commit); an
// idle upstream gets it at once. Single texts go ahead of bulk, which has as many
// calls under way as its pace allows.
type batcher struct {
	flush   Limits                                 // of one call
	wait    time.Duration                          // for company, at most
	timeout time.Duration                          // of a call that outlives its first caller
	calm    int                                    // calls of single texts under way below which nobody waits
	most    int                                    // calls of single texts under way at most; 0: any number
	send    func(context.Context, Batch) []outcome // one balanced call
	keep    func(key, row)                         // puts what is shared into the cache

	mu      sync.Mutex
	single  lane
	bulk    lane
	pace    pace
	board   map[key]*item // under way or waiting, by text
	closed  bool
	timer   *time.Timer
	running sync.WaitGroup
	ctx     context.Context //nolint:containedctx // ends at close, and every flight with it
	stop    context.CancelCauseFunc
}

// lane is one of the two kinds of work.
type lane struct {
	queues [4]queue // a call has one task and one form of text
	flying int
}

// flight is one call upstream.
type flight struct {
	items  []*item
	size   Limits
	live   int // items that somebody waits for
	cancel context.CancelFunc
}

// outcome is what came of one text of a call.
type outcome struct {
	row
	err error
}

func newBatcher(c Config, flush Limits) *batcher {
	b := &batcher{
		flush: flush, wait: max(c.Wait, 0), timeout: c.Timeout, calm: len(c.Upstreams), board: map[key]*item{}, pace: newPace(c),
	}
	for _, l := range []*lane{&b.single, &b.bulk} {
		for n := range l.queues {
			l.queues[n] = queue{task: [...]Task{QueryTask, DocumentTask}[n%2], ids: n >= 2}
		}
	}
	b.most = 2 * b.pace.slots
	b.ctx, b.stop = context.WithCancelCause(context.Background())
	return b
}

// serves changes the number of upstreams: while fewer calls are under way, one of them is idle.
func (b *batcher) serves(upstreams int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calm = upstreams
	b.dispatch(time.Now())
}

// lane returns the lane of a batch.
func (b *batcher) lane(bulk bool) *lane {
	if bulk {
		return &b.bulk
	}
	return &b.single
}

// queue returns the queue of a batch.
func (l *lane) queue(b Batch) *queue {
	n := 0
	if b.Task != QueryTask {
		n = 1
	}
	if b.IDs != nil {
		n += 2
	}
	return &l.queues[n]
}

// order is what a caller wants to have embedded.
type order struct {
	Batch
	keys []key             // of its texts; nil: they are not shared
	cut  []bool            // texts that were truncated; nil: none
	skip func(at int) bool // asked with the board locked: is this text's row there already?
}

// join returns an item for each text, nil for those that are skipped: one that is
// under way already, or a new one, which is the caller's own. The caller must
// leave them.
func (b *batcher) join(ctx context.Context, o order) (items []*item, own []bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, nil, errClosed
	}
	items, own = make([]*item, o.Len()), make([]bool, o.Len())
	now := time.Now()
	for at := range items {
		if o.skip != nil && o.skip(at) {
			continue
		}
		if o.keys != nil {
			if found := b.board[o.keys[at]]; found != nil {
				items[at] = found
				found.waiting++
				continue
			}
		}
		items[at], own[at] = b.add(ctx, now, o, at), true
	}
	b.dispatch(now) //nolint:contextcheck // a call outlives its callers
	return items, own, nil
}

// add puts a text into its queue.
func (b *batcher) add(ctx context.Context, now time.Time, o order, at int) *item {
	i := &item{
		size: o.size(at, 0), ctx: ctx, queue: b.lane(o.Bulk).queue(o.Batch), done: make(chan struct{}), waiting: 1,
		due: now.Add(b.wait), cut: o.cut != nil && o.cut[at],
	}
	if o.IDs != nil {
		i.ids = o.IDs[at]
	} else {
		i.text = o.Texts[at]
	}
	if deadline, ok := ctx.Deadline(); ok {
		i.due = now.Add(min(b.wait, deadline.Sub(now)/10)) // a text in a hurry does not wait for company
		i.until = deadline
	}
	if o.keys != nil {
		i.key = o.keys[at]
		b.board[i.key] = i
	}
	i.queue.push(i)
	return i
}

// leave ends a caller's interest in its items. One that nobody waits for is not
// sent any more, and a call that holds only such is cancelled.
func (b *batcher) leave(items []*item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range items {
		if i == nil {
			continue
		}
		if i.waiting--; i.waiting > 0 {
			continue
		}
		b.forget(i)
		if i.flight == nil {
			i.queue.sum = i.queue.sum.minus(i.size)
			continue
		}
		if i.flight.live--; i.flight.live == 0 {
			i.flight.cancel()
		}
	}
}

// forget takes an item off the board, unless another has its place already.
func (b *batcher) forget(i *item) {
	if b.board[i.key] == i {
		delete(b.board, i.key)
	}
}

// dispatch sends what may be sent now, and sees to it that it is called again in time.
func (b *batcher) dispatch(now time.Time) {
	for b.most == 0 || b.single.flying < b.most {
		q := b.single.ready(now, b.flush, b.calm)
		if q == nil {
			break
		}
		b.start(&b.single, q)
	}
	b.pace.yield(now, b.single.flying)
	for b.bulk.flying < b.pace.width() {
		q := b.bulk.ready(now, b.flush, b.calm)
		if q == nil {
			break
		}
		b.start(&b.bulk, q)
	}
	b.arm(now)
}

// ready returns a queue that should be sent, or nil: one whose head has waited
// long enough, that fills a call, or any while fewer than calm calls are under way.
func (l *lane) ready(now time.Time, flush Limits, calm int) *queue {
	var first *queue
	for n := range l.queues {
		q := &l.queues[n]
		head := q.head()
		if head == nil || l.flying >= calm && now.Before(head.due) && !flush.reached(q.sum) {
			continue
		}
		if first == nil || head.due.Before(first.items[0].due) {
			first = q
		}
	}
	return first
}

// arm sets the timer to the next text that will have waited long enough. What is
// due already waits for a call to end, and needs no timer.
func (b *batcher) arm(now time.Time) {
	var next time.Time
	for _, l := range []*lane{&b.single, &b.bulk} {
		for n := range l.queues {
			head := l.queues[n].head()
			if head != nil && head.due.After(now) && (next.IsZero() || head.due.Before(next)) {
				next = head.due
			}
		}
	}
	switch {
	case b.closed, next.IsZero():
		if b.timer != nil {
			b.timer.Stop()
		}
	case b.timer == nil:
		b.timer = time.AfterFunc(next.Sub(now), b.tick)
	default:
		b.timer.Reset(next.Sub(now))
	}
}

func (b *batcher) tick() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dispatch(time.Now())
}

// start sends the next call of a queue, in a context that keeps what the first
// caller's knows but neither its end nor its deadline.
func (b *batcher) start(l *lane, q *queue) {
	items := q.take(b.flush)
	f := &flight{items: items, live: len(items)}
	batch := q.batch(items, l == &b.bulk)
	for _, i := range items {
		i.flight = f
		f.size = f.size.plus(i.size)
	}
	l.flying++
	ctx, abort := context.WithCancelCause(context.WithoutCancel(items[0].ctx))
	unhook := context.AfterFunc(b.ctx, func() { abort(errClosed) }) //nolint:contextcheck // the lane's end, beside the caller's
	f.cancel = func() { abort(context.Canceled) }
	b.running.Go(func() {
		defer abort(nil)
		defer unhook()
		ctx, cancel := b.bounded(ctx, items, batch.Bulk)
		defer cancel()
		start := time.Now()
		rows := b.send(ctx, batch)
		b.land(l, f, rows, time.Since(start)) //nolint:contextcheck // the next call has contexts of its own
	})
}

// bounded gives a call the time of the caller who has most. One of single texts
// has at least the timeout, since others may join it; one of bulk, which may have
// to wait for a quota, has no end where a caller sets none.
func (b *batcher) bounded(ctx context.Context, items []*item, bulk bool) (context.Context, context.CancelFunc) {
	var until time.Time
	for _, i := range items {
		if i.until.IsZero() && bulk {
			return ctx, func() {}
		}
		if i.until.After(until) {
			until = i.until
		}
	}
	if least := time.Now().Add(b.timeout); !bulk && least.After(until) {
		until = least
	}
	return context.WithDeadline(ctx, until)
}

// land publishes what came of a call and sends the next.
func (b *batcher) land(l *lane, f *flight, rows []outcome, took time.Duration) {
	for n, i := range f.items { // before they leave the board, so that nobody finds neither
		rows[n].cut = rows[n].cut || i.cut
		if i.key != (key{}) && rows[n].err == nil {
			b.keep(i.key, rows[n].row)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for n, i := range f.items {
		i.row, i.err = rows[n].row, rows[n].err
		b.forget(i)
		close(i.done)
	}
	l.flying--
	b.pace.observe(l == &b.bulk, f.size, took, rows[0].err)
	b.dispatch(time.Now())
}

// close ends every call and waits for all of them.
func (b *batcher) close() {
	b.mu.Lock()
	b.closed = true
	for _, l := range []*lane{&b.single, &b.bulk} {
		for n := range l.queues {
			for _, i := range l.queues[n].items {
				if i.err = errClosed; i.waiting > 0 {
					close(i.done)
				}
			}
			l.queues[n] = queue{}
		}
	}
	if b.timer != nil {
		b.timer.Stop()
	}
	b.mu.Unlock()
	b.stop(errClosed)
	b.running.Wait()
}
