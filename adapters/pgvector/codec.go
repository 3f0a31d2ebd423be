package pgvector

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// floatsCodec writes a []float32 as a real[] in one piece. The driver's own codec makes
// an allocation for each number, which is most of what a write costs it.
type floatsCodec struct{ pgtype.Codec }

// registerFloats prepares a new connection.
func registerFloats(_ context.Context, conn *pgx.Conn) error {
	types := conn.TypeMap()
	if t, ok := types.TypeForOID(pgtype.Float4ArrayOID); ok {
		types.RegisterType(&pgtype.Type{Name: t.Name, OID: t.OID, Codec: floatsCodec{t.Codec}})
	}
	return nil
}

// PlanEncode is the driver's for every value but a []float32 in binary.
func (c floatsCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.([]float32); ok && format == pgtype.BinaryFormatCode {
		return floatsPlan{}
	}
	return c.Codec.PlanEncode(m, oid, format, value)
}

type floatsPlan struct{}

// Encode appends an array of one dimension: how many dimensions, whether there are nulls,
// the type, the length and the first index, then each number with its size. A nil slice is null.
func (floatsPlan) Encode(value any, buf []byte) ([]byte, error) {
	v := value.([]float32) //nolint:errcheck,forcetypeassert // PlanEncode looked
	if v == nil {
		return nil, nil
	}
	for _, x := range []uint32{1, 0, pgtype.Float4OID, uint32(len(v)), 1} { //nolint:gosec // dims are checked
		buf = binary.BigEndian.AppendUint32(buf, x)
	}
	for _, x := range v {
		buf = binary.BigEndian.AppendUint32(buf, 4)
		buf = binary.BigEndian.AppendUint32(buf, math.Float32bits(x))
	}
	return buf, nil
}

// vectorsCodec writes a [][]float32 as a vector[] in the form that vector_recv reads. An
// empty one is null.
type vectorsCodec struct {
	pgtype.ByteaCodec // for all that is never asked of it
	element           uint32
}

// registerVectors makes the type known that pgvector's vectors have in this database.
func registerVectors(ctx context.Context, conn *pgx.Conn) error {
	const name = "_vector"
	if _, ok := conn.TypeMap().TypeForName(name); ok {
		return nil
	}
	var element, list uint32
	if err := conn.QueryRow(ctx, "select 'vector'::regtype::oid, 'vector[]'::regtype::oid").Scan(&element, &list); err != nil {
		return err
	}
	conn.TypeMap().RegisterType(&pgtype.Type{Name: name, OID: list, Codec: vectorsCodec{element: element}})
	return nil
}

// PlanEncode implements pgtype.Codec.
func (c vectorsCodec) PlanEncode(_ *pgtype.Map, _ uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.([][]float32); ok && format == pgtype.BinaryFormatCode {
		return vectorsPlan(c)
	}
	return nil
}

type vectorsPlan vectorsCodec

// Encode appends the array's head and then, for each vector, its size in bytes, its dims and two
// unused bytes, and the numbers.
func (c vectorsPlan) Encode(value any, buf []byte) ([]byte, error) {
	list := value.([][]float32)                                         //nolint:errcheck,forcetypeassert // PlanEncode looked
	for _, x := range []uint32{1, 1, c.element, uint32(len(list)), 1} { //nolint:gosec // as many as a batch has
		buf = binary.BigEndian.AppendUint32(buf, x)
	}
	for _, v := range list {
		if len(v) == 0 {
			buf = binary.BigEndian.AppendUint32(buf, math.MaxUint32) // -1: null
			continue
		}
		buf = binary.BigEndian.AppendUint32(buf, uint32(4+4*len(v))) //nolint:gosec // dims are checked
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(v))<<16) //nolint:gosec // dims are checked
		for _, x := range v {
			buf = binary.BigEndian.AppendUint32(buf, math.Float32bits(x))
		}
	}
	return buf, nil
}
