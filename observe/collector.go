package observe

import (
	"context"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	about "go.opentelemetry.io/proto/otlp/resource/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
)

// scope is the name under which spans are made.
const scope = "github.com/lanewise/lanewise"

// collector takes batches to a collector of OpenTelemetry's.
type collector struct {
	client otlptrace.Client
	about  *about.Resource // who sends them
}

var _ carrier = (*collector)(nil)

// carry sends a batch. Its spans are encoded already, so they go where a message keeps the fields that
// it does not know: those are written as they are.
func (c *collector) carry(ctx context.Context, spans []byte) error {
	all := &otlp.ScopeSpans{Scope: &common.InstrumentationScope{Name: scope}}
	all.ProtoReflect().SetUnknown(spans)
	return c.client.UploadTraces(ctx, []*otlp.ResourceSpans{{Resource: c.about, ScopeSpans: []*otlp.ScopeSpans{all}}}) //nolint:wrapcheck // it names the collector
}

func (c *collector) close(ctx context.Context) error {
	return c.client.Stop(ctx) //nolint:wrapcheck // likewise
}

// described is what the spans say of their sender.
func described(r *resource.Resource) *about.Resource {
	out := &about.Resource{}
	for _, a := range r.Attributes() {
		out.Attributes = append(out.Attributes, &common.KeyValue{
			Key: string(a.Key), Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: a.Value.String()}},
		})
	}
	return out
}
