package weaviate

import (
	"encoding/binary"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// draft is a weaviate.v1.BatchObjectsRequest that is being written, as it goes over the wire. The
// generated types box every value in a map first, which is most of an import's work here.
type draft struct {
	request encoded

	scalars []byte // of the object that is being written
	lists   []byte //
	entry   []byte // scratch
	value   []byte //
}

// The numbers of the fields that are written.
const (
	requestObjects    = 1
	objectUUID        = 1
	objectProperties  = 3
	objectCollection  = 4
	objectVector      = 6
	propertiesScalars = 1
	propertiesLists   = 6
	scalarsFields     = 1
	scalarNumber      = 2
	scalarText        = 3
	listValues        = 1
	listName          = 2
)

// grow makes room for so many objects of a usual size, or as many of them as go into one call.
func (d *draft) grow(objects, dims int) {
	d.request = slices.Grow(d.request, min(objects*(4*dims+512), maxMessage))
}

// text writes a property that has a value.
func (d *draft) text(name, value string) {
	if value == "" {
		return
	}
	d.value = appendField(d.value[:0], scalarText, value)
	d.scalar(name)
}

func (d *draft) number(name string, value int64) {
	d.value = protowire.AppendTag(d.value[:0], scalarNumber, protowire.Fixed64Type)
	d.value = protowire.AppendFixed64(d.value, math.Float64bits(float64(value)))
	d.scalar(name)
}

func (d *draft) scalar(name string) {
	d.entry = appendField(d.entry[:0], entryKey, name)
	d.entry = appendField(d.entry, entryValue, d.value)
	d.scalars = appendField(d.scalars, scalarsFields, d.entry)
}

func (d *draft) list(name string, values []string) {
	d.entry = appendField(d.entry[:0], listName, name)
	for _, v := range values {
		d.entry = appendField(d.entry, listValues, v)
	}
	d.lists = appendField(d.lists, propertiesLists, d.entry)
}

// end adds an object with the properties that were written since the last one.
func (d *draft) end(c *class, id string, vector []float32) {
	properties := append(appendField(d.value[:0], propertiesScalars, d.scalars), d.lists...)
	b := appendField(d.entry[:0], objectUUID, id)
	b = appendField(b, objectProperties, properties)
	b = appendField(b, objectCollection, c.engine)
	if len(vector) > 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, objectVector, protowire.BytesType), uint64(4*len(vector)))
		for _, x := range vector {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
	}
	d.request = appendField(d.request, requestObjects, b)
	d.value, d.entry, d.scalars, d.lists = properties, b, d.scalars[:0], d.lists[:0]
}
