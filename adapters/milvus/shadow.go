package milvus

import (
	"encoding/json"
	"strings"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/scalars"
)

// entry is what the filter field keeps of the values at one path. Where there is
// one short value it stands in One; else all of them in Many, with the least and
// the greatest of each type that has an order.
type entry struct {
	Any  int      `json:"x"`            // 1: there is a value, of whatever type
	One  string   `json:"v,omitempty"`  //
	Many []string `json:"m,omitempty"`  // tokens for equality
	MinN string   `json:"n0,omitempty"` // tokens for order
	MaxN string   `json:"n1,omitempty"`
	MinS string   `json:"s0,omitempty"`
	MaxS string   `json:"s1,omitempty"`
}

// shadow collects the entries of one point's metadata.
type shadow struct {
	entries map[string]*entry
	left    int // bytes of the field that may still be used
}

// shadowOf returns the filter field of a point: every field's values, as
// search.Filter defines them.
func shadowOf(meta json.RawMessage) ([]byte, error) {
	s := shadow{entries: map[string]*entry{}, left: maxBytes}
	whole, err := scalars.Each(meta, s.add)
	if err != nil {
		return nil, err
	}
	if !whole {
		return nil, errTooMany()
	}
	out, err := json.Marshal(s.entries)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "metadata as a filter field", err)
	}
	if len(out) > maxBytes {
		return nil, errTooMany()
	}
	return out, nil
}

func errTooMany() error {
	return fault.BadField("/meta", "has too many or too long fields: with what filters need of them they take over %d bytes", maxBytes)
}

// add takes a value in; false where the space is used up.
func (s *shadow) add(path string, value any) bool {
	name := member(path)
	e := s.entries[name]
	if e == nil {
		e = &entry{Any: 1}
		s.entries[name] = e
		s.left -= len(name)
	}
	if value != nil {
		s.left -= e.add(value)
	}
	return s.left >= 0
}

// add takes a value in and returns about how many bytes it needs.
func (e *entry) add(x any) int {
	equal, _ := scalars.Equal(x)
	order, ordered := scalars.Order(x)
	if e.One == "" && e.Many == nil && (!ordered || order == equal) {
		e.One = equal
		return len(equal)
	}
	if first := e.One; first != "" {
		e.One = ""
		e.Many = append(e.Many, first)
		if isOrdered(first) {
			e.extend(first)
		}
	}
	e.Many = append(e.Many, equal)
	if ordered {
		e.extend(order)
	}
	return len(equal)
}

func isOrdered(token string) bool {
	return strings.HasPrefix(token, scalars.Number) || strings.HasPrefix(token, scalars.Text)
}

// extend takes an order token into the least and the greatest of its type.
func (e *entry) extend(token string) {
	low, high := &e.MinS, &e.MaxS
	if strings.HasPrefix(token, scalars.Number) {
		low, high = &e.MinN, &e.MaxN
	}
	if *low == "" || token < *low {
		*low = token
	}
	*high = max(*high, token)
}

// member is a path as a name in the filter field: letters, digits, '_' and '.' stay,
// everything else is written in hexadecimal, so that no engine has its own idea of
// quotes, slashes or tildes in a path.
func member(path string) string {
	const digits = "0123456789abcdef"
	plain := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.'
	}
	out := []byte{'.'} // never empty, and no number
	for i := range len(path) {
		if plain(path[i]) {
			out = append(out, path[i])
			continue
		}
		out = append(out, '-', digits[path[i]>>4], digits[path[i]&15])
	}
	return string(out)
}
