package shardmap

import (
	"bytes"
	"maps"
	"slices"

	"github.com/lanewise/lanewise/fault"
)

// Canary returns the vector that a canary text had in an embedding space when the
// first collection of that space was made, or nil where none was kept. A model
// that changes behind its name gives another.
func (m *Map) Canary(space string) []float32 { return slices.Clone(m.canaries[space]) }

// WithCanary returns a copy of the map that keeps the vector of the canary text in
// a space, as long as there is a collection of that space. One that is kept already
// stays. The epoch stays, too: the canary says nothing about where a point is.
//
// A space that no collection is of is fault.NotFound.
func (m *Map) WithCanary(space string, vector []float32) (*Map, error) {
	switch {
	case !m.has(space):
		return nil, fault.New(fault.NotFound, "no collection is of space %q", space)
	case m.canaries[space] != nil:
		return m, nil
	}
	next := *m
	next.canaries = maps.Clone(m.canaries)
	if next.canaries == nil {
		next.canaries = map[string][]float32{}
	}
	next.canaries[space] = slices.Clone(vector)
	return &next, nil
}

// has reports whether a collection is of a space.
func (m *Map) has(space string) bool {
	for _, p := range m.collections {
		if space != "" && p.descriptor.Space == space {
			return true
		}
	}
	return false
}

// differsInCanaries reports whether m differs from other, and in its canaries alone.
func (m *Map) differsInCanaries(other *Map) bool {
	a, b := *m, *other
	a.canaries, b.canaries = nil, nil
	bare, err := a.Encode()
	same, errOther := b.Encode()
	return err == nil && errOther == nil && bytes.Equal(bare, same) && !maps.EqualFunc(m.canaries, other.canaries, slices.Equal)
}
