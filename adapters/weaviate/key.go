package weaviate

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"unicode/utf8"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// Limits that are our own.
const (
	longestKey  = 8 << 10  // bytes of tenant and id together
	largestText = 16 << 20 // bytes
	largestMeta = 8 << 20  // bytes
)

// separator stands between tenant and id. It is below every hexadecimal digit.
const separator = '!'

// keyText is the property that keeps a point's key: hexadecimal, because Weaviate cuts
// white space off texts and sorts them without regard to case. Its byte order is the
// order of the keys.
func keyText(k search.Key) string {
	out := make([]byte, 0, 2*len(k.Tenant)+1+2*len(k.ID))
	out = hex.AppendEncode(out, []byte(k.Tenant))
	out = append(out, separator)
	return string(hex.AppendEncode(out, []byte(k.ID)))
}

// keyReader takes keyText back. It makes a tenant's name once for rows in a row.
type keyReader struct {
	scratch []byte
	tenant  string
}

func (r *keyReader) read(text []byte) (search.Key, bool) {
	cut := 0
	for cut < len(text) && text[cut] != separator {
		cut++
	}
	if cut == len(text) {
		return search.Key{}, false
	}
	var err error
	if r.scratch, err = hex.AppendDecode(r.scratch[:0], text[:cut]); err != nil {
		return search.Key{}, false
	}
	if string(r.scratch) != r.tenant {
		r.tenant = string(r.scratch)
	}
	if r.scratch, err = hex.AppendDecode(r.scratch[:0], text[cut+1:]); err != nil {
		return search.Key{}, false
	}
	return search.Key{Tenant: r.tenant, ID: string(r.scratch)}, true
}

// fenceID is the object that keeps the highest epoch of a collection. No point has it:
// theirs end otherwise with all likelihood that there is.
const fenceID = "00000000-0000-8000-8000-000000000001"

// flushID is the object that follows every write: see flushed.
const flushID = "00000000-0000-8000-8000-000000000002"

// objectID is where a point lies: a UUID of version 8 (RFC 9562) made of tenant and id.
func objectID(k search.Key) string {
	sum := sha256.Sum256([]byte(strconv.Itoa(len(k.Tenant)) + ":" + k.Tenant + k.ID))
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	var b [36]byte
	hex.Encode(b[0:8], sum[0:4])
	hex.Encode(b[9:13], sum[4:6])
	hex.Encode(b[14:18], sum[6:8])
	hex.Encode(b[19:23], sum[8:10])
	hex.Encode(b[24:36], sum[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// checkKey refuses what cannot be stored as a key. A query may ask for such a key: it is
// simply not there.
func checkKey(k search.Key) error {
	switch {
	case k.ID == "":
		return fault.BadField("/id", "must not be empty")
	case !storable(k):
		return fault.BadField("/id", "tenant and id must be UTF-8 and have at most %d bytes together", longestKey)
	}
	return nil
}

func storable(k search.Key) bool {
	return len(k.Tenant)+len(k.ID) <= longestKey && utf8.ValidString(k.Tenant) && utf8.ValidString(k.ID)
}
