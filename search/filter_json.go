package search

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// MarshalJSON returns the filter in the form that [ParseFilter] reads back to an
// equal Filter. The zero Filter is {}.
func (f Filter) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	if err := f.write(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// UnmarshalJSON is [ParseFilter].
func (f *Filter) UnmarshalJSON(data []byte) error {
	parsed, err := ParseFilter(data)
	*f = parsed
	return err
}

func (f *Filter) write(b *bytes.Buffer) error {
	switch f.Op {
	case "":
		b.WriteString("{}")
		return nil
	case And, Or:
		return f.writeTerms(b)
	case Not:
		if len(f.Terms) != 1 {
			return fmt.Errorf("filter %s with %d terms", f.Op, len(f.Terms))
		}
		b.WriteString(`{"$not":`)
		err := f.Terms[0].write(b)
		b.WriteByte('}')
		return err
	default:
		return f.writeField(b)
	}
}

func (f *Filter) writeTerms(b *bytes.Buffer) error {
	fmt.Fprintf(b, `{"%s":[`, f.Op)
	for i := range f.Terms {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := f.Terms[i].write(b); err != nil {
			return err
		}
	}
	b.WriteString("]}")
	return nil
}

// writeField writes {"field":{"$op":value}}.
func (f *Filter) writeField(b *bytes.Buffer) error {
	var operand any = f.Values
	switch {
	case f.Op == In || f.Op == Nin:
		if f.Values == nil {
			operand = []Value{}
		}
	case len(f.Values) != 1:
		return fmt.Errorf("filter %s on %q with %d values", f.Op, f.Field, len(f.Values))
	default:
		operand = f.Values[0]
	}
	field, err := json.Marshal(f.Field)
	if err != nil {
		return fmt.Errorf("filter field: %w", err)
	}
	value, err := json.Marshal(operand)
	if err != nil {
		return fmt.Errorf("filter value: %w", err)
	}
	fmt.Fprintf(b, `{%s:{"%s":%s}}`, field, f.Op, value)
	return nil
}
