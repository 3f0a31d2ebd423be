package shardmap

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/tidwall/gjson"
)

// fieldHash hashes the scalar at a dotted path of a point's metadata. It reports false where
// there is none. Numbers hash by value, so 1 and 1.0 are one place; a string
// never shares a place with a number on purpose.
func fieldHash(meta json.RawMessage, path string) (uint64, bool) {
	v := gjson.ParseBytes(meta)
	for step := range strings.SplitSeq(path, ".") {
		if !v.IsObject() {
			return 0, false
		}
		v = v.Get(gjson.Escape(step))
	}
	switch v.Type {
	case gjson.String:
		return xxhash.Sum64String("s" + v.Str), true
	case gjson.Number:
		return xxhash.Sum64String("n" + number(v)), true
	case gjson.True, gjson.False:
		return xxhash.Sum64String("b" + v.Raw), true
	default:
		return 0, false
	}
}

// number renders a JSON number by its value: whole numbers of 64 bits exactly, all
// others as the nearest float64.
func number(v gjson.Result) string {
	if n, err := strconv.ParseInt(v.Raw, 10, 64); err == nil {
		return strconv.FormatInt(n, 10)
	}
	return strconv.FormatFloat(v.Num, 'f', -1, 64)
}
