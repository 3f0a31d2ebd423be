package diskcache

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
)

// A file begins with its magic, its turn and a checksum of both:
//
//	magic [8]byte | turn uint64 | crc uint32
//
// Each record is a head and a value:
//
//	key [16]byte | length uint32 | crc of key and value uint32 | crc of the head so far uint32 | value
//
// Numbers are little-endian, checksums CRC-32C.
const (
	magic    = "lwcache1"
	fileHead = 8 + 8 + 4
	headSize = 16 + 4 + 4 + 4
)

func castagnoli(parts ...[]byte) (sum uint32) {
	table := crc32.MakeTable(crc32.Castagnoli) // made once by the library
	for _, p := range parts {
		sum = crc32.Update(sum, table, p)
	}
	return sum
}

// half is one of the two files.
type half struct {
	file  *os.File
	turn  uint64        // the higher one is the younger
	end   int64         // of what is good
	index map[Key]place // of the values
	buf   []byte        // of the writer
}

// place is where a value lies.
type place struct {
	at   int64 // of its record
	size int32 // of the value
}

// openHalf opens or makes a file, finds its values, and cuts off what is not good.
func openHalf(path string, limit int64) (*half, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	h := &half{file: file}
	info, err := file.Stat()
	if err == nil && (!h.readHead() || info.Size() > limit) {
		err = h.restart(0)
	} else if err == nil {
		h.scan(info.Size())
		err = file.Truncate(h.end)
	}
	if err != nil {
		_ = file.Close() // the first error counts
		return nil, err
	}
	return h, nil
}

// readHead takes over the turn, if the file is one of a cache.
func (h *half) readHead() bool {
	head := make([]byte, fileHead)
	if _, err := h.file.ReadAt(head, 0); err != nil {
		return false
	}
	h.turn = binary.LittleEndian.Uint64(head[8:])
	return string(head[:8]) == magic && castagnoli(head[:16]) == binary.LittleEndian.Uint32(head[16:])
}

// restart empties the file for another turn.
func (h *half) restart(turn uint64) error {
	h.turn, h.end, h.index = turn, fileHead, map[Key]place{}
	if err := h.file.Truncate(0); err != nil {
		return err
	}
	head := binary.LittleEndian.AppendUint64([]byte(magic), turn)
	head = binary.LittleEndian.AppendUint32(head, castagnoli(head))
	_, err := h.file.WriteAt(head, 0)
	return err
}

// scan finds the values by the heads of their records, up to the first that is not good.
func (h *half) scan(size int64) {
	h.end, h.index = fileHead, map[Key]place{}
	head := make([]byte, headSize)
	for {
		if _, err := h.file.ReadAt(head, h.end); err != nil || castagnoli(head[:24]) != binary.LittleEndian.Uint32(head[24:]) {
			return
		}
		length := int64(binary.LittleEndian.Uint32(head[16:]))
		if length > mostValue || h.end+headSize+length > size {
			return
		}
		h.index[Key(head)] = place{h.end, int32(length)} //nolint:gosec // within a file that is within its limit
		h.end += headSize + length
	}
}

// get reads a value. One that is damaged is not there.
func (h *half) get(k Key) ([]byte, bool) {
	p, ok := h.index[k]
	if !ok {
		return nil, false
	}
	record := make([]byte, headSize+int64(p.size))
	if _, err := h.file.ReadAt(record, p.at); err != nil {
		return nil, false
	}
	value := record[headSize:]
	if !bytes.Equal(record[:16], k[:]) || castagnoli(k[:], value) != binary.LittleEndian.Uint32(record[20:]) {
		return nil, false
	}
	return value, true
}

// write appends as many entries as have room, and returns their number. They can be
// found once they are published.
func (h *half) write(batch []entry, limit int64) (n int, err error) {
	h.buf = h.buf[:0]
	for _, e := range batch {
		if h.end+int64(len(h.buf))+headSize+int64(len(e.value)) > limit {
			break
		}
		at := len(h.buf)
		h.buf = append(h.buf, e.key[:]...)
		h.buf = binary.LittleEndian.AppendUint32(h.buf, uint32(len(e.value))) //nolint:gosec // less than the limit
		h.buf = binary.LittleEndian.AppendUint32(h.buf, castagnoli(e.key[:], e.value))
		h.buf = binary.LittleEndian.AppendUint32(h.buf, castagnoli(h.buf[at:]))
		h.buf = append(h.buf, e.value...)
		n++
	}
	_, err = h.file.WriteAt(h.buf, h.end)
	return n, err
}

// publish lets entries be found that were written.
func (h *half) publish(batch []entry) {
	for _, e := range batch {
		h.index[e.key] = place{h.end, int32(len(e.value))} //nolint:gosec // less than the limit
		h.end += headSize + int64(len(e.value))
	}
}

func (h *half) values() int { return len(h.index) }
