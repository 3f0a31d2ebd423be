package weaviate

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// reply reads a SearchReply from the wire, straight into points. The generated types
// make a map of boxed values for every row, five times the allocations.
type reply struct {
	fields search.Fields
	vector bool // read vectors for scores, whether or not the fields ask for them
	marks  bool // read those of deletions and the fence, too
	rows   []row

	keys   keyReader
	floats []float32 // the vectors of all rows, one behind the other
}

// row is an object as a search found it.
type row struct {
	search.Point
	id       string  // of the object, where it was asked for
	hasKey   bool    // it is a point
	epoch    uint64  // of the fence
	distance float64 // Weaviate's
	score    float64 // canonical, computed here
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
		return fields(data, func(n protowire.Number, data []byte, _ uint64) error { return r.part(x, n, data) })
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
	err := fields(data, func(n protowire.Number, data []byte, _ uint64) error {
		switch n { //nolint:exhaustive // as above
		case entryKey:
			name = data
		case entryValue:
			return fields(data, func(n protowire.Number, data []byte, _ uint64) error {
				if n == valueText {
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
	if len(text) == 0 {
		return nil
	}
	return r.property(x, string(name), text)
}

func (r *reply) property(x *row, name string, text []byte) (err error) {
	ok := true
	switch name {
	case keyProperty:
		x.Key, x.Version, x.hasKey = r.keys.read(text)
		ok = x.hasKey
	case goneProperty:
		x.Version, ok = readVersion(text)
	case textProperty:
		x.Text = string(text)
	case metaProperty:
		x.Meta = append(json.RawMessage(nil), text...)
	case sparseProperty:
		x.Sparse, err = unpackSparse(text)
	case fenceProperty:
		for _, c := range text {
			x.epoch = 10*x.epoch + uint64(c-'0')
		}
	}
	if !ok { // an error that names it would have every name allocated
		return fault.New(fault.Unavailable, "an object's key or version is not one of this program")
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
