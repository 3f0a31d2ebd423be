package search

import (
	"slices"
	"strconv"

	"github.com/lanewise/lanewise/fault"
)

// Capabilities is what a store can do, and up to which size. A limit of 0 means that
// there is none but memory and time.
//
// A store declares it with a method Capabilities() Capabilities, whose answer does not
// change while the store is open, and asks nobody. What single collections restrict
// further, such as the fields of one that the engine had before, their errors say.
type Capabilities struct {
	Engine string // such as "qdrant"; names the store in errors and tables

	Prefix   bool // its exact lists state by List.Prefix that a longer one begins with them
	Versions bool // writes carry a condition: an older version never overwrites a newer one, whoever writes and whenever it arrives
	Sparse   bool // ranks lexical legs over a whole collection; without it at most those that name their points (Leg.Only)
	Exact    bool // answers Leg.Exact
	ReadOnly bool // refuses all writes

	// LacksOps are the operations of a filter that it cannot answer. All others it
	// answers inside the engine, exactly as Filter.Match does.
	LacksOps []Op

	MaxK      int // rows of a list
	MaxDims   int // of a dense vector
	MaxID     int // bytes of tenant and id together
	MaxText   int // bytes of a text
	MaxMeta   int // bytes of metadata
	MaxOrder  int // bytes of a text that $gt, $gte, $lt and $lte compare with
	MaxNested int // conditions inside each other in a filter
}

// Check refuses, as fault.Invalid with the field, what the store cannot answer of a
// query. Lexical legs pass: to go without a ranking is the asker's decision.
func (c Capabilities) Check(q Query) error {
	for i, leg := range q.Legs {
		at := "/legs/" + strconv.Itoa(i)
		switch {
		case c.MaxK > 0 && leg.K > c.MaxK:
			return fault.BadField(at+"/k", "is %d, %s gives at most %d rows", leg.K, c.Engine, c.MaxK)
		case leg.Exact && !c.Exact:
			return fault.BadField(at+"/exact", "%s only has an approximate index here", c.Engine)
		}
	}
	return c.CheckFilter(q.Filter)
}

// CheckPoint refuses, as fault.Invalid with the field, a point that is over the store's limits.
func (c Capabilities) CheckPoint(p Point) error {
	for _, part := range []struct {
		field      string
		have, most int
	}{
		{"/id", len(p.Tenant) + len(p.ID), c.MaxID}, {"/text", len(p.Text), c.MaxText}, {"/metadata", len(p.Meta), c.MaxMeta},
	} {
		if part.most > 0 && part.have > part.most {
			return fault.BadField(part.field, "has %d bytes, %s takes at most %d", part.have, c.Engine, part.most)
		}
	}
	return nil
}

// CheckFilter is the part of Check that looks at a filter.
func (c Capabilities) CheckFilter(f Filter) error {
	if f.IsZero() {
		return nil
	}
	return c.condition(&f, 1)
}

func (c Capabilities) condition(f *Filter, depth int) error {
	switch {
	case slices.Contains(c.LacksOps, f.Op):
		return fault.BadField("/filter", "%s cannot answer %s", c.Engine, f.Op)
	case c.MaxNested > 0 && depth > c.MaxNested:
		return fault.BadField("/filter", "nests conditions deeper than %d, which %s cannot answer", c.MaxNested, c.Engine)
	case c.MaxOrder > 0 && f.orders() && f.longest() > c.MaxOrder:
		return fault.BadField("/filter", "orders %q by a text of %d bytes, %s compares %d", f.Field, f.longest(), c.Engine, c.MaxOrder)
	}
	for i := range f.Terms {
		if err := c.condition(&f.Terms[i], depth+1); err != nil {
			return err
		}
	}
	return nil
}

// orders reports whether f compares by order.
func (f *Filter) orders() bool {
	return f.Op == Gt || f.Op == Gte || f.Op == Lt || f.Op == Lte
}

// longest is the length of the longest text in the operands.
func (f *Filter) longest() int {
	most := 0
	for i := range f.Values {
		most = max(most, len(f.Values[i].text))
	}
	return most
}
