package milvus

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"unicode/utf8"

	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/wellformed"
	"github.com/lanewise/lanewise/search"
)

// What the index can do with a point.
const (
	kindRanked = 0 // rank it
	kindZero   = 1 // nothing: on cosine the zero vector has no direction. Its score is 0
	kindBare   = 2 // nothing: the point has no vector, a zero one stands in its place
	kindFence  = 3 // nothing: the row is no point
)

// Conditions on the kind.
const (
	isRanked  = "kind == 0"
	isZeroed  = "kind == 1"
	hasVector = "kind < 2"
	isPoint   = "kind < 3"
)

func kindOf(m search.Metric, v []float32) int8 {
	switch {
	case len(v) == 0:
		return kindBare
	case m == search.Cosine && isZero(v):
		return kindZero
	default:
		return kindRanked
	}
}

// columns lists what must be fetched for these fields of a point; the primary key is the first.
func columns(f search.Fields) []string {
	out := []string{"pk", "version"}
	if f.Text {
		out = append(out, "text")
	}
	if f.Meta {
		out = append(out, "meta")
	}
	if f.Vector {
		out = append(out, "kind", "sparse", "vector")
	}
	return out
}

// checkPoint refuses what cannot be stored, before anything is.
func checkPoint(c schema, p search.Point) error {
	if err := checkKey(p.Key); err != nil {
		return err
	}
	switch {
	case len(p.Dense) != 0 && len(p.Dense) != c.Dims:
		return fault.BadField("/vector", "has %d dims, collection %q has %d", len(p.Dense), c.Name, c.Dims)
	case !finite(p.Dense):
		return fault.BadField("/vector", "has a number that is not finite")
	case len(p.Text) > maxBytes || !utf8.ValidString(p.Text):
		return fault.BadField("/text", "has %d bytes; it must be UTF-8 and have at most %d", len(p.Text), maxBytes)
	case len(p.Meta) > maxBytes || !utf8.Valid(p.Meta):
		return fault.BadField("/meta", "has %d bytes; it must be UTF-8 and have at most %d", len(p.Meta), maxBytes)
	case len(p.Meta) > 0 && !json.Valid(p.Meta):
		return fault.BadField("/meta", "is not valid JSON")
	case base64.StdEncoding.EncodedLen(8*len(p.Sparse.Index)) > maxBytes:
		return fault.BadField("/sparse", "has %d entries, more than %d bytes hold", len(p.Sparse.Index), maxBytes)
	}
	return wellformed.Sparse("/sparse", p.Sparse)
}

func finite(v []float32) bool {
	for _, x := range v {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return false
		}
	}
	return true
}

// pack makes columns of points that have been checked.
func pack(c schema, list []change) []*schemapb.FieldData {
	n := len(list)
	pk, tenant, id := make([]string, n), make([]string, n), make([]string, n)
	text, meta, sparse := make([]string, n), make([]string, n), make([]string, n)
	version, kind := make([]int64, n), make([]int8, n)
	filter, vector := make([][]byte, n), make([][]float32, n)
	for i, one := range list {
		p := one.point
		filter[i] = one.filter
		pk[i], tenant[i], id[i] = primary(p.Key), p.Tenant, p.ID
		text[i], meta[i], sparse[i] = p.Text, string(p.Meta), packSparse(p.Sparse)
		version[i] = int64(p.Version) //nolint:gosec // the bits; the server never orders them
		vector[i], kind[i] = p.Dense, kindOf(c.Metric, p.Dense)
		if pk[i] == fencePK {
			kind[i], vector[i] = kindFence, make([]float32, c.Dims)
		}
		if kind[i] == kindBare {
			vector[i] = make([]float32, c.Dims)
		}
	}
	out := make([]*schemapb.FieldData, 0, 10)
	for _, column := range []entity.Column{
		entity.NewColumnVarChar("pk", pk), entity.NewColumnVarChar("tenant", tenant), entity.NewColumnVarChar("id", id),
		entity.NewColumnInt64("version", version), entity.NewColumnInt8("kind", kind), entity.NewColumnVarChar("text", text),
		entity.NewColumnVarChar("meta", meta), entity.NewColumnJSONBytes("filter", filter),
		entity.NewColumnVarChar("sparse", sparse), entity.NewColumnFloatVector("vector", c.Dims, vector),
	} {
		out = append(out, column.FieldData())
	}
	return out
}

func packSparse(s search.Sparse) string {
	if len(s.Index) == 0 {
		return ""
	}
	raw := make([]byte, 0, 8*len(s.Index))
	for i := range s.Index {
		raw = binary.LittleEndian.AppendUint32(raw, s.Index[i])
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(s.Value[i]))
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func unpackSparse(text string) (search.Sparse, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
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

// rows reads points out of the columns of an answer.
type rows struct {
	pk, text, meta, sparse []string
	version                []int64
	kind                   []int32
	vector                 []float32
	dims                   int
	n                      int
	bytes                  []byte // of the metadata of all rows: one piece of memory for all
}

// newRows finds the columns by name: their order is the server's. pk is nil where it
// is among the columns.
func newRows(fields []*schemapb.FieldData, pk []string, c schema) rows {
	r := rows{pk: pk, dims: c.Dims}
	for _, f := range fields {
		values := f.GetScalars()
		switch f.GetFieldName() {
		case "pk":
			r.pk = values.GetStringData().GetData()
		case "text":
			r.text = values.GetStringData().GetData()
		case "meta":
			r.meta = values.GetStringData().GetData()
		case "sparse":
			r.sparse = values.GetStringData().GetData()
		case "version":
			r.version = values.GetLongData().GetData()
		case "kind":
			r.kind = values.GetIntData().GetData()
		case "vector":
			r.vector = f.GetVectors().GetFloatVector().GetData()
		}
	}
	r.n = len(r.pk)
	size := 0
	for _, m := range r.meta {
		size += len(m)
	}
	r.bytes = make([]byte, 0, size)
	return r
}

// check holds the columns that were asked for to the number of rows.
func (r rows) check(f search.Fields) error {
	whole := len(r.version) == r.n && (!f.Text || len(r.text) == r.n) && (!f.Meta || len(r.meta) == r.n) &&
		(!f.Vector || len(r.kind) == r.n && len(r.sparse) == r.n && len(r.vector) == r.n*r.dims)
	if !whole {
		return fault.New(fault.Unavailable, "the answer lacks fields of some of its %d rows", r.n)
	}
	return nil
}

// point returns row i.
func (r *rows) point(i int, f search.Fields) (search.Point, error) {
	k, err := keyOf(r.pk[i])
	if err != nil {
		return search.Point{}, err
	}
	p := search.Point{Key: k, Version: search.Version(r.version[i])} //nolint:gosec // the bits
	if f.Text {
		p.Text = r.text[i]
	}
	if f.Meta && r.meta[i] != "" {
		from := len(r.bytes)
		r.bytes = append(r.bytes, r.meta[i]...)
		p.Meta = json.RawMessage(r.bytes[from:len(r.bytes):len(r.bytes)])
	}
	if !f.Vector {
		return p, nil
	}
	if r.kind[i] != kindBare {
		p.Dense = append([]float32(nil), r.vector[i*r.dims:(i+1)*r.dims]...)
	}
	p.Sparse, err = unpackSparse(r.sparse[i])
	return p, err
}
