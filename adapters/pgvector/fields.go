package pgvector

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// deepest is the most names that the path of a filter has.
const deepest = 100

// fieldsOf returns the form of the metadata that filters look at: an object from each
// path to the list of the values there, as package search takes them apart.
//
//	{"a": [1.0, "x"], "b": {"c": true}}  →  {"a": [1, "x"], "b": [{}], "b.c": [true]}
//
// Numbers are rounded as a filter reads them; what has no value to compare (an object,
// a nested array, a number out of range) is {}; names that no path can reach are left out.
// Metadata that gives more than 16 MiB of it is fault.Invalid.
func fieldsOf(meta json.RawMessage) ([]byte, error) {
	if len(meta) == 0 {
		return []byte("{}"), nil
	}
	d := json.NewDecoder(bytes.NewReader(meta))
	d.UseNumber()
	var document map[string]any
	if err := d.Decode(&document); err != nil {
		return nil, fault.BadField("/meta", "is not a JSON object")
	}
	f := fields{values: map[string][]any{}}
	f.object("", document, 1)
	if f.size > largestMeta {
		return nil, errTooManyFields()
	}
	packed, err := json.Marshal(f.values)
	if err != nil {
		return nil, fault.BadField("/meta", "is not a JSON object")
	}
	if len(packed) > largestMeta {
		return nil, errTooManyFields()
	}
	return packed, nil
}

func errTooManyFields() error {
	return fault.BadField("/meta", "its paths and values need more than %d MiB to be filtered by", largestMeta>>20)
}

// fields collects the values of each path.
type fields struct {
	values map[string][]any
	size   int // about, in bytes; the walk ends where it is too much
}

func (f *fields) object(prefix string, members map[string]any, depth int) {
	for name, value := range members {
		if name == "" || strings.Contains(name, ".") || depth > deepest || f.size > largestMeta {
			continue
		}
		f.member(prefix+escapeText(name), value, depth)
	}
}

// member adds what stands at a path: an array stands for its elements.
func (f *fields) member(path string, value any, depth int) {
	if list, ok := value.([]any); ok {
		for _, element := range list {
			f.one(path, element, depth)
		}
		return
	}
	f.one(path, value, depth)
}

func (f *fields) one(path string, value any, depth int) {
	if value == nil {
		return
	}
	f.size += len(path)
	if members, ok := value.(map[string]any); ok {
		f.object(path+".", members, depth+1)
	}
	f.values[path] = append(f.values[path], plain(value))
}

// opaque stands for a value that equals nothing and has no order.
func opaque() any { return struct{}{} }

// plain returns a scalar as it is stored and compared.
func plain(value any) any {
	switch value := value.(type) {
	case string:
		return escapeText(value)
	case bool:
		return value
	case json.Number:
		if v, err := search.ValueOf(value); err == nil {
			return v
		}
	}
	return opaque()
}

// escapeText takes the NUL out of a text, which PostgreSQL cannot hold. Different
// texts stay different, and their bytewise order stays as it is: the two bytes that NUL and
// 1 become begin with 1.
func escapeText(s string) string {
	if !strings.ContainsAny(s, "\x00\x01") {
		return s
	}
	return strings.NewReplacer("\x00", "\x01\x01", "\x01", "\x01\x02").Replace(s)
}
