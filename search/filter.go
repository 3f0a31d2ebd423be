package search

import "encoding/json"

// Op is the operation of a [Filter].
type Op string

// The operations of a filter.
const (
	Eq     Op = "$eq"
	Ne     Op = "$ne"
	Gt     Op = "$gt"
	Gte    Op = "$gte"
	Lt     Op = "$lt"
	Lte    Op = "$lte"
	In     Op = "$in"
	Nin    Op = "$nin"
	Exists Op = "$exists"
	And    Op = "$and"
	Or     Op = "$or"
	Not    Op = "$not"
)

// Filter is a condition on a point's metadata. The zero Filter matches every point.
type Filter struct {
	Op     Op
	Field  string   // dotted path, for every operation but And, Or and Not
	Values []Value  // one, or several for In and Nin
	Terms  []Filter // of And and Or; one for Not
}

// Value is a JSON scalar in a filter.
type Value struct{ raw json.RawMessage }

// Match reports whether a point with this metadata passes.
func (f Filter) Match(meta json.RawMessage) bool { return f.Op == "" }
