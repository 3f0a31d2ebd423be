package local

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"

	"github.com/lanewise/lanewise/search"
)

// A point is two records under one number: a row, with what must be in memory,
// and a document, with what is read for hits only. Each begins with a CRC-32C
// over its number and its body, so that a record can be neither damaged nor
// mistaken for another one.

var errDamaged = errors.New("record is damaged")

// castagnoli is the polynomial that processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli) // a constant table

const sumLen = 4 // bytes of a checksum

// The bits of a row's first byte.
const (
	rowDeleted  byte = 1 << iota // a deletion: no vector, but the time of the deletion
	rowHasDoc                    // there is a document under the same number
	rowHasWords                  // and it has a sparse vector; of headers that are Marked
)

// row is the decoded form of a row record.
type row struct {
	flags   byte
	version search.Version
	at      int64 // Unix milliseconds of a deletion
	key     search.Key
	dense   []byte // little-endian float32, in place
}

// newRow encodes a row up to its vector, not yet sealed.
func newRow(flags byte, version search.Version, key search.Key) []byte {
	b := append(make([]byte, sumLen, sumLen+32+len(key.Tenant)+len(key.ID)), flags)
	b = binary.LittleEndian.AppendUint64(b, uint64(version))
	b = appendText(b, key.Tenant)
	return appendText(b, key.ID)
}

func appendText[T ~string | ~[]byte](b []byte, text T) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

func appendFloats(b []byte, v []float32) []byte {
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// seal writes the checksum of a record that begins at start of b.
func seal(number uint64, b []byte) {
	binary.LittleEndian.PutUint32(b, checksum(number, b[sumLen:]))
}

func checksum(number uint64, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(recordKey(number), castagnoli), castagnoli, body)
}

// recordKey is the key of a record's number: numbers in order are keys in order.
func recordKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, 8), number)
}

// unseal checks a record and returns its body.
func unseal(number uint64, record []byte) ([]byte, error) {
	if len(record) < sumLen || binary.LittleEndian.Uint32(record) != checksum(number, record[sumLen:]) {
		return nil, errDamaged
	}
	return record[sumLen:], nil
}

// decodeRow checks and decodes a row. Its dense part points into record.
func decodeRow(number uint64, record []byte) (r row, err error) {
	body, err := unseal(number, record)
	if err != nil {
		return r, err
	}
	in := reader{b: body}
	r.flags = in.byte()
	r.version = search.Version(in.uint64())
	r.key.Tenant = string(in.text())
	r.key.ID = string(in.text())
	if r.flags&rowDeleted != 0 {
		r.at = int64(in.uint64()) //nolint:gosec // written from an int64
	} else {
		r.dense = in.rest()
	}
	return r, in.err
}

// putFloats decodes little-endian floats into dst.
func putFloats(dst []float32, b []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
}

// document is the part of a point that stays on disk.
type document struct {
	text, meta []byte // point into the record
	sparse     search.Sparse
}

// hasDocument reports whether a point needs a document record.
func hasDocument(p *search.Point) bool {
	return p.Text != "" || len(p.Meta) > 0 || len(p.Sparse.Index) > 0
}

// newDocument encodes the document of a point, not yet sealed.
func newDocument(p *search.Point) []byte {
	b := make([]byte, sumLen, sumLen+32+len(p.Meta)+len(p.Text)+8*len(p.Sparse.Index))
	b = appendText(b, p.Meta)
	b = appendText(b, p.Text)
	b = binary.AppendUvarint(b, uint64(len(p.Sparse.Index)))
	for _, i := range p.Sparse.Index {
		b = binary.LittleEndian.AppendUint32(b, i)
	}
	return appendFloats(b, p.Sparse.Value)
}

func decodeDocument(number uint64, record []byte) (d document, err error) {
	body, err := unseal(number, record)
	if err != nil {
		return d, err
	}
	in := reader{b: body}
	d.meta = in.text()
	d.text = in.text()
	n := in.uvarint()
	rest := in.rest()
	if in.err != nil || uint64(len(rest)) != 8*n {
		return d, errDamaged
	}
	if n > 0 {
		d.sparse = search.Sparse{Index: make([]uint32, n), Value: make([]float32, n)}
		for i := range d.sparse.Index {
			d.sparse.Index[i] = binary.LittleEndian.Uint32(rest[4*i:])
		}
		putFloats(d.sparse.Value, rest[4*n:])
	}
	return d, nil
}

// reader takes a record apart; its first error sticks.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n uint64) []byte {
	if r.err != nil || uint64(len(r.b)) < n {
		r.err = errDamaged
		return nil
	}
	head := r.b[:n]
	r.b = r.b[n:]
	return head
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.err = errDamaged
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) text() []byte { return r.take(r.uvarint()) }

func (r *reader) rest() []byte { return r.take(uint64(len(r.b))) }

func appendTime(b []byte, ms int64) []byte {
	return binary.LittleEndian.AppendUint64(b, uint64(ms)) //nolint:gosec // read back as an int64
}
