package weaviate

import (
	"fmt"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/lanewise/lanewise/fault"
)

// codec sends and reads messages as gRPC's own does, and beside them those that this package
// writes and reads itself.
type codec struct{}

// Name is that of the codec which the server uses.
func (codec) Name() string { return "proto" }

// Marshal encodes a request.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	switch m := v.(type) {
	case encoded:
		return mem.BufferSlice{mem.SliceBuffer(m)}, nil
	case proto.Message:
		b, err := proto.Marshal(m)
		return mem.BufferSlice{mem.SliceBuffer(b)}, err
	}
	return nil, fmt.Errorf("a %T is no message", v)
}

// Unmarshal reads a reply.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	switch m := v.(type) {
	case *reply:
		return m.read(buf.ReadOnlyData())
	case proto.Message:
		return proto.Unmarshal(buf.ReadOnlyData(), m)
	}
	return fmt.Errorf("a %T is no message", v)
}

// encoded is a message as it goes over the wire. It is not changed once it is sent.
type encoded []byte

// appendField appends a field of texts, bytes or an encoded message.
func appendField[T ~string | ~[]byte](b []byte, n protowire.Number, value T) []byte {
	b = protowire.AppendVarint(protowire.AppendTag(b, n, protowire.BytesType), uint64(len(value)))
	return append(b, value...)
}

// errWire is an answer that is cut short or is none.
func errWire() error { return fault.New(fault.Unavailable, "the answer is malformed") }

// fields calls visit for every field of a message: with its bytes, or with its number.
func fields(b []byte, visit func(n protowire.Number, data []byte, x uint64) error) error {
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return errWire()
		}
		b = b[size:]
		var data []byte
		var x uint64
		switch typ { //nolint:exhaustive // groups are gone from the language
		case protowire.VarintType:
			x, size = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var short uint32
			short, size = protowire.ConsumeFixed32(b)
			x = uint64(short)
		case protowire.Fixed64Type:
			x, size = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			data, size = protowire.ConsumeBytes(b)
		default:
			return errWire()
		}
		if size < 0 {
			return errWire()
		}
		if err := visit(n, data, x); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}
