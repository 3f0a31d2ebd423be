package spans

import (
	"math"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of fields of OTLP's messages (opentelemetry-proto 1.x, trace.proto and common.proto).
const (
	scopeSpans = 2 // of ScopeSpans

	spanTrace  = 1 // of Span
	spanID     = 2
	spanState  = 3
	spanParent = 4
	spanName   = 5
	spanKind   = 6
	spanStart  = 7
	spanEnd    = 8
	spanFact   = 9
	spanStatus = 15
	spanFlags  = 16

	statusMessage = 2 // of Status
	statusCode    = 3
	statusOk      = 1
	statusError   = 2

	pairKey   = 1 // of KeyValue
	pairValue = 2

	valueText   = 1 // of AnyValue
	valueBool   = 2
	valueInt    = 3
	valueDouble = 4

	flagKnown  = 0x100 // whether the parent is of another process is known
	flagRemote = 0x200 // and it is
)

// encode appends the span, with its attributes, to these as a field of ScopeSpans. The caller holds mu.
func (s *span) encode(facts []byte, end time.Time) []byte {
	b, at := begin(facts, scopeSpans)
	trace, id, parent := s.context.TraceID(), s.context.SpanID(), s.above.SpanID()
	b = appendBytes(b, spanTrace, trace[:])
	b = appendBytes(b, spanID, id[:])
	if state := s.context.TraceState(); state.Len() > 0 {
		b = appendText(b, spanState, state.String())
	}
	flags := uint32(s.context.TraceFlags()) | flagKnown
	if s.above.IsValid() {
		b = appendBytes(b, spanParent, parent[:])
	}
	if s.above.IsRemote() {
		flags |= flagRemote
	}
	b = appendText(b, spanName, s.name)
	b = appendNumber(b, spanKind, uint64(s.kind))             //nolint:gosec // numbered alike
	b = appendFixed(b, spanStart, uint64(s.start.UnixNano())) //nolint:gosec // after 1970
	b = appendFixed(b, spanEnd, uint64(end.UnixNano()))       //nolint:gosec // likewise
	b = append(b, facts...)
	b = s.appendStatus(b)
	b = protowire.AppendFixed32(protowire.AppendTag(b, spanFlags, protowire.Fixed32Type), flags)
	return finish(b, at)
}

func (s *span) appendStatus(b []byte) []byte {
	if s.status == codes.Unset {
		return b
	}
	b, at := begin(b, spanStatus)
	if s.status == codes.Error {
		b = appendText(b, statusMessage, s.why)
		b = appendNumber(b, statusCode, statusError)
	} else {
		b = appendNumber(b, statusCode, statusOk)
	}
	return finish(b, at)
}

// appendAttribute appends an attribute as a field of Span. A list is told as a text.
func appendAttribute(b []byte, a *attribute.KeyValue) []byte {
	b, at := begin(b, spanFact)
	b = appendText(b, pairKey, string(a.Key))
	b, value := begin(b, pairValue)
	switch v := &a.Value; v.Type() {
	case attribute.BOOL:
		b = appendNumber(b, valueBool, protowire.EncodeBool(v.AsBool()))
	case attribute.INT64:
		b = appendNumber(b, valueInt, uint64(v.AsInt64())) //nolint:gosec // two's complement
	case attribute.FLOAT64:
		b = appendFixed(b, valueDouble, math.Float64bits(v.AsFloat64()))
	default:
		b = appendText(b, valueText, v.String())
	}
	return finish(finish(b, value), at)
}

// lengthBytes is room for a length up to 2 MiB. One that is shorter is written as long, which
// protobuf allows: it need not be known before what follows it.
const lengthBytes = 3

// begin appends the head of a message; finish is to be told where it ends.
func begin(b []byte, field protowire.Number) (longer []byte, at int) {
	b = append(protowire.AppendTag(b, field, protowire.BytesType), 0x80, 0x80, 0)
	return b, len(b)
}

// finish writes the length of the message that began at a place.
func finish(b []byte, at int) []byte {
	n := len(b) - at
	length := b[at-lengthBytes : at]
	length[0] |= byte(n & 0x7f)
	length[1] |= byte(n >> 7 & 0x7f)
	length[2] = byte(n >> 14 & 0x7f)
	return b
}

// appendText appends a text, which must be UTF-8 or the collector refuses all that it is sent with.
func appendText(b []byte, field protowire.Number, text string) []byte {
	text = strings.ToValidUTF8(text[:min(len(text), mostText)], "")
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), text)
}

func appendBytes(b []byte, field protowire.Number, what []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), what)
}

func appendNumber(b []byte, field protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
}

func appendFixed(b []byte, field protowire.Number, n uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, field, protowire.Fixed64Type), n)
}
