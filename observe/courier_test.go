package observe

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// postman is a carrier that does what it is told.
type postman struct {
	mu      sync.Mutex
	batches []int // their sizes; a span is a byte
	deliver func(ctx context.Context) error
	closed  bool
}

func (p *postman) carry(ctx context.Context, spans []byte) error {
	p.mu.Lock()
	p.batches = append(p.batches, len(spans))
	p.mu.Unlock()
	if p.deliver == nil {
		return nil
	}
	return p.deliver(ctx)
}

func (p *postman) close(context.Context) error {
	p.closed = true
	return nil
}

func TestCourier_sendsBatchesAfterASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var x postman
		c := startCourier(&x, nil)
		for range 3 {
			c.take([]byte{1})
		}
		time.Sleep(batchTime)
		synctest.Wait()
		if len(x.batches) != 1 || x.batches[0] != 3 || c.sent.Load() != 3 {
			t.Errorf("batches of %v, %d sent", x.batches, c.sent.Load())
		}
		for range batchSpans + 1 {
			c.take([]byte{1})
		}
		if err := c.shutdown(t.Context()); err != nil || c.sent.Load() != batchSpans+4 || !x.closed || !slices.Equal(x.batches, []int{3, batchSpans, 1}) {
			t.Errorf("%v, %d sent, closed %v", err, c.sent.Load(), x.closed)
		}
	})
}

// A collector that is away costs its spans, a line a minute, and nobody's time.
func TestCourier_losesWhatIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		x := postman{deliver: func(context.Context) error { return errors.New("connection refused") }}
		c := startCourier(&x, slog.New(slog.NewTextHandler(&out, nil)))
		time.Sleep(batchTime / 2) // between two batches
		for range 150 {           // seconds
			c.take([]byte{1})
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if lines := strings.Count(out.String(), "traces were lost"); lines != 3 || !strings.Contains(out.String(), "connection refused") || !strings.Contains(out.String(), "spans=60") {
			t.Errorf("%d lines: %s", lines, out.String())
		}
		if err := c.shutdown(t.Context()); err != nil || c.lost.Load() != 150 || c.sent.Load() != 0 {
			t.Errorf("%v, %d lost, %d sent", err, c.lost.Load(), c.sent.Load())
		}
	})
}

// A collector that does not answer fills the queue, which has an end, and Shutdown does not wait for it.
func TestCourier_isBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := postman{deliver: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		c := startCourier(&x, nil)
		for range batchSpans {
			c.take([]byte{1})
		}
		synctest.Wait() // they are on their way
		for range queuedSpans + 7 {
			c.take([]byte{1})
		}
		if c.lost.Load() != 7 {
			t.Errorf("%d lost", c.lost.Load())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err := c.shutdown(ctx)
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("%v after %v", err, took)
		}
		if lost := c.lost.Load(); lost != batchSpans+queuedSpans+7 {
			t.Errorf("%d lost", lost)
		}
	})
}
