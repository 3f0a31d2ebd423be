package search

import (
	"encoding/json"
	"strings"
)

// Scalar returns the string, number or boolean at a dotted path of a point's metadata. It reports false
// where there is none: nothing at the path, null, an object or an array.
func Scalar(meta json.RawMessage, path string) (Value, bool) {
	raw := []byte(meta)
	for deeper := true; deeper; {
		var name string
		name, path, deeper = strings.Cut(path, ".")
		if raw = member(object(raw), name); len(raw) == 0 {
			return Value{}, false
		}
	}
	v, err := parseValue(raw)
	return v, err == nil && v.kind != null
}
