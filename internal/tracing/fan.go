package tracing

import (
	"context"

	"go.opentelemetry.io/otel/trace"
)

// Fan are the spans of calls that are made side by side, by the pools that are called.
// All are started before the first call; after that it is safe for concurrent use. nil is empty.
type Fan struct {
	ctx   context.Context //nolint:containedctx // in which the calls are made
	above trace.Span
	calls map[string]Span
}

type fanKey struct{}

// FanOut returns a context for n calls that are made side by side, and their spans, to be
// started. Where nothing is recorded it returns ctx and nil.
func FanOut(ctx context.Context, n int) (context.Context, *Fan) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return ctx, nil
	}
	f := &Fan{above: span, calls: make(map[string]Span, n)}
	f.ctx = context.WithValue(ctx, fanKey{}, f)
	return f.ctx, f
}

// Start begins the span of the call of a pool.
func (f *Fan) Start(pool string) {
	if f != nil {
		_, f.calls[pool] = Start(f.ctx, pool)
	}
}

// End ends it.
func (f *Fan) End(pool string, err error) {
	if f != nil {
		f.calls[pool].End(err)
	}
}

// Lane returns ctx as the call of a pool sees it: below the span that a fan has for it,
// if there is one.
func Lane(ctx context.Context, pool string) context.Context {
	f, _ := ctx.Value(fanKey{}).(*Fan)
	if f == nil || f.above != trace.SpanFromContext(ctx) { // that of an outer call
		return ctx
	}
	if s := f.calls[pool]; s.span != nil {
		return trace.ContextWithSpan(ctx, s.span)
	}
	return ctx
}
