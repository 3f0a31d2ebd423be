package shardmap

import (
	"encoding/json"

	"github.com/cespare/xxhash/v2"

	"github.com/lanewise/lanewise/search"
)

// fieldHash hashes the scalar at a dotted path of a point's metadata. It reports false where
// there is none. Equal values have one hash: 1 and 1.0 are one place, "1" another.
func fieldHash(meta json.RawMessage, path string) (uint64, bool) {
	v, ok := search.Scalar(meta, path)
	if !ok {
		return 0, false
	}
	text, err := v.MarshalJSON() // canonical
	return xxhash.Sum64(text), err == nil
}
