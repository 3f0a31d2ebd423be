package observe

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// Bounds of what a collector that is slow, or away, may cost.
const (
	queuedSpans = 8192
	batchSpans  = 512
	batchTime   = time.Second      // that a span waits for others
	exportTime  = 10 * time.Second // of one batch
	lossTime    = time.Minute      // between lines in the log
)

// courier carries ended spans to a collector, in batches and in the background. It never
// waits for the collector: what finds the queue full is lost, and so is a batch that is not taken.
type courier struct {
	exporter sdk.SpanExporter
	log      *slog.Logger
	queue    chan sdk.ReadOnlySpan
	stopping chan struct{}
	stop     sync.Once
	ended    chan struct{}
	ctx      context.Context //nolint:containedctx // of the exports; ends when Shutdown must
	cancel   context.CancelFunc
	sent     atomic.Uint64
	lost     atomic.Uint64

	told     time.Time // when the log was told of losses
	toldLost uint64    // how many it was told of
}

// startCourier starts one that goes until Shutdown.
func startCourier(exporter sdk.SpanExporter, log *slog.Logger) *courier {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &courier{
		exporter: exporter, log: log, queue: make(chan sdk.ReadOnlySpan, queuedSpans),
		stopping: make(chan struct{}), ended: make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	go c.run()
	return c
}

// OnStart does nothing.
func (c *courier) OnStart(context.Context, sdk.ReadWriteSpan) {}

// OnEnd queues a span, or loses it.
func (c *courier) OnEnd(s sdk.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	select {
	case c.queue <- s:
	default:
		c.lost.Add(1)
	}
}

// ForceFlush does nothing: Shutdown sends what is left.
func (c *courier) ForceFlush(context.Context) error { return nil }

// Shutdown sends what is queued, as long as ctx allows, and ends the courier.
func (c *courier) Shutdown(ctx context.Context) error {
	c.stop.Do(func() { close(c.stopping) })
	defer c.cancel()
	var late error
	select {
	case <-c.ended:
	case <-ctx.Done():
		late = ctx.Err()
		c.cancel() // an exporter that heeds its context returns now
		<-c.ended
	}
	return errors.Join(late, c.exporter.Shutdown(context.WithoutCancel(ctx)))
}

// run collects spans into batches until it is told to stop and the queue is empty.
func (c *courier) run() {
	defer close(c.ended)
	batch := make([]sdk.ReadOnlySpan, 0, batchSpans)
	tick := time.NewTicker(batchTime)
	defer tick.Stop()
	for {
		select {
		case s := <-c.queue:
			if batch = append(batch, s); len(batch) == batchSpans {
				batch = c.export(batch)
			}
		case <-tick.C:
			batch = c.export(batch)
		case <-c.stopping:
			c.drain(batch)
			return
		}
	}
}

// drain sends what is left, or counts it as lost once there is no more time.
func (c *courier) drain(batch []sdk.ReadOnlySpan) {
	for {
		select {
		case s := <-c.queue:
			if batch = append(batch, s); len(batch) == batchSpans {
				batch = c.export(batch)
			}
		default:
			c.export(batch)
			return
		}
	}
}

// export sends a batch and returns it empty.
func (c *courier) export(batch []sdk.ReadOnlySpan) []sdk.ReadOnlySpan {
	var err error
	if n := uint64(len(batch)); n > 0 {
		ctx, cancel := context.WithTimeout(c.ctx, exportTime)
		if err = c.exporter.ExportSpans(ctx, batch); err == nil {
			c.sent.Add(n)
		} else {
			c.lost.Add(n)
		}
		cancel()
	}
	c.complain(err)
	clear(batch)
	return batch[:0]
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
