package qdrant

import (
	"crypto/sha1" //nolint:gosec // what UUIDs of version 5 are made with; not a defence
	"encoding/hex"
	"strconv"

	"github.com/qdrant/go-client/qdrant"

	"github.com/lanewise/lanewise/search"
)

// namespace is the one that this package's UUIDs of version 5 are derived in.
const namespace = "\x8f\x2d\x5a\x10\x6b\x47\x5e\x93\xb0\x1c\x44\xd8\x7e\x9a\x21\xf6"

// pointID is where a point lies in Qdrant. Numbers and UUIDs keep their id where
// no tenant has to be told apart, unless the UUID is of version 5: such an id
// could be the derived one of another point.
func pointID(k search.Key, tenanted bool) *qdrant.PointId {
	if k.Tenant == "" && !tenanted {
		if n, err := strconv.ParseUint(k.ID, 10, 64); err == nil && strconv.FormatUint(n, 10) == k.ID {
			return qdrant.NewIDNum(n)
		}
		if isUUID(k.ID) && k.ID[14] != '5' {
			return qdrant.NewIDUUID(k.ID)
		}
	}
	return qdrant.NewIDUUID(derive(k))
}

// isUUID reports whether s is a UUID in the one spelling that Qdrant gives back.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// derive is the UUID of version 5 (RFC 9562) of a key.
func derive(k search.Key) string {
	name := strconv.Itoa(len(k.Tenant)) + ":" + k.Tenant + k.ID
	sum := sha1.Sum([]byte(namespace + name)) //nolint:gosec // see the import
	sum[6] = sum[6]&0x0f | 0x50
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

// place is a point's id in Qdrant as a value that compares.
type place struct {
	uuid string
	n    uint64
}

func placeOf(id *qdrant.PointId) place { return place{id.GetUuid(), id.GetNum()} }
