package milvus

import (
	"strings"
	"unicode/utf8"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// maxBytes is the longest varchar.
const maxBytes = 65535

// Of the code points below 2 only the separator stands in a primary key: it ends the
// tenant. An escape begins with a 2. The separator is below everything else, so
// that the byte order of primary keys is the order of the keys.
const (
	separator = '\x01'
	escape    = '\x02'
)

// fencePK is the row that keeps the highest epoch of a collection, as its version: that of
// the key without an id, which no point has. It is the first in the order of the keys, so that
// it is written before the points that come with it.
const fencePK = string(separator)

// primary returns the primary key of a point.
func primary(k search.Key) string {
	if !strings.ContainsAny(k.Tenant, "\x00\x01\x02") && !strings.ContainsAny(k.ID, "\x00\x01\x02") {
		return k.Tenant + string(separator) + k.ID
	}
	var b strings.Builder
	escaped(&b, k.Tenant)
	b.WriteByte(separator)
	escaped(&b, k.ID)
	return b.String()
}

func escaped(b *strings.Builder, s string) {
	for i := range len(s) {
		if s[i] > escape {
			b.WriteByte(s[i])
			continue
		}
		b.WriteByte(escape)
		b.WriteByte(s[i] + 2) // no byte of an escape is the separator
	}
}

// keyOf takes a primary key apart.
func keyOf(pk string) (search.Key, error) {
	tenant, id, ok := strings.Cut(pk, string(separator))
	if !ok {
		return search.Key{}, fault.New(fault.Unavailable, "the primary key %q is not one of this program", pk)
	}
	return search.Key{Tenant: unescaped(tenant), ID: unescaped(id)}, nil
}

func unescaped(s string) string {
	if strings.IndexByte(s, escape) < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == escape && i+1 < len(s) {
			i++
			out = append(out, s[i]-2)
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

// checkKey refuses what cannot be stored as a key. A query may ask for such a key:
// it is simply not there.
func checkKey(k search.Key) error {
	switch {
	case k.ID == "":
		return fault.BadField("/id", "must not be empty")
	case !storable(k):
		return fault.BadField("/id", "tenant and id must be UTF-8 and have at most %d bytes together", maxBytes-1)
	}
	return nil
}

func storable(k search.Key) bool {
	return utf8.ValidString(k.Tenant) && utf8.ValidString(k.ID) && len(primary(k)) <= maxBytes
}
