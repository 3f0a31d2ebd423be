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
