package weaviate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/scalars"
	"github.com/lanewise/lanewise/internal/wellformed"
	"github.com/lanewise/lanewise/search"
)

// A term is what a property of a point keeps for filters: a hash of the tenant, or of a
// value that no property of its own keeps, with its field. Weaviate compares terms for
// equality only. That a term is a hash keeps long values short, and
// keeps Weaviate from cutting white space off them.
func term(kind, path, token string) string {
	sum := sha256.Sum256([]byte(kind + strconv.Itoa(len(path)) + ":" + path + token))
	return hex.EncodeToString(sum[:termLength/2])
}

const termLength = 32

// The kinds of term.
const (
	valueTerm  = "v"
	existsTerm = "x"
	tenantTerm = "t"
	never      = "never" // is no hash
)

// orderName is the property that keeps the numbers of a field, or its texts: apart, because
// a comparison by order has no other end.
func orderName(path, token string) string {
	sum := sha256.Sum256([]byte(path))
	return token[:1] + hex.EncodeToString(sum[:16])
}

// isWhole reports whether a property as named by orderName tells a value from every other. It
// keeps the beginnings of long texts only.
func isWhole(value any) bool {
	text, isText := value.(string)
	return !isText || len(text) <= scalars.MostOrdered
}

// orderText is a token of order as a property keeps it.
func orderText(token string) string {
	if token[:1] == scalars.Text { // hexadecimal for the reasons of keyText
		return scalars.Text + hex.EncodeToString([]byte(token[1:]))
	}
	return token
}

// indexed is what filters need of a point's metadata.
type indexed struct {
	terms  []string
	orders map[string]*ordered // by property
	seen   map[string]bool     // terms
	left   int                 // bytes that may still be used
}

// ordered are the values of a field that have an order.
type ordered struct {
	path   string
	values []string
	equals []string // tokens of the same
}

// terms find the values, but for order, where the class has no such property.
func (o *ordered) terms() []string {
	all := []string{term(existsTerm, o.path, "")}
	for _, equal := range o.equals {
		all = append(all, term(valueTerm, o.path, equal))
	}
	return all
}

// index takes metadata apart.
func index(p *search.Point) (indexed, error) {
	x := indexed{seen: map[string]bool{}, left: 2 * largestMeta}
	whole, err := scalars.Each(p.Meta, func(path string, value any) bool {
		x.value(path, value)
		return x.left >= 0
	})
	if err == nil && !whole {
		err = fault.BadField("/meta", "has too many fields and values to be filtered by: they take over %d MiB", 2*largestMeta>>20)
	}
	return x, err
}

func (x *indexed) add(term string) {
	if !x.seen[term] {
		x.seen[term] = true
		x.terms = append(x.terms, term)
		x.left -= len(term)
	}
}

func (x *indexed) value(path string, value any) {
	equal, hasEqual := scalars.Equal(value)
	token, hasOrder := scalars.Order(value)
	if !hasOrder {
		x.add(term(existsTerm, path, ""))
	}
	if hasEqual && (!hasOrder || !isWhole(value)) {
		x.add(term(valueTerm, path, equal))
	}
	if !hasOrder {
		return
	}
	if x.orders == nil {
		x.orders = map[string]*ordered{}
	}
	name, text := orderName(path, token), orderText(token)
	o := x.orders[name]
	if o == nil {
		o = &ordered{path: path}
		x.orders[name] = o
	}
	o.values, o.equals = append(o.values, text), append(o.equals, equal)
	x.left -= len(text) + 2*termLength
}

// checkMeta refuses metadata that cannot be stored.
func checkMeta(meta json.RawMessage) error {
	switch {
	case len(meta) > largestMeta:
		return fault.BadField("/meta", "has %d bytes, more than %d", len(meta), largestMeta)
	case len(meta) > 0 && !wellformed.Object(meta):
		return fault.BadField("/meta", "is not a JSON object in UTF-8")
	}
	return nil
}
