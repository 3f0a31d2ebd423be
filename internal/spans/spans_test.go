package spans_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/lanewise/lanewise/internal/spans"
)

// kept are the spans that have ended, one after another as a collector is sent them.
type kept []byte

func (k *kept) keep(span []byte) { *k = append(*k, span...) }

func (k *kept) read(t *testing.T) []*otlp.Span {
	t.Helper()
	var all otlp.ScopeSpans
	if err := proto.Unmarshal(*k, &all); err != nil {
		t.Fatal(err)
	}
	return all.GetSpans()
}

func TestSpan_isWhatACollectorTakes(t *testing.T) {
	var k kept
	start := time.Unix(1700000000, 5)
	state, _ := trace.ParseTraceState("a=b")
	above := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, 2}, SpanID: trace.SpanID{3}, TraceFlags: trace.FlagsSampled, TraceState: state, Remote: true,
	})
	ctx, span := spans.New(0, k.keep).Tracer("").Start(trace.ContextWithSpanContext(context.Background(), above), "first",
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(start), trace.WithAttributes(attribute.Bool("b", true)))
	span.SetName("request")
	span.SetAttributes(attribute.Int("n", -7), attribute.Float64("f", 0.5), attribute.String("s", "text\xff"), attribute.String("none", ""),
		attribute.StringSlice("all", []string{"x", "y"}), attribute.KeyValue{})
	_, below := trace.SpanFromContext(ctx).TracerProvider().Tracer("").Start(ctx, "below")
	below.SetStatus(codes.Error, "timeout")
	below.End()
	below.End()
	below.SetAttributes(attribute.Int("late", 1))
	span.SetStatus(codes.Ok, "")
	span.SetStatus(codes.Error, "too late")
	span.End(trace.WithTimestamp(start.Add(time.Second)))
	all := k.read(t)
	if len(all) != 2 {
		t.Fatalf("%d spans", len(all))
	}
	inner, outer := all[0], all[1]
	var facts []string
	for _, a := range outer.GetAttributes() {
		facts = append(facts, a.GetKey()+"="+strings.ReplaceAll(a.GetValue().String(), " ", ""))
	}
	if got := strings.Join(facts, " "); got != `b=bool_value:true n=int_value:-7 f=double_value:0.5 s=string_value:"text" none=string_value:"" all=string_value:"[\"x\",\"y\"]"` {
		t.Errorf("attributes %s", got)
	}
	if outer.GetName() != "request" || outer.GetKind() != otlp.Span_SPAN_KIND_SERVER || outer.GetTraceState() != "a=b" || outer.GetFlags() != 0x301 ||
		string(outer.GetParentSpanId()) != "\x03\x00\x00\x00\x00\x00\x00\x00" || outer.GetStatus().GetCode() != otlp.Status_STATUS_CODE_OK ||
		outer.GetStartTimeUnixNano() != 1700000000000000005 || outer.GetEndTimeUnixNano() != 1700000001000000005 {
		t.Errorf("outer: %v", outer)
	}
	if inner.GetName() != "below" || inner.GetKind() != otlp.Span_SPAN_KIND_INTERNAL || inner.GetFlags() != 0x101 || len(inner.GetAttributes()) != 0 ||
		string(inner.GetParentSpanId()) != string(outer.GetSpanId()) || string(inner.GetTraceId()) != string(outer.GetTraceId()) ||
		inner.GetStatus().GetMessage() != "timeout" || inner.GetStatus().GetCode() != otlp.Status_STATUS_CODE_ERROR || inner.GetEndTimeUnixNano() < inner.GetStartTimeUnixNano() {
		t.Errorf("inner: %v", inner)
	}
}

// What nobody bounds elsewhere is bounded here.
func TestSpan_isBounded(t *testing.T) {
	var k kept
	_, span := spans.New(1, k.keep).Tracer("").Start(context.Background(), strings.Repeat("é", 5000))
	for i := range 1000 {
		span.SetAttributes(attribute.String(fmt.Sprint(i), strings.Repeat("x", 5000)))
	}
	span.End()
	if got := k.read(t)[0]; len(got.GetName()) != 1<<10 || len(got.GetAttributes()) > 65 || len(k) > 68<<10 {
		t.Errorf("a name of %d, %d attributes, %d bytes", len(got.GetName()), len(got.GetAttributes()), len(k))
	}
}

func TestRecorder_keepsAShare(t *testing.T) {
	const n = 4000
	for _, ratio := range []float64{-1, 0, 0.25, 1} {
		var k kept
		tracer, recorded := spans.New(ratio, k.keep).Tracer(""), 0
		for range n {
			ctx, span := tracer.Start(context.Background(), "x")
			_, below := span.TracerProvider().Tracer("").Start(ctx, "y")
			if below.IsRecording() {
				recorded++
			}
			if own, its := span.SpanContext(), below.SpanContext(); !own.IsValid() || own.TraceID() != its.TraceID() || own.IsSampled() != its.IsSampled() {
				t.Fatalf("%v, below it %v", own, its)
			}
			below.End()
			span.End()
		}
		if want := max(ratio, 0) * n; float64(recorded) < want*0.8 || float64(recorded) > want*1.2 || len(k.read(t)) != 2*recorded {
			t.Errorf("ratio %v: %d of %d", ratio, recorded, n)
		}
	}
}

// A trace that its client does not record is not recorded here, whatever the share; one with a root of its own is another one.
func TestRecorder_followsTheClient(t *testing.T) {
	var k kept
	above := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, Remote: true})
	ctx := trace.ContextWithSpanContext(context.Background(), above)
	_, span := spans.New(1, k.keep).Tracer("").Start(ctx, "x")
	if c := span.SpanContext(); span.IsRecording() || c.TraceID() != above.TraceID() || c.IsRemote() {
		t.Errorf("recorded below a trace that is not: %v", c)
	}
	_, span = spans.New(1, k.keep).Tracer("").Start(ctx, "x", trace.WithNewRoot())
	if span.RecordError(errors.New("secret")); !span.IsRecording() || span.SpanContext().TraceID() == above.TraceID() {
		t.Errorf("no trace of its own: %v", span.SpanContext())
	}
}

func Example() {
	recorder := spans.New(1, func(span []byte) {
		var all otlp.ScopeSpans
		if err := proto.Unmarshal(span, &all); err != nil {
			panic(err)
		}
		fmt.Println(all.GetSpans()[0].GetName())
	})
	_, span := recorder.Tracer("").Start(context.Background(), "GET /")
	span.End()
	// Output: GET /
}
