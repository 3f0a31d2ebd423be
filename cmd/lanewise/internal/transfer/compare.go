package transfer

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"

	"github.com/lanewise/lanewise/internal/corpus"
)

// Compare says how a document that was copied differs from its original; nil: not at
// all. Vectors are compared up to their length and to rounding, because engines store those of a
// cosine collection at length 1.
func Compare(original, copied corpus.Document) error {
	switch {
	case original.Text != "" && original.Text != copied.Text:
		return fmt.Errorf("%q: the text differs", original.ID)
	case len(original.Vector) > 0 && len(original.Vector) != len(copied.Vector):
		return fmt.Errorf("%q: the vector has %d dims and not %d", original.ID, len(copied.Vector), len(original.Vector))
	case len(original.Vector) > 0 && !parallel(original.Vector, copied.Vector):
		return fmt.Errorf("%q: the vector points elsewhere", original.ID)
	case !sameJSON(original.Meta, copied.Meta):
		return fmt.Errorf("%q: the metadata differs", original.ID)
	}
	return nil
}

// parallel reports whether two vectors point the same way: the angle between them is
// below 1e-4.
func parallel(a, b []float32) bool {
	var dot, aa, bb float64
	for i := range a {
		dot += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	if aa == 0 || bb == 0 {
		return aa == bb
	}
	var off float64 // of the vectors at length 1
	for i := range a {
		d := float64(a[i])/math.Sqrt(aa) - float64(b[i])/math.Sqrt(bb)
		off += d * d
	}
	return dot > 0 && off < 1e-8
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	if len(a) > 0 && json.Unmarshal(a, &x) != nil || len(b) > 0 && json.Unmarshal(b, &y) != nil {
		return false
	}
	if x == nil || y == nil { // no metadata is the same as an empty object
		return empty(x) && empty(y)
	}
	return reflect.DeepEqual(x, y)
}

func empty(v any) bool {
	members, ok := v.(map[string]any)
	return v == nil || ok && len(members) == 0
}
