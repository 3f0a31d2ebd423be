package observe

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// carrier is an exporter that does what it is told.
type carrier struct {
	mu      sync.Mutex
	batches []int
	export  func(ctx context.Context) error
	closed  bool
}

func (c *carrier) ExportSpans(ctx context.Context, batch []sdk.ReadOnlySpan) error {
	c.mu.Lock()
	c.batches = append(c.batches, len(batch))
	c.mu.Unlock()
	if c.export == nil {
		return nil
	}
	return c.export(ctx)
}

func (c *carrier) Shutdown(context.Context) error {
	c.closed = true
	return nil
}

// ended is a span that is over.
func ended(sampled bool) sdk.ReadOnlySpan {
	flags := trace.TraceFlags(0)
	if sampled {
		flags = trace.FlagsSampled
	}
	return tracetest.SpanStub{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: flags,
	})}.Snapshot()
}

func TestCourier_sendsBatchesAfterASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var x carrier
		c := startCourier(&x, nil)
		for range 3 {
			c.OnEnd(ended(true))
		}
		c.OnEnd(ended(false))
		time.Sleep(batchTime)
		synctest.Wait()
		if len(x.batches) != 1 || x.batches[0] != 3 || c.sent.Load() != 3 {
			t.Errorf("batches of %v, %d sent", x.batches, c.sent.Load())
		}
		for range batchSpans + 1 {
			c.OnEnd(ended(true))
		}
		if err := c.Shutdown(t.Context()); err != nil || c.sent.Load() != batchSpans+4 || !x.closed {
			t.Errorf("%v, %d sent, closed %v", err, c.sent.Load(), x.closed)
		}
	})
}

// A collector that is away costs its spans, a line a minute, and nobody's time.
func TestCourier_losesWhatIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		x := carrier{export: func(context.Context) error { return errors.New("connection refused") }}
		c := startCourier(&x, slog.New(slog.NewTextHandler(&out, nil)))
		for range 150 { // seconds
			c.OnEnd(ended(true))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if lines := strings.Count(out.String(), "traces were lost"); lines != 3 || !strings.Contains(out.String(), "connection refused") || !strings.Contains(out.String(), "spans=60") {
			t.Errorf("%d lines: %s", lines, out.String())
		}
		if err := c.Shutdown(t.Context()); err != nil || c.lost.Load() != 150 || c.sent.Load() != 0 {
			t.Errorf("%v, %d lost, %d sent", err, c.lost.Load(), c.sent.Load())
		}
	})
}

// A collector that does not answer fills the queue, which has an end, and Shutdown does not wait for it.
func TestCourier_isBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := carrier{export: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		c := startCourier(&x, nil)
		for range batchSpans {
			c.OnEnd(ended(true))
		}
		synctest.Wait() // they are on their way
		for range queuedSpans + 7 {
			c.OnEnd(ended(true))
		}
		if c.lost.Load() != 7 {
			t.Errorf("%d lost", c.lost.Load())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err := c.Shutdown(ctx)
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("%v after %v", err, took)
		}
		if lost := c.lost.Load(); lost != batchSpans+queuedSpans+7 {
			t.Errorf("%d lost", lost)
		}
	})
}
