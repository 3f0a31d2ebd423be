// Package wire holds the JSON bodies of lanewise's HTTP surface: the public API
// and the replica protocol. The server (httpapi) and the client
// (adapters/remote) share it, so that they cannot drift apart.
//
// # Strictness
//
// [Decode] and [UnmarshalReplica] read exactly one JSON value and refuse what
// RFC 8259 leaves ambiguous: unknown fields, names that repeat within an object,
// names that differ in case, data behind the value, invalid UTF-8 and unpaired
// surrogates, integers with a fraction, numbers that their field cannot hold. Decode
// looks for repeated names and unpaired surrogates inside metadata too; the replica
// protocol passes metadata on as the store has it, where the last of a name counts.
// null stands for an absent field. Errors are fault.Invalid and carry the JSON pointer
// of the field.
//
// # Public API
//
// Names are snake_case, times are milliseconds in fields that end in _ms. A
// [Vector] is a list of numbers or a base64 string of little-endian float32. A
// version is a decimal string, because it exceeds what JavaScript's numbers hold
// exactly. The checks here need no knowledge of the server: ranges, exclusive
// fields, enumerations. Whether a collection exists and a vector has its length
// is for the router.
//
// # Replica protocol
//
// One POST per method of search.Store and search.TermCounter, below [ReplicaPath]:
//
//	search  search.Query         → search.Result (Complete is the [CompleteHeader])
//	write   search.Batch         → search.Written
//	get     Keys                 → []search.Point
//	scroll  search.Scan          → search.Page
//	count   search.Scan          → int (Collection, Tenant and Filter are read)
//	stats   search.Scan          → []search.Stats (Collection is read; empty: all)
//	terms   search.TermQuery     → search.TermStats
//
// Bodies are read and written by [UnmarshalReplica] and [MarshalReplica].
// Vectors are base64, versions and epochs are JSON integers, scores are written
// in the shortest form that gives the same float64 back.
package wire

import (
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/lanewise/lanewise/fault"
)

// ReplicaPath is the prefix of the replica protocol's endpoints.
const ReplicaPath = "/v1/replica/"

// Header is the name of a request header.
type Header = string

// The headers.
const (
	// TimeoutHeader is the request header in which a client states how many
	// milliseconds it will wait for the answer, a positive decimal integer. A
	// server gives up by then.
	TimeoutHeader Header = "Lanewise-Timeout-Ms"
	// CompleteHeader, with the value 1, is Complete of a [search.Query] on its way to a replica. It is
	// not in the body, where a server of an older version would refuse it: that one leaves Legs empty.
	CompleteHeader Header = "Lanewise-Complete"
)

// checker is a body that has more to say than its types.
type checker interface{ check() error }

// defaulter is a body whose absent fields are not zero.
type defaulter interface{ setDefaults() }

// Decode reads a body of the public API, fills defaults and checks it. Errors
// are fault.Invalid with the field's JSON pointer. The result does not refer to
// data.
func Decode[T any](data []byte) (T, error) {
	var body T
	if d, ok := any(&body).(defaulter); ok {
		d.setDefaults()
	}
	if err := unmarshal(data, &body); err != nil {
		return body, err
	}
	if c, ok := any(&body).(checker); ok {
		return body, c.check()
	}
	return body, nil
}

// Encode writes a body of the public API. NaN and infinities are errors.
func Encode(body any) ([]byte, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", body, err)
	}
	return data, nil
}

func unmarshal(data []byte, body any) error {
	err := json.Unmarshal(data, body, json.RejectUnknownMembers(true))
	if err != nil {
		return blame(err)
	}
	return nil
}

// blame turns an error of the JSON library into one that names the field.
func blame(err error) error {
	var syntactic *jsontext.SyntacticError
	var semantic *json.SemanticError
	var own *fault.Error
	switch {
	case errors.As(err, &syntactic):
		return blameSyntax(syntactic)
	case errors.As(err, &semantic):
		return blameMeaning(semantic)
	case errors.As(err, &own):
		return within("", own)
	}
	return fault.Wrap(fault.Invalid, "read JSON", err)
}

func blameSyntax(e *jsontext.SyntacticError) error {
	at := string(e.JSONPointer)
	switch {
	case errors.Is(e.Err, jsontext.ErrDuplicateName):
		return fault.BadField(at, "the field is there twice")
	case errors.Is(e.Err, io.ErrUnexpectedEOF), errors.Is(e.Err, io.EOF):
		return fault.BadField(at, "the JSON ends too early, at byte %d", e.ByteOffset)
	default:
		return fault.BadField(at, "not valid JSON at byte %d: %v", e.ByteOffset, e.Err)
	}
}

func blameMeaning(e *json.SemanticError) error {
	at := string(e.JSONPointer)
	var inner *fault.Error
	switch {
	case errors.As(e.Err, &inner):
		return within(at, inner)
	case errors.Is(e.Err, json.ErrUnknownName):
		return fault.BadField(at, "unknown field")
	case e.GoType != nil && !matches(e.JSONKind, e.GoType):
		return fault.BadField(at, "must be %s, is %s", expected(e.GoType), found(e.JSONKind))
	case e.GoType != nil && e.JSONValue != nil:
		return fault.BadField(at, "must be %s, is %s", expected(e.GoType), e.JSONValue)
	default:
		return fault.BadField(at, "does not fit: %v", e.Err)
	}
}

// within returns e as an error of the value at the pointer. Errors of nested
// bodies are nested too; their pointers are joined.
func within(at string, e *fault.Error) error {
	if inner, ok := errors.AsType[*fault.Error](e.Err); ok {
		return within(at+e.Field, inner)
	}
	return &fault.Error{Class: fault.Invalid, Field: at + e.Field, Message: e.Message}
}

// matches reports whether a JSON value of kind k can be right for a t.
func matches(k jsontext.Kind, t reflect.Type) bool {
	return k != 0 && kinds(t)[0] == byte(k)
}

// kinds describes the JSON form of t: its kind's byte, then its name.
func kinds(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return kinds(t.Elem())
	case reflect.String:
		return `"a string`
	case reflect.Bool:
		return "ttrue or false"
	case reflect.Slice, reflect.Array:
		return "[a list"
	case reflect.Float32, reflect.Float64:
		return "0a number in range"
	case reflect.Int, reflect.Int64:
		return "0an integer"
	case reflect.Uint, reflect.Uint32, reflect.Uint64:
		return "0a non-negative integer"
	default:
		return "{an object"
	}
}

func expected(t reflect.Type) string { return kinds(t)[1:] }

func found(k jsontext.Kind) string {
	switch k {
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '[', ']':
		return "a list"
	case '{', '}':
		return "an object"
	default:
		return k.String()
	}
}
