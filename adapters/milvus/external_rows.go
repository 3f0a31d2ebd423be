package milvus

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// columns lists what must be fetched for these fields of a point.
func (o *outline) columns(f search.Fields) []string {
	out := []string{o.pk.GetName()}
	dynamic := f.Text && o.text != "" && !o.has(o.text, schemapb.DataType_VarChar)
	if f.Text && o.text != "" && !dynamic {
		out = append(out, o.text)
	}
	if f.Meta && o.meta != "" {
		out = append(out, o.meta)
	}
	if f.Meta && o.meta == "" {
		for _, field := range o.fields {
			if field.GetName() != o.text && !field.GetIsDynamic() {
				out = append(out, field.GetName())
			}
		}
		dynamic = dynamic || o.dynamic
	}
	if dynamic {
		out = append(out, dynamicField)
	}
	if f.Vector {
		out = append(out, o.vector)
	}
	return out
}

// table is an answer's columns.
type table struct {
	o       *outline
	ids     []string
	columns map[string]*schemapb.FieldData
}

// tableOf reads the columns of an answer; ids are empty where they are among them.
func tableOf(o *outline, fields []*schemapb.FieldData, ids *schemapb.IDs) (table, error) {
	t := table{o: o, columns: map[string]*schemapb.FieldData{}}
	for _, f := range fields {
		name := f.GetFieldName()
		if f.GetIsDynamic() {
			name = dynamicField
		}
		t.columns[name] = f
	}
	numbers, texts := ids.GetIntId().GetData(), ids.GetStrId().GetData()
	if pk := t.columns[o.pk.GetName()]; pk != nil && ids == nil {
		numbers, texts = pk.GetScalars().GetLongData().GetData(), pk.GetScalars().GetStringData().GetData()
	}
	t.ids = texts
	for _, n := range numbers {
		t.ids = append(t.ids, strconv.FormatInt(n, 10))
	}
	if v := t.columns[o.vector]; v != nil && len(v.GetVectors().GetFloatVector().GetData()) != len(t.ids)*o.Dims {
		return t, fault.New(fault.Unavailable, "the answer lacks vectors of some of its %d rows", len(t.ids))
	}
	return t, nil
}

// point returns row i. What it returns shares no memory with the answer.
func (t table) point(i int, f search.Fields) search.Point {
	p := search.Point{Key: search.Key{ID: t.ids[i]}}
	if f.Text && t.o.text != "" {
		p.Text = t.text(i)
	}
	if f.Meta {
		p.Meta = t.meta(i)
	}
	if v := t.columns[t.o.vector].GetVectors().GetFloatVector().GetData(); f.Vector && len(v) > 0 {
		p.Dense = append([]float32(nil), v[i*t.o.Dims:(i+1)*t.o.Dims]...)
	}
	return p
}

func (t table) text(i int) string {
	if c, ok := t.columns[t.o.text]; ok {
		return element(c.GetScalars().GetStringData().GetData(), i)
	}
	var members map[string]json.RawMessage
	var text string
	if json.Unmarshal(t.json(dynamicField, i), &members) == nil {
		_ = json.Unmarshal(members[t.o.text], &text) //nolint:errcheck // another type than text is no text
	}
	return text
}

// element is one of a list, or zero where the answer is too short.
func element[T any](list []T, i int) (zero T) {
	if i < len(list) {
		return list[i]
	}
	return zero
}

func (t table) json(column string, i int) []byte {
	return element(t.columns[column].GetScalars().GetJsonData().GetData(), i)
}

// meta is the metadata of a row: the JSON field that holds it, or all fields.
func (t table) meta(i int) json.RawMessage {
	if t.o.meta != "" {
		if raw := t.json(t.o.meta, i); json.Valid(raw) {
			return bytes.Clone(raw)
		}
		return nil
	}
	b := []byte{'{'}
	member := func(name string, value []byte) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(b, jsonOf(name)...), ':'), value...)
	}
	for _, f := range t.o.fields {
		if c, ok := t.columns[f.GetName()]; ok && f.GetName() != t.o.text {
			member(f.GetName(), scalarAt(c.GetScalars(), i))
		}
	}
	var dynamic map[string]json.RawMessage
	if json.Unmarshal(t.json(dynamicField, i), &dynamic) == nil {
		for _, name := range sortedKeys(dynamic) {
			if name != t.o.text {
				member(name, dynamic[name])
			}
		}
	}
	return append(b, '}')
}

// scalarAt is a row's value of a column, as JSON.
func scalarAt(f *schemapb.ScalarField, i int) []byte {
	var v any
	switch d := f.GetData().(type) {
	case *schemapb.ScalarField_BoolData:
		v = element(d.BoolData.GetData(), i)
	case *schemapb.ScalarField_IntData:
		v = element(d.IntData.GetData(), i)
	case *schemapb.ScalarField_LongData:
		v = element(d.LongData.GetData(), i)
	case *schemapb.ScalarField_FloatData:
		v = element(d.FloatData.GetData(), i)
	case *schemapb.ScalarField_DoubleData:
		v = element(d.DoubleData.GetData(), i)
	case *schemapb.ScalarField_StringData:
		v = element(d.StringData.GetData(), i)
	case *schemapb.ScalarField_JsonData:
		if raw := element(d.JsonData.GetData(), i); json.Valid(raw) {
			return raw
		}
	case *schemapb.ScalarField_ArrayData:
		return arrayOf(element(d.ArrayData.GetData(), i))
	}
	text, err := json.Marshal(v)
	if err != nil { // a float that JSON does not have
		return []byte("null")
	}
	return text
}

// arrayOf is an array field's value: a column of its own.
func arrayOf(f *schemapb.ScalarField) []byte {
	n := max(len(f.GetBoolData().GetData()), len(f.GetIntData().GetData()), len(f.GetLongData().GetData()),
		len(f.GetFloatData().GetData()), len(f.GetDoubleData().GetData()), len(f.GetStringData().GetData()))
	b := []byte{'['}
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, scalarAt(f, i)...)
	}
	return append(b, ']')
}
