package qdrant

import (
	"testing"

	"go.opentelemetry.io/otel/trace"
)

// A call carries its key and, where it is part of a trace, that.
func TestHeaders_nameTheTrace(t *testing.T) {
	h := headers{key: "k"}
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
	}))
	got, err := h.GetRequestMetadata(ctx)
	if want := "00-01000000000000000000000000000000-0200000000000000-01"; err != nil || got["traceparent"] != want || got["api-key"] != "k" {
		t.Errorf("%v, %v", got, err)
	}
	if got, _ = h.GetRequestMetadata(t.Context()); len(got) != 1 {
		t.Errorf("%v without a trace", got)
	}
}
