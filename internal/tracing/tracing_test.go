package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tracing"
)

// record returns a context with a span that is recorded, and where the spans below it end up.
func record(t *testing.T) (context.Context, *tracetest.SpanRecorder) {
	t.Helper()
	ended := tracetest.NewSpanRecorder()
	ctx, _ := sdk.NewTracerProvider(sdk.WithSpanProcessor(ended)).Tracer("test").Start(context.Background(), "request")
	return ctx, ended
}

func TestStart_costsNothingWithoutATrace(t *testing.T) {
	ctx := context.WithValue(t.Context(), http.ServerContextKey, nil)
	header := http.Header{}
	allocs := testing.AllocsPerRun(100, func() {
		in, span := tracing.Start(ctx, "embed")
		span.Text("a", "b")
		span.Number("n", 1)
		span.EndWith(ctx)
		in, fan := tracing.FanOut(in, 4)
		fan.Start("s0")
		tracing.Header(tracing.Lane(in, "s0"), header)
		fan.End("s0", nil)
		span.End(nil)
	})
	if allocs != 0 || len(header) != 0 || tracing.Metadata(ctx) != nil {
		t.Errorf("%v allocations, header %v", allocs, header)
	}
}

func TestSpan_tellsTheClassOfAnError(t *testing.T) {
	for want, err := range map[string]error{
		"timeout": context.DeadlineExceeded, "cancelled": fmt.Errorf("left: %w", context.Canceled), "error": errors.New("secret"),
		"overloaded": fault.New(fault.Overloaded, "secret"),
	} {
		ctx, ended := record(t)
		_, span := tracing.Start(ctx, "embed")
		span.End(err)
		span.End(nil)
		got := ended.Ended()
		if len(got) != 1 || got[0].Status().Description != want || got[0].Attributes()[0] != attribute.String("error.type", want) || len(got[0].Events()) > 0 {
			t.Errorf("%v: %+v", err, got)
		}
	}
}

func TestSpan_endsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, ended := record(t)
		_, span := tracing.Start(ctx, "generate")
		ctx, cancel := context.WithCancel(ctx)
		span.EndWith(ctx)
		cancel()
		synctest.Wait()
		if got := ended.Ended(); len(got) != 1 || got[0].Status().Description != "cancelled" {
			t.Errorf("ended: %v", got)
		}
	})
}

// The calls of a fan are below the spans of their pools; what they call in turn is below the calls.
func TestFan_hasASpanForEachPool(t *testing.T) {
	ctx, ended := record(t)
	ctx, fan := tracing.FanOut(ctx, 2)
	fan.Start("s0")
	inside, call := tracing.Call(tracing.Lane(ctx, "s0"), "s0/r0")
	_, nested := tracing.Call(tracing.Lane(inside, "s0"), "s0/r0 below")
	_, other := tracing.Call(tracing.Lane(ctx, "s9"), "s9/r0")
	nested.End(nil)
	call.End(nil)
	other.End(nil)
	fan.End("s0", errors.New("broken"))
	got := ended.Ended()
	if len(got) != 4 || got[0].Parent().SpanID() != got[1].SpanContext().SpanID() || got[1].Parent().SpanID() != got[3].SpanContext().SpanID() ||
		got[2].Parent().SpanID() != trace.SpanContextFromContext(ctx).SpanID() || got[3].Name() != "s0" {
		t.Errorf("%+v", got)
	}
	if got[1].SpanKind() != trace.SpanKindClient || got[3].Status().Description != "error" {
		t.Errorf("%v, %v", got[1].SpanKind(), got[3].Status())
	}
}

func Example() {
	provider := sdk.NewTracerProvider()
	ctx, request := provider.Tracer("example").Start(context.Background(), "request")
	defer request.End()

	ctx, span := tracing.Start(ctx, "embed")
	defer span.End(nil)
	call, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1/v1/embeddings", http.NoBody)
	if err != nil {
		panic(err)
	}
	tracing.Header(ctx, call.Header)
	fmt.Println(len(call.Header.Get("Traceparent")), len(tracing.Metadata(ctx)["traceparent"]))
	// Output:
	// 55 55
}
