package embed

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"strconv"
	"time"
)

// A row on the shelf, numbers little-endian:
//
//	at int64 | tokens uint32 | 1 if the text was truncated, else 0 | vector []float32
const rowHead = 8 + 4 + 1

func (r row) encode() []byte {
	out := make([]byte, 0, rowHead+4*len(r.vector))
	out = binary.LittleEndian.AppendUint64(out, uint64(r.at))     //nolint:gosec // read back as it is
	out = binary.LittleEndian.AppendUint32(out, uint32(r.tokens)) //nolint:gosec // of one text
	cut := byte(0)
	if r.cut {
		cut = 1
	}
	out = append(out, cut)
	for _, x := range r.vector {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}

// decodeRow reads a row with a vector of so many dims.
func decodeRow(data []byte, dims int) (r row, ok bool) {
	if len(data) != rowHead+4*dims {
		return row{}, false
	}
	r = row{
		at: int64(binary.LittleEndian.Uint64(data)), tokens: int(binary.LittleEndian.Uint32(data[8:])), cut: data[12] == 1, //nolint:gosec // as it was written
		vector: make([]float32, dims),
	}
	for i := range r.vector {
		r.vector[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[rowHead+4*i:]))
	}
	return r, true
}

// The shelf outlives a model that is changed behind its name. So the canary's vector
// lies there, too, with the moment at which the rows of that model begin: it is
// part of all keys.

// canaryKey is where the canary lies.
func (c *cache) canaryKey() key {
	sum := sha256.Sum256([]byte(c.base + "\x00canary"))
	return key(sum[:16])
}

// restore takes over which rows on the shelf are of the model that was there last.
func (c *cache) restore() {
	kept, _ := c.keptCanary()
	c.begin(kept.at)
}

func (c *cache) keptCanary() (r row, ok bool) {
	if c.shelf == nil {
		return row{}, false
	}
	c.shelf.Get([][16]byte{c.canaryKey()}, func(_ int, value []byte) { r, ok = decodeRow(value, c.dims) })
	return r, ok
}

// begin sets the moment at which the rows of the model begin; 0: as long as there are rows.
func (c *cache) begin(at int64) {
	prefix := c.base
	if at != 0 {
		prefix += strconv.FormatInt(at, 36) + "\x00"
	}
	c.prefix.Store(&prefix)
}

// adopt is told the canary's vector that upstreams are held to. If the rows on the
// shelf are of another model they are not found any more.
func (c *cache) adopt(canary []float32) {
	if c.shelf == nil {
		return
	}
	kept, ok := c.keptCanary()
	if ok && cosine(kept.vector, canary) < sameSpace {
		kept.at = time.Now().UnixNano()
		c.begin(kept.at)
	}
	kept.vector = canary
	c.shelf.Put(c.canaryKey(), kept.encode()) // anew, so that it goes last
}
