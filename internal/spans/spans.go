// Package spans records the spans of requests in the form in which a collector takes
// them. A span keeps its attributes encoded and is handed on encoded when it ends, so that a
// request which is recorded costs two allocations a span and no work later; OpenTelemetry's
// own SDK copies each span three times on its way. It serves OpenTelemetry's API, but
// for events and links, which nothing here makes.
package spans

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
)

// Bounds of a span, in bytes.
const (
	mostFacts = 64 << 10 // attributes; what comes after that is left out
	mostText  = 1 << 10  // a name or a value; the rest is cut off
)

// Recorder makes spans. Safe for concurrent use.
type Recorder struct {
	embedded.TracerProvider
	tracer tracer
}

type tracer struct {
	embedded.Tracer
	of    *Recorder
	below uint64 // ids of traces that are recorded, of 63 bits
	keep  func(span []byte)
	rooms sync.Pool // of *[]byte, empty, for a span to be encoded in
}

var (
	_ trace.TracerProvider = (*Recorder)(nil)
	_ trace.Tracer         = (*tracer)(nil)
)

// New returns a recorder of a share of the traces that begin with it, 0 to 1. A trace that goes on is recorded if
// it was before. keep is given each span that ends, as it stands in OTLP's ScopeSpans (the field's key, length and
// message); the bytes are its own only until it returns, and it is called concurrently.
func New(ratio float64, keep func(span []byte)) *Recorder {
	r := &Recorder{}
	r.tracer.of, r.tracer.below, r.tracer.keep = r, uint64(min(max(ratio, 0), 1)*(1<<63)), keep
	r.tracer.rooms.New = func() any { return new([]byte) }
	return r
}

// Tracer returns the same one whoever asks.
func (r *Recorder) Tracer(string, ...trace.TracerOption) trace.Tracer { return &r.tracer }

// Start begins a span below that of ctx, or a trace.
func (t *tracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	config := trace.NewSpanStartConfig(options...)
	above := trace.SpanContextFromContext(ctx)
	if config.NewRoot() {
		above = trace.SpanContext{}
	}
	own := t.context(above)
	if !own.IsSampled() {
		ctx = trace.ContextWithSpanContext(ctx, own)
		return ctx, trace.SpanFromContext(ctx)
	}
	s := &span{tracer: t, context: own, above: above, name: name, kind: trace.ValidateSpanKind(config.SpanKind()), start: config.Timestamp()}
	s.room = t.rooms.Get().(*[]byte) //nolint:forcetypeassert // nothing else is in it
	if s.start.IsZero() {
		s.start = time.Now()
	}
	s.SetAttributes(config.Attributes()...)
	return trace.ContextWithSpan(ctx, s), s
}

// context is that of a new span.
func (t *tracer) context(above trace.SpanContext) trace.SpanContext {
	var id trace.SpanID
	binary.NativeEndian.PutUint64(id[:], rand.Uint64()|1) //nolint:gosec // ids are no secrets; 0 is none
	if above.IsValid() {
		return above.WithSpanID(id).WithRemote(false)
	}
	var all trace.TraceID
	low := rand.Uint64()                                    //nolint:gosec // likewise
	binary.BigEndian.PutUint64(all[:8], rand.Uint64()|1<<8) //nolint:gosec // likewise
	binary.BigEndian.PutUint64(all[8:], low)
	flags := trace.TraceFlags(0).WithSampled(low>>1 < t.below) // as OpenTelemetry's SDK draws
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: all, SpanID: id, TraceFlags: flags})
}

// span is one that is recorded.
type span struct {
	embedded.Span
	tracer  *tracer
	context trace.SpanContext
	above   trace.SpanContext
	start   time.Time

	mu     sync.Mutex
	name   string
	kind   trace.SpanKind
	status codes.Code
	why    string
	room   *[]byte // attributes, encoded; nil: it has ended
}

// End hands the span on. What it is told later is lost.
func (s *span) End(options ...trace.SpanEndOption) {
	end := time.Time{}
	if len(options) > 0 {
		config := trace.NewSpanEndConfig(options...)
		end = config.Timestamp()
	}
	if end.IsZero() {
		end = s.start.Add(time.Since(s.start))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room == nil {
		return
	}
	facts := *s.room
	out := s.encode(facts, end)
	s.tracer.keep(out[len(facts):])
	*s.room = out[:0]
	s.tracer.rooms.Put(s.room)
	s.room = nil
}

// SetAttributes adds attributes. A name that is told twice is sent twice.
func (s *span) SetAttributes(all ...attribute.KeyValue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room == nil {
		return
	}
	for i := range all {
		if all[i].Valid() && len(*s.room) < mostFacts {
			*s.room = appendAttribute(*s.room, &all[i])
		}
	}
}

// SetStatus says what became of it: an error is not taken back but by Ok, which stays.
func (s *span) SetStatus(code codes.Code, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room == nil || s.status == codes.Ok || code == codes.Unset {
		return
	}
	if s.status, s.why = code, why; code == codes.Ok {
		s.why = ""
	}
}

// SetName renames it.
func (s *span) SetName(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.name = name
}

// IsRecording is true until the span ends.
func (s *span) IsRecording() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.room != nil
}

// SpanContext is what others are told of the span.
func (s *span) SpanContext() trace.SpanContext { return s.context }

// TracerProvider makes spans below this one.
func (s *span) TracerProvider() trace.TracerProvider { return s.tracer.of }

// AddEvent does nothing.
func (*span) AddEvent(string, ...trace.EventOption) {}

// AddLink does nothing.
func (*span) AddLink(trace.Link) {}

// RecordError does nothing: its text may quote what is nobody's business.
func (*span) RecordError(error, ...trace.EventOption) {}
