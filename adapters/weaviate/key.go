package weaviate

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
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

// What stands behind a tenant, and behind an id: below every hexadecimal digit, so that
// shorter ones come first.
const (
	endOfTenant = '!'
	endOfID     = '-'
	pastID      = '.' // above endOfID
)

// keyText is a point's key as its property begins: hexadecimal, because Weaviate cuts
// white space off texts and sorts them without regard to case. Its byte order is the
// order of the keys.
func keyText(k search.Key) []byte {
	out := make([]byte, 0, 2*len(k.Tenant)+2*len(k.ID)+2+16)
	out = hex.AppendEncode(out, []byte(k.Tenant))
	out = append(out, endOfTenant)
	return hex.AppendEncode(out, []byte(k.ID))
}

// pointText is the property that keeps a point's key and version: one, because each that an
// object has costs Weaviate a tenth of the write.
func pointText(k search.Key, v search.Version) string {
	return string(appendVersion(append(keyText(k), endOfID), v))
}

func appendVersion(b []byte, v search.Version) []byte {
	return hex.AppendEncode(b, binary.BigEndian.AppendUint64(nil, uint64(v)))
}

// behind is above the texts of a key's points, and below those of all keys after it.
func behind(k search.Key) string { return string(append(keyText(k), pastID)) }

// keyReader takes pointText back. It makes a tenant's name once for rows in a row.
type keyReader struct {
	scratch []byte
	tenant  string
}

func (r *keyReader) read(text []byte) (k search.Key, v search.Version, ok bool) {
	tenant, rest, ok := bytes.Cut(text, []byte{endOfTenant})
	id, version, there := bytes.Cut(rest, []byte{endOfID})
	if !ok || !there {
		return k, 0, false
	}
	var err error
	if r.scratch, err = hex.AppendDecode(r.scratch[:0], tenant); err != nil {
		return k, 0, false
	}
	if string(r.scratch) != r.tenant {
		r.tenant = string(r.scratch)
	}
	if r.scratch, err = hex.AppendDecode(r.scratch[:0], id); err != nil {
		return k, 0, false
	}
	v, ok = readVersion(version)
	return search.Key{Tenant: r.tenant, ID: string(r.scratch)}, v, ok
}

// readVersion takes appendVersion back.
func readVersion(text []byte) (search.Version, bool) {
	var b [8]byte
	if len(text) != 2*len(b) {
		return 0, false
	}
	_, err := hex.Decode(b[:], text)
	return search.Version(binary.BigEndian.Uint64(b[:])), err == nil
}

// fenceID is the object that keeps the highest epoch of a collection. No point has it:
// theirs end otherwise with all likelihood that there is.
const fenceID = "00000000-0000-8000-8000-000000000001"

// flushID is the object that follows every write: see flushed. Its mark is none of a deletion.
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
