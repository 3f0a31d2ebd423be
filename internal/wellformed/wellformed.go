// Package wellformed holds the checks of a point's parts that every adapter makes
// alike. Errors are fault.Invalid and name the part by its JSON pointer.
package wellformed

import (
	"encoding/json"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// Dense checks the length of a vector and that its numbers are finite.
func Dense(at string, dims int, v []float32) error {
	if len(v) != dims {
		return fault.BadField(at, "has %d dims, the collection has %d", len(v), dims)
	}
	return finite(at, v)
}

// Sparse checks that a sparse vector has a finite value for each of its rising indices.
func Sparse(at string, v search.Sparse) error {
	if len(v.Index) != len(v.Value) {
		return fault.BadField(at, "has %d indices and %d values", len(v.Index), len(v.Value))
	}
	for i := 1; i < len(v.Index); i++ {
		if v.Index[i] <= v.Index[i-1] {
			return fault.BadField(fmt.Sprintf("%s/index/%d", at, i), "is not greater than the one before")
		}
	}
	return finite(at+"/value", v.Value)
}

func finite(at string, v []float32) error {
	for i, x := range v {
		if math.Float32bits(x)&0x7f800000 == 0x7f800000 { // the exponent of NaN and infinity
			return fault.BadField(fmt.Sprintf("%s/%d", at, i), "is not a finite number")
		}
	}
	return nil
}

// Object reports whether metadata is a JSON object in valid UTF-8.
func Object(meta json.RawMessage) bool {
	for _, c := range meta {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c == '{' && json.Valid(meta) && utf8.Valid(meta)
		}
	}
	return false
}
