package scalars

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// Each takes metadata apart as [search.Filter] does and calls visit for every value of
// every path. A value that equals nothing and has no order (an object, a nested array, a
// number out of range) is nil; every other is what search.Value.Any gives. Names that no
// path can reach are left out. Each stops where visit returns false, and reports whether
// it came to the end.
//
// Metadata that is not a JSON object is fault.Invalid.
func Each(meta json.RawMessage, visit func(path string, value any) bool) (bool, error) {
	if len(meta) == 0 {
		return true, nil
	}
	d := json.NewDecoder(bytes.NewReader(meta))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil || object == nil {
		return false, fault.BadField("/meta", "is not a JSON object")
	}
	return walk("", object, visit), nil
}

func walk(path string, object map[string]any, visit func(string, any) bool) bool {
	for name, value := range object {
		if strings.Contains(name, ".") {
			continue // cannot be reached
		}
		values, isArray := value.([]any)
		if !isArray {
			values = []any{value}
		}
		for _, v := range values {
			if v != nil && !visit(path+name, scalar(v)) {
				return false
			}
			if below, ok := v.(map[string]any); ok && !walk(path+name+".", below, visit) {
				return false
			}
		}
	}
	return true
}

// scalar returns a value as search.Value.Any would; nil for what has no such value.
func scalar(value any) any {
	switch value.(type) {
	case string, bool, json.Number:
		if v, err := search.ValueOf(value); err == nil {
			return v.Any()
		}
	}
	return nil
}
