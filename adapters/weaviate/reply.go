package weaviate

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// reply reads a SearchReply from the wire, straight into points. The generated types
// make a map of boxed values for every row, five times the allocations.
type reply struct {
	fields search.Fields
	vector bool // read vectors for scores, whether or not the fields ask for them
	fence  bool // read the fence, too
	rows   []row

	keys   keyReader
	floats []float32 // the vectors of all rows, one behind the other
}

// row is an object as a search found it.
type row struct {
	search.Point
	id       string // of the object, where it was asked for
	hasKey   bool   // it is a point
	epoch    uint64 // of the fence
	high     uint64 // halves of the version
	low      uint64
	distance float64 // Weaviate's
	score    float64 // canonical, computed here
}

// codec sends messages as gRPC's own does, and reads replies.
type codec struct{}

// Name is that of the codec which the server uses.
func (codec) Name() string { return "proto" }

// Marshal encodes a request.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("a %T is no message", v)
	}
	b, err := proto.Marshal(m)
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

// Unmarshal reads a reply.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*reply)
	if !ok {
		return fmt.Errorf("a %T is no reply", v)
	}
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	return r.read(buf.ReadOnlyData())
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

// The numbers of the fields that are read, of weaviate.v1.
const (
	replyResults      = 2
	resultProperties  = 1
	resultMetadata    = 2
	propertiesNonRef  = 11
	propertiesFields  = 1
	entryKey          = 1
	entryValue        = 2
	valueInt          = 8
	valueText         = 13
	metadataID        = 1
	metadataDistance  = 7
	metadataVector    = 19
	usualRowsOfAReply = 32
)

func (r *reply) read(b []byte) error {
	r.rows = make([]row, 0, usualRowsOfAReply)
	return fields(b, func(n protowire.Number, data []byte, _ uint64) error {
		if n != replyResults {
			return nil
		}
		r.rows = append(r.rows, row{})
		x := &r.rows[len(r.rows)-1]
		if err := fields(data, func(n protowire.Number, data []byte, _ uint64) error { return r.part(x, n, data) }); err != nil {
			return err
		}
		x.Version = search.Version(x.high<<32 | x.low)
		return nil
	})
}

func (r *reply) part(x *row, n protowire.Number, data []byte) error {
	switch n { //nolint:exhaustive // fields have numbers and no names
	case resultProperties:
		return fields(data, func(n protowire.Number, data []byte, _ uint64) error {
			if n != propertiesNonRef {
				return nil
			}
			return fields(data, func(n protowire.Number, data []byte, _ uint64) error {
				if n != propertiesFields {
					return nil
				}
				return r.entry(x, data)
			})
		})
	case resultMetadata:
		return fields(data, func(n protowire.Number, data []byte, bits uint64) error {
			switch n { //nolint:exhaustive // as above
			case metadataID:
				x.id = string(data)
			case metadataDistance:
				x.distance = float64(math.Float32frombits(uint32(bits))) //nolint:gosec // a fixed32
			case metadataVector:
				r.dense(x, data)
			}
			return nil
		})
	}
	return nil
}

// dense reads a vector; what one row needs, the others will.
func (r *reply) dense(x *row, data []byte) {
	n := len(data) / 4
	if n == 0 || !r.vector && !r.fields.Vector {
		return
	}
	if r.fields.Vector {
		x.Dense = make([]float32, n) // it is the caller's
	} else {
		if cap(r.floats)-len(r.floats) < n {
			r.floats = make([]float32, 0, max(usualRowsOfAReply, len(r.rows))*n)
		}
		at := len(r.floats)
		r.floats = r.floats[:at+n]
		x.Dense = r.floats[at : at+n : at+n]
	}
	for i := range x.Dense {
		x.Dense[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
}

// entry reads a property.
func (r *reply) entry(x *row, data []byte) error {
	var name, text []byte
	var number uint64
	err := fields(data, func(n protowire.Number, data []byte, _ uint64) error {
		switch n { //nolint:exhaustive // as above
		case entryKey:
			name = data
		case entryValue:
			return fields(data, func(n protowire.Number, data []byte, x uint64) error {
				switch n { //nolint:exhaustive // as above
				case valueInt:
					number = x
				case valueText:
					text = data
				}
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.property(x, string(name), text, number)
}

func (r *reply) property(x *row, name string, text []byte, number uint64) (err error) {
	switch name {
	case keyProperty:
		if x.Key, x.hasKey = r.keys.read(text); !x.hasKey && len(text) > 0 {
			return fault.New(fault.Unavailable, "an object's key is not one of this program")
		}
	case highProperty:
		x.high = number
	case lowProperty:
		x.low = number
	case textProperty:
		x.Text = string(text)
	case metaProperty:
		if len(text) > 0 {
			x.Meta = append(json.RawMessage(nil), text...)
		}
	case sparseProperty:
		x.Sparse, err = unpackSparse(text)
	case fenceProperty:
		for _, c := range text {
			x.epoch = 10*x.epoch + uint64(c-'0')
		}
	}
	return err
}

func packSparse(s search.Sparse) string {
	raw := make([]byte, 0, 8*len(s.Index))
	for i := range s.Index {
		raw = binary.LittleEndian.AppendUint32(raw, s.Index[i])
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(s.Value[i]))
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func unpackSparse(text []byte) (search.Sparse, error) {
	raw, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil || len(raw)%8 != 0 {
		return search.Sparse{}, fault.New(fault.Unavailable, "a sparse vector is stored in a form that is not this program's")
	}
	if len(raw) == 0 {
		return search.Sparse{}, nil
	}
	s := search.Sparse{Index: make([]uint32, len(raw)/8), Value: make([]float32, len(raw)/8)}
	for i := range s.Index {
		s.Index[i] = binary.LittleEndian.Uint32(raw[8*i:])
		s.Value[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[8*i+4:]))
	}
	return s, nil
}
