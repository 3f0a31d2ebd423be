package observe

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what a collector that is slow, or away, may cost.
const (
	queuedSpans = 8192
	batchSpans  = 2048             // some 600 kB
	batchTime   = time.Second      // that a span waits for others
	exportTime  = 10 * time.Second // of one batch
	lossTime    = time.Minute      // between lines in the log
)

// carrier takes batches to a collector.
type carrier interface {
	// carry sends spans, which are encoded. It does not keep them.
	carry(ctx context.Context, spans []byte) error
	close(ctx context.Context) error
}

// courier carries ended spans to a collector, in batches and in the background. It never
// waits for the collector: what finds the queue full is lost, and so is a batch that is not taken.
type courier struct {
	carrier  carrier
	log      *slog.Logger
	full     chan struct{} // there is a full batch
	stopping chan struct{}
	stop     sync.Once
	ended    chan struct{}
	ctx      context.Context //nolint:containedctx // of the exports; ends when Shutdown must
	cancel   context.CancelFunc
	sent     atomic.Uint64
	lost     atomic.Uint64

	mu     sync.Mutex
	queued int
	queue  []batch // all but the last one are full
	spare  []byte  // of a batch that was sent

	told     time.Time // when the log was told of losses
	toldLost uint64    // how many it was told of
}

// batch are spans that are sent together.
type batch struct {
	spans []byte // encoded
	n     int
}

// startCourier starts one that goes until shutdown.
func startCourier(to carrier, log *slog.Logger) *courier {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &courier{
		carrier: to, log: log, full: make(chan struct{}, 1),
		stopping: make(chan struct{}), ended: make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	go c.run()
	return c
}

// take queues a span, or loses it.
func (c *courier) take(span []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queued == queuedSpans {
		c.lost.Add(1)
		return
	}
	if len(c.queue) == 0 || c.queue[len(c.queue)-1].n == batchSpans {
		c.queue = append(c.queue, batch{spans: c.spare[:0]})
		c.spare = nil
	}
	last := &c.queue[len(c.queue)-1]
	last.spans = append(last.spans, span...)
	last.n++
	c.queued++
	if last.n == batchSpans {
		select {
		case c.full <- struct{}{}:
		default: // it is told already
		}
	}
}

// next takes a batch of at least so many spans off the queue; an empty one: there is none.
func (c *courier) next(least int) (b batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 || c.queue[0].n < least {
		return b
	}
	b, c.queue = c.queue[0], c.queue[1:]
	c.queued -= b.n
	return b
}

// shutdown sends what is queued, as long as ctx allows, and ends the courier.
func (c *courier) shutdown(ctx context.Context) error {
	c.stop.Do(func() { close(c.stopping) })
	defer c.cancel()
	var late error
	select {
	case <-c.ended:
	case <-ctx.Done():
		late = ctx.Err()
		c.cancel() // a carrier that heeds its context returns now
		<-c.ended
	}
	return errors.Join(late, c.carrier.close(context.WithoutCancel(ctx)))
}

// run sends batches, full ones at once and others after a while, until it is told to stop and the queue is empty.
func (c *courier) run() {
	defer close(c.ended)
	tick := time.NewTicker(batchTime)
	defer tick.Stop()
	for {
		select {
		case <-c.full:
			c.export(batchSpans)
		case <-tick.C:
			c.export(1)
		case <-c.stopping:
			c.export(1)
			return
		}
	}
}

// export sends all batches of at least so many spans.
func (c *courier) export(least int) {
	var failed error
	for b := c.next(least); b.n > 0; b = c.next(least) {
		ctx, cancel := context.WithTimeout(c.ctx, exportTime)
		if err := c.carrier.carry(ctx, b.spans); err == nil {
			c.sent.Add(uint64(b.n)) //nolint:gosec // a count
		} else {
			c.lost.Add(uint64(b.n)) //nolint:gosec // likewise
			failed = err
		}
		cancel()
		c.mu.Lock()
		c.spare = b.spans
		c.mu.Unlock()
	}
	c.complain(failed)
}

// complain tells the log of losses, once in a while.
func (c *courier) complain(err error) {
	lost := c.lost.Load()
	if lost == c.toldLost || time.Since(c.told) < lossTime {
		return
	}
	attrs := []any{"spans", lost - c.toldLost}
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	c.log.Warn("traces were lost", attrs...)
	c.told, c.toldLost = time.Now(), lost
}
