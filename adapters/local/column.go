package local

import (
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"
)

// The index on metadata is one column for each indexed field: for every row, the
// number of the field's value in a dictionary. A condition on the field is then
// asked once for each distinct value, by search.Filter.Match itself, and no row's
// document has to be read. A column holds what stands under the first name of the
// field's path, whole, so that it answers exactly what the document would.

// The numbers of values that are none.
const (
	valueMissing = 0         // the metadata has no such name
	valueUnknown = 1<<32 - 1 // not in the dictionary, which is full: read the document
)

// mostValues bounds a dictionary: above it an index is no cheaper than a scan.
const mostValues = 1 << 16

// dictionary numbers the distinct values of a field, as JSON. It only grows; a
// number keeps its meaning. Whoever holds the turn adds, anybody reads.
type dictionary struct {
	field   string // first name of the indexed path
	numbers map[string]uint32
	values  atomic.Pointer[[]string]
}

// columns are the indexed fields of a collection.
type columns []*dictionary

func newColumns(fields []string) columns {
	var cols columns
	for _, f := range fields {
		name, _, _ := strings.Cut(f, ".")
		if cols.find(name) < 0 {
			d := &dictionary{field: name, numbers: map[string]uint32{"": valueMissing}}
			d.values.Store(&[]string{""})
			cols = append(cols, d)
		}
	}
	return cols
}

// find returns the column of a name, or -1.
func (c columns) find(name string) int {
	return slices.IndexFunc(c, func(d *dictionary) bool { return d.field == name })
}

// number returns the values of a point's metadata in every column.
func (c columns) number(meta json.RawMessage) []uint32 {
	if len(c) == 0 {
		return nil
	}
	numbers := make([]uint32, len(c))
	if len(meta) == 0 {
		return numbers
	}
	var members map[string]json.RawMessage // the last one of a name counts, as in a Filter
	if err := json.Unmarshal(meta, &members); err != nil {
		return numbers // it is no object, so it has no fields
	}
	for i, d := range c {
		numbers[i] = d.add(members[d.field])
	}
	return numbers
}

// index notes the values of a row.
func (c *chunk) index(row int, numbers []uint32) {
	for i, n := range numbers {
		c.columns[i][row] = n
	}
}

// add returns the number of a value.
func (d *dictionary) add(value json.RawMessage) uint32 {
	if n, ok := d.numbers[string(value)]; ok {
		return n
	}
	old := *d.values.Load()
	if len(old) >= mostValues {
		return valueUnknown
	}
	n := uint32(len(old))               //nolint:gosec // at most mostValues
	grown := append(old, string(value)) //nolint:gocritic // readers see their own length
	d.numbers[grown[n]] = n
	d.values.Store(&grown)
	return n
}

// document returns metadata that has this value and nothing else.
func (d *dictionary) document(n uint32) json.RawMessage {
	value := (*d.values.Load())[n]
	if value == "" {
		return nil
	}
	name, _ := json.Marshal(d.field) // a string never fails
	return slices.Concat([]byte("{"), name, []byte(":"), []byte(value), []byte("}"))
}
