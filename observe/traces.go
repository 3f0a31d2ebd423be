package observe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/httpapi"
	"github.com/lanewise/lanewise/internal/spans"
	"github.com/lanewise/lanewise/internal/tracing"
)

// TraceConfig says which requests are traced, and who collects the spans.
type TraceConfig struct {
	// Endpoint is the URL of a collector that takes OTLP over HTTP; without a path, /v1/traces of it. What
	// is not said here is taken from the environment (OTEL_EXPORTER_OTLP_HEADERS and _CERTIFICATE,
	// OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME).
	Endpoint string
	Headers  map[string]string // sent with every batch
	// Ratio is the share of requests that are recorded, of those that come without a trace. 0 means 1;
	// negative: none of them.
	Ratio float64
	// Apart begins a trace of its own for every request, whatever trace its client names. Without
	// it a request goes on with its client's trace, and is recorded if that is.
	Apart   bool
	Version string       // of the program
	Log     *slog.Logger // what is lost; nil: nothing
}

// Traces are the spans of requests: one for the request, one for each of its stages, and
// one for each attempt on a lane. Safe for concurrent use.
type Traces struct {
	tracer   trace.Tracer
	courier  *courier
	apart    bool
	attempts *balance.Trace
}

// NewTraces returns traces that are sent until Close. It connects to nobody yet: a
// collector that is away costs spans, and no request.
func NewTraces(ctx context.Context, c TraceConfig) (*Traces, error) {
	endpoint, err := tracesURL(c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "lanewise"), attribute.String("service.version", c.Version)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	options := []otlptracehttp.Option{
		otlptracehttp.WithEndpointURL(endpoint), otlptracehttp.WithTimeout(exportTime),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 2 * time.Second, MaxElapsedTime: exportTime}),
	}
	if len(c.Headers) > 0 { // else those of OTEL_EXPORTER_OTLP_HEADERS
		options = append(options, otlptracehttp.WithHeaders(c.Headers))
	}
	client := otlptracehttp.NewClient(options...)
	if err := client.Start(ctx); err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	t := &Traces{courier: startCourier(&collector{client, described(about)}, c.Log), apart: c.Apart} //nolint:contextcheck // it outlives the start
	t.tracer = spans.New(cmp.Or(c.Ratio, 1), t.courier.take).Tracer(scope)
	t.attempts = &balance.Trace{Enter: enterAttempt}
	return t, nil
}

// tracesURL completes the URL of a collector.
func tracesURL(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", errors.New("must be an http or https URL with a server's name")
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1/traces"
	}
	return u.String(), nil
}

// Counts returns how many spans were sent, and how many were lost: the queue was full,
// or the collector did not take them.
func (t *Traces) Counts() (sent, lost uint64) { return t.courier.sent.Load(), t.courier.lost.Load() }

// Close sends what is left, as long as ctx allows.
func (t *Traces) Close(ctx context.Context) error {
	if err := t.courier.shutdown(ctx); err != nil {
		return fmt.Errorf("send the last spans: %w", err)
	}
	return nil
}

var _ httpapi.Observer = (*Traces)(nil)

// Begin begins the span of a request, below its client's if it names one.
func (t *Traces) Begin(ctx context.Context, header http.Header) (context.Context, string) {
	if !t.apart {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(header))
	}
	ctx, span := t.tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer))
	if span.IsRecording() {
		ctx = balance.WithTrace(ctx, t.attempts)
	}
	return ctx, span.SpanContext().TraceID().String()
}

// End tells the request's span what became of it.
func (t *Traces) End(ctx context.Context, e *httpapi.Event) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetName(e.Method + " " + e.Route)
	span.SetAttributes(requestAttributes(e)...)
	if e.Class != "ok" {
		span.SetAttributes(attribute.String("error.type", e.Class))
	}
	if e.Status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, e.Class)
	}
	span.End(trace.WithTimestamp(e.Start.Add(e.Took)))
}

// requestAttributes are the facts of a request, by the names of OpenTelemetry's conventions where
// those have one. No tenant, text or key is among them.
func requestAttributes(e *httpapi.Event) []attribute.KeyValue {
	f := append(make(facts, 0, 16), // room for those of most requests
		attribute.String("http.request.method", e.Method), attribute.String("http.route", e.Route),
		attribute.Int("http.response.status_code", e.Status), attribute.Int("http.response.body.size", e.Bytes))
	f.text("lanewise.collection", label(e.Collection))
	f.text("lanewise.mode", e.Mode)
	f.number("lanewise.attempts", e.Attempts)
	f.number("lanewise.hedges", e.Hedges)
	f.number("lanewise.failovers", e.Failovers)
	f.number("lanewise.refills", e.Refills)
	if e.Searches > 0 {
		f = append(f, attribute.Int("lanewise.searches", e.Searches), attribute.Float64("lanewise.coverage", e.Coverage))
	}
	if e.Model != "" {
		f.text("gen_ai.operation.name", operation(e.Route))
		f.text("gen_ai.response.model", label(e.Model))
		f.text("lanewise.upstream", e.Upstream)
		f.number("gen_ai.usage.input_tokens", e.Usage.PromptTokens)
		f.number("gen_ai.usage.output_tokens", e.Usage.CompletionTokens)
		f.number("gen_ai.usage.cache_read.input_tokens", e.Usage.CachedTokens)
	}
	if e.Usage.Cost > 0 {
		f = append(f, attribute.Float64("lanewise.cost", e.Usage.Cost))
	}
	if e.First > 0 {
		f = append(f, attribute.Float64("lanewise.first_ms", float64(e.First)/float64(time.Millisecond)))
	}
	return f
}

// facts are attributes without those that say nothing.
type facts []attribute.KeyValue

func (f *facts) text(name, value string) {
	if value != "" {
		*f = append(*f, attribute.String(name, value))
	}
}

func (f *facts) number(name string, value int) {
	if value != 0 {
		*f = append(*f, attribute.Int(name, value))
	}
}

// enterAttempt makes the span of an attempt the one that its upstream hears of.
func enterAttempt(ctx context.Context, a balance.Attempt) (context.Context, func(balance.Attempt)) {
	ctx, span := tracing.Call(tracing.Lane(ctx, a.Pool), a.Pool+"/"+a.Member,
		attribute.String("lanewise.lane", a.Lane), attribute.String("lanewise.pool", a.Pool),
		attribute.String("lanewise.member", a.Member), attribute.String("lanewise.reason", string(a.Reason)))
	return ctx, func(a balance.Attempt) {
		span.Text("lanewise.outcome", outcome(a.Won, a.Err))
		span.Number("lanewise.cost", int(a.Cost))
		span.End(a.Err)
	}
}
