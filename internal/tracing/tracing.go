// Package tracing starts spans inside requests that are traced, and tells upstreams of
// the trace. It knows OpenTelemetry's API and not its SDK: who begins traces, which of
// them are recorded and where they go is for package observe.
//
// In a request that is not recorded, [Start] costs a look into the context and nothing
// else: no allocation.
package tracing

import (
	"context"
	"errors"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/lanewise/lanewise/fault"
)

// scope is the name under which spans are made.
const scope = "github.com/lanewise/lanewise"

// Span is a part of a request, or nothing. The zero value is nothing, and takes whatever it is told.
type Span struct{ span trace.Span }

// Start begins a span below that of ctx. Where ctx has none that is recorded, it returns
// ctx and nothing.
func Start(ctx context.Context, name string) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, Span{}
	}
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, name)
	return ctx, Span{span}
}

// Call begins the span of a call of an upstream, likewise.
func Call(ctx context.Context, name string, facts ...attribute.KeyValue) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, Span{}
	}
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
	span.SetAttributes(facts...) // as an option of the start they would be copied once more
	return ctx, Span{span}
}

// Text adds an attribute, unless it is empty.
func (s Span) Text(name, value string) {
	if s.span != nil && value != "" {
		s.span.SetAttributes(attribute.String(name, value))
	}
}

// Number adds an attribute.
func (s Span) Number(name string, value int) {
	if s.span != nil {
		s.span.SetAttributes(attribute.Int(name, value))
	}
}

// End ends the span. Of an error only the class is told: its text may quote what is nobody's business.
func (s Span) End(err error) {
	if s.span == nil {
		return
	}
	if err != nil {
		class := Class(err)
		s.span.SetAttributes(attribute.String("error.type", class))
		s.span.SetStatus(codes.Error, class)
	}
	s.span.End()
}

// EndWith ends the span when ctx ends, if nobody has by then.
func (s Span) EndWith(ctx context.Context) {
	if s.span != nil {
		context.AfterFunc(ctx, func() { s.End(ctx.Err()) })
	}
}

// Class is what an error is called in traces and metrics: "timeout", "cancelled", a class of
// package fault, or "error" for a defect.
func Class(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	if class := fault.Of(err); class != "" {
		return string(class)
	}
	return "error"
}

// Header tells an upstream over HTTP of the trace that ctx is a part of, recorded or
// not (W3C Trace Context). Without one it does nothing.
func Header(ctx context.Context, h http.Header) {
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(h))
}

// Traced reports whether ctx is part of a trace, so that [Header] would write.
func Traced(ctx context.Context) bool { return trace.SpanContextFromContext(ctx).IsValid() }

// Unrecorded reports whether ctx is part of a trace that nobody keeps.
func Unrecorded(ctx context.Context) bool {
	c := trace.SpanContextFromContext(ctx)
	return c.IsValid() && !c.IsSampled()
}

// Metadata is what [Header] writes, as the metadata of a gRPC call; nil without a trace.
func Metadata(ctx context.Context) map[string]string {
	if !Traced(ctx) {
		return nil
	}
	out := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, out)
	return out
}

// Credentials tell upstreams over gRPC of the trace: they are to be given to
// grpc.WithPerRPCCredentials, which unlike an interceptor takes nobody's place.
type Credentials struct{}

// GetRequestMetadata is [Metadata].
func (Credentials) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	return Metadata(ctx), nil
}

// RequireTransportSecurity is false: the ids of a trace are no secret.
func (Credentials) RequireTransportSecurity() bool { return false }
