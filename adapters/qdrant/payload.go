package qdrant

import (
	"encoding/json"
	"math"
	"time"

	"github.com/qdrant/go-client/qdrant"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// The fields of a payload; the package's comment says what they hold.
const (
	fieldID      = "id"
	fieldTenant  = "tenant"
	fieldMillis  = "ms"
	fieldSeq     = "seq"
	fieldText    = "text"
	fieldMeta    = "meta"
	fieldTerms   = "terms"
	fieldNum     = "num"
	fieldOrd     = "ord"
	fieldNorm    = "norm"
	fieldWords   = "words"
	fieldDeleted = "deleted"
	fieldAt      = "at"
)

// seqBits is how much of a version is the counter. The parts are kept apart
// because filters on numbers see 53 bits.
const seqBits = 20

func millis(v search.Version) int64 { return int64(v >> seqBits) }
func seq(v search.Version) int64    { return int64(v & (1<<seqBits - 1)) }

// stamp is the payload that points and marks share.
func stamp(k search.Key, v search.Version) map[string]*qdrant.Value {
	return map[string]*qdrant.Value{
		fieldID: qdrant.NewValueString(k.ID), fieldTenant: qdrant.NewValueString(k.Tenant),
		fieldMillis: qdrant.NewValueInt(millis(v)), fieldSeq: qdrant.NewValueInt(seq(v)),
	}
}

// encode makes the point that Qdrant stores.
func (c *collection) encode(p *search.Point) (*qdrant.PointStruct, error) {
	x, err := newIndex(p.Meta)
	if err != nil {
		return nil, fault.BadField("/meta", "is not a JSON object: %v", err)
	}
	payload := stamp(p.Key, p.Version)
	if p.Text != "" {
		payload[fieldText] = qdrant.NewValueString(p.Text)
	}
	if len(p.Meta) > 0 {
		payload[fieldMeta] = qdrant.NewValueString(string(p.Meta))
	}
	x.into(payload)
	vectors := map[string]*qdrant.Vector{}
	if len(p.Dense) > 0 {
		v, length := c.prepared(p.Dense)
		vectors[c.dense] = qdrant.NewVectorDense(v)
		if c.Metric == search.Cosine {
			payload[fieldNorm] = qdrant.NewValueDouble(length)
		}
	}
	if len(p.Sparse.Index) > 0 {
		vectors[sparseVector] = qdrant.NewVectorSparse(p.Sparse.Index, p.Sparse.Value)
		payload[fieldWords] = wordsOf(p.Sparse)
	}
	return &qdrant.PointStruct{Id: c.pointID(p.Key), Payload: payload, Vectors: qdrant.NewVectorsMap(vectors)}, nil
}

// into adds the fields that filters look at.
func (x *index) into(payload map[string]*qdrant.Value) {
	if len(x.terms) > 0 {
		list := make([]*qdrant.Value, len(x.terms))
		for i, t := range x.terms {
			list[i] = qdrant.NewValueString(t)
		}
		payload[fieldTerms] = qdrant.NewValueList(&qdrant.ListValue{Values: list})
	}
	if len(x.num) > 0 {
		payload[fieldNum] = qdrant.NewValueStruct(&qdrant.Struct{Fields: x.num})
	}
	if len(x.ord) > 0 {
		payload[fieldOrd] = qdrant.NewValueList(&qdrant.ListValue{Values: x.ord})
	}
}

// mark makes the point without vectors that a deletion leaves.
func (c *collection) mark(t *search.Tombstone, now time.Time) *qdrant.PointStruct {
	payload := stamp(t.Key, t.Version)
	payload[fieldDeleted] = qdrant.NewValueBool(true)
	payload[fieldAt] = qdrant.NewValueInt(now.UnixMilli())
	return &qdrant.PointStruct{Id: c.pointID(t.Key), Payload: payload, Vectors: qdrant.NewVectorsMap(map[string]*qdrant.Vector{})}
}

// prepared is a vector as it is sent. In cosine collections it is one of length 1, and comes
// with the length that it had: Qdrant itself would leave one shorter than 0.0003 as it is and
// rank it by the inner product, and take the length of a very long one for infinite.
func (c *collection) prepared(v []float32) (sent []float32, length float64) {
	if c.Metric != search.Cosine {
		return v, 0
	}
	length = norm(v)
	if length == 0 {
		return v, 0
	}
	sent = make([]float32, len(v))
	for i, x := range v {
		sent[i] = float32(float64(x) / length)
	}
	return sent, length
}

func norm(v []float32) float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

// wanted selects the payload that a reader of f needs.
func (c *collection) wanted(f search.Fields) *qdrant.WithPayloadSelector {
	if x := c.external; x != nil {
		return qdrant.NewWithPayload(f.Text || f.Meta || x.ID != "")
	}
	names := []string{fieldID, fieldTenant, fieldMillis, fieldSeq, fieldDeleted}
	if f.Text {
		names = append(names, fieldText)
	}
	if f.Meta {
		names = append(names, fieldMeta)
	}
	if f.Vector && c.Metric == search.Cosine {
		names = append(names, fieldNorm)
	}
	return qdrant.NewWithPayloadInclude(names...)
}

// stored is a point as Qdrant returns it, from a query or by id.
type stored interface {
	GetId() *qdrant.PointId
	GetPayload() map[string]*qdrant.Value
	GetVectors() *qdrant.VectorsOutput
}

func keyOf(payload map[string]*qdrant.Value) search.Key {
	return search.Key{Tenant: payload[fieldTenant].GetStringValue(), ID: payload[fieldID].GetStringValue()}
}

func versionOf(payload map[string]*qdrant.Value) search.Version {
	return search.Version(payload[fieldMillis].GetIntegerValue())<<seqBits | search.Version(payload[fieldSeq].GetIntegerValue())
}

// keyOf is the key of a stored point.
func (c *collection) keyOf(p stored) search.Key {
	if c.external != nil {
		return c.external.point(p, search.Fields{}).Key
	}
	return keyOf(p.GetPayload())
}

func isMark(payload map[string]*qdrant.Value) bool { return payload[fieldDeleted].GetBoolValue() }

// decode reads a point with the fields that were asked for.
func (c *collection) decode(from stored, f search.Fields) search.Point {
	payload := from.GetPayload()
	if c.external != nil {
		p := c.external.point(from, f)
		if f.Vector {
			c.vectors(&p, from.GetVectors(), nil)
		}
		return p
	}
	p := search.Point{Key: keyOf(payload), Version: versionOf(payload)}
	if f.Text {
		p.Text = payload[fieldText].GetStringValue()
	}
	if meta := payload[fieldMeta].GetStringValue(); f.Meta && meta != "" {
		p.Meta = json.RawMessage(meta)
	}
	if f.Vector {
		c.vectors(&p, from.GetVectors(), payload[fieldNorm])
	}
	return p
}

// vectors fills in the vectors of p. A normalised one gets its length back.
func (c *collection) vectors(p *search.Point, out *qdrant.VectorsOutput, length *qdrant.Value) {
	named := out.GetVectors().GetVectors()
	v := named[c.dense]
	if c.dense == "" {
		v = out.GetVector()
	}
	if dense := denseOf(v); len(dense) > 0 {
		if n := length.GetDoubleValue(); n > 0 {
			for i := range dense {
				dense[i] = float32(float64(dense[i]) * n)
			}
		}
		p.Dense = dense
	}
	if v := named[sparseVector]; v != nil && c.external == nil {
		p.Sparse = sparseOf(v)
	}
}

// denseOf reads the current form and the one that older servers send.
func denseOf(v *qdrant.VectorOutput) []float32 {
	if d := v.GetDense(); d != nil {
		return d.GetData()
	}
	return v.GetData() //nolint:staticcheck // deprecated, but what servers before 1.16 send
}

func sparseOf(v *qdrant.VectorOutput) search.Sparse {
	if s := v.GetSparse(); s != nil {
		return search.Sparse{Index: s.GetIndices(), Value: s.GetValues()}
	}
	return search.Sparse{Index: v.GetIndices().GetData(), Value: v.GetData()} //nolint:staticcheck // see denseOf
}
