package local

import (
	"strings"

	"github.com/lanewise/lanewise/search"
)

// verdict is the answer of a condition that may not know.
type verdict int8

const (
	unasked verdict = iota
	no
	yes
	unsure
)

// judge answers a filter from the columns, as far as they go. It is not safe for
// concurrent use: it remembers what it found out about each value.
type judge struct {
	op     search.Op
	terms  []*judge
	filter search.Filter // of a condition on a field
	dict   *dictionary   // of that field; nil: it has no column
	column int
	known  []verdict // by number of the value
}

// newJudge returns the judge of a filter.
func newJudge(f search.Filter, cols columns) *judge {
	j := &judge{op: f.Op, filter: f}
	switch f.Op {
	case search.And, search.Or, search.Not:
		for _, t := range f.Terms {
			j.terms = append(j.terms, newJudge(t, cols))
		}
	default:
		name, _, _ := strings.Cut(f.Field, ".")
		if j.column = cols.find(name); j.column >= 0 {
			j.dict = cols[j.column]
		}
	}
	return j
}

// decides reports whether the columns alone answer the filter, save for values
// that did not fit into a dictionary.
func (j *judge) decides() bool {
	for _, t := range j.terms {
		if !t.decides() {
			return false
		}
	}
	return len(j.terms) > 0 || j.dict != nil
}

// ask answers for one row.
func (j *judge) ask(c *chunk, row int) verdict {
	switch j.op {
	case search.And:
		return j.combine(c, row, no)
	case search.Or:
		return j.combine(c, row, yes)
	case search.Not:
		if len(j.terms) != 1 {
			return no // as Filter.Match has it
		}
		return j.terms[0].ask(c, row).not()
	default:
		return j.field(c, row)
	}
}

// field answers a condition on a field.
func (j *judge) field(c *chunk, row int) verdict {
	if j.dict == nil {
		return unsure
	}
	n := c.columns[j.column][row]
	if n == valueUnknown {
		return unsure
	}
	if int(n) >= len(j.known) {
		j.known = append(j.known, make([]verdict, int(n)+1-len(j.known))...)
	}
	if j.known[n] == unasked {
		j.known[n] = no
		if j.filter.Match(j.dict.document(n)) {
			j.known[n] = yes
		}
	}
	return j.known[n]
}

// combine answers And and Or: one term that says decisive settles it.
func (j *judge) combine(c *chunk, row int, decisive verdict) verdict {
	out := decisive.not()
	for _, t := range j.terms {
		v := t.ask(c, row)
		if v == decisive {
			return v
		}
		if v == unsure {
			out = v
		}
	}
	return out
}

func (v verdict) not() verdict {
	switch v {
	case yes:
		return no
	case no:
		return yes
	default:
		return v
	}
}
