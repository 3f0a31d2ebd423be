package weaviate

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"time"

	pb "github.com/weaviate/weaviate/grpc/generated/protocol/v1"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// fence is the object that keeps the epoch of a collection. It has neither key nor term,
// so no query meets it.
func fence(c *class, epoch uint64) (*pb.BatchObject, int) {
	return object(c, fenceID, map[string]*structpb.Value{
		fenceProperty: structpb.NewStringValue(strconv.FormatUint(epoch, 10)), fencedProperty: structpb.NewNumberValue(1),
	}), len(fenceID)
}

// flushed is an object that follows every write. Weaviate writes the log of the vectors out
// only with the next batch: killed before that, it has the objects and their digests, and
// searches without the last vectors for ever after (1.35, seen with SIGKILL). As the mark of a
// deletion it is no point, and it has no vector itself.
func flushed(c *class) (*pb.BatchObject, int) {
	return object(c, flushID, map[string]*structpb.Value{markProperty: structpb.NewNumberValue(float64(time.Now().Unix()))}), len(flushID)
}

func object(c *class, id string, values map[string]*structpb.Value) *pb.BatchObject {
	return &pb.BatchObject{
		Uuid: id, Collection: c.engine,
		Properties: &pb.BatchObject_Properties{NonRefProperties: &structpb.Struct{Fields: values}},
	}
}

// object is what a change stores, and about how many bytes it takes: a point, or the mark
// of a deletion, which has neither key nor term.
func (ch *change) object(c *class, id string) (*pb.BatchObject, int) {
	values := make(map[string]*structpb.Value, 10)
	values[highProperty] = structpb.NewNumberValue(float64(ch.version >> 32))
	values[lowProperty] = structpb.NewNumberValue(float64(ch.version & math.MaxUint32))
	p := ch.point
	if p == nil {
		values[markProperty] = structpb.NewNumberValue(float64(time.Now().Unix()))
		return object(c, id, values), len(id)
	}
	values[keyProperty] = structpb.NewStringValue(keyText(p.Key))
	for name, s := range map[string]string{textProperty: p.Text, metaProperty: string(p.Meta), sparseProperty: packSparse(p.Sparse)} {
		if s != "" {
			values[name] = structpb.NewStringValue(s)
		}
	}
	if sum := search.Digest(p.Key, p.Version); c.digest {
		for i := range digits {
			values[digitName(i)] = structpb.NewNumberValue(float64(digit(sum, i)))
		}
	}
	o := object(c, id, values)
	o.Properties.TextArrayProperties = ch.indexed.arrays(c)
	if len(p.Dense) > 0 {
		o.VectorBytes = make([]byte, 0, 4*len(p.Dense))
		for _, x := range p.Dense {
			o.VectorBytes = binary.LittleEndian.AppendUint32(o.VectorBytes, math.Float32bits(x))
		}
	}
	return o, ch.size(o)
}

// arrays are the properties that filters look at.
func (x *indexed) arrays(c *class) []*pb.TextArrayProperties {
	list := make([]*pb.TextArrayProperties, 0, 1+len(x.orders))
	terms := x.terms
	for name, o := range x.orders {
		if c.orders[name] {
			list = append(list, &pb.TextArrayProperties{PropName: name, Values: o.values})
		} else {
			terms = append(terms, o.terms...)
		}
	}
	return append(list, &pb.TextArrayProperties{PropName: termsProperty, Values: terms})
}

func (ch *change) size(o *pb.BatchObject) int {
	p := ch.point
	return len(o.VectorBytes) + len(p.Text) + len(p.Meta) + 11*len(p.Sparse.Index) + 2*len(p.ID) + 2*len(p.Tenant) + 35*len(ch.indexed.terms) + 300
}

// classOfObject reads why the server refused one object of a batch.
func classOfObject(text string) fault.Class {
	if text = strings.ToLower(text); strings.Contains(text, "wrong size") || strings.Contains(text, "dimension") {
		return fault.Invalid
	}
	return classOfText(text)
}
