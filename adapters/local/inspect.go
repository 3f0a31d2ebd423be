package local

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
)

// bbolt checks a sum over its two meta pages, takes the older one where the newer
// is damaged (and with it loses a transaction that was acknowledged), and trusts
// every other page. So the file is walked here before bbolt sees it: both meta
// pages, and the links, sizes and key order of every page in use. What stands in
// the records has checksums of its own. The layout is that of bbolt's file
// version 2: a page header of 16 bytes, elements of 16 bytes, then their data in
// the same order.
const (
	pageHeader  = 16
	elementSize = 16
	branchPage  = 0x01
	leafPage    = 0x02
	bucketFlag  = 0x01
	metaSum     = 56 // bytes of a meta that its checksum covers
	boltMagic   = 0xED0CDAED
	boltVersion = 2
	biggestPage = 64 << 10
)

// inspector walks through the pages of a file.
type inspector struct {
	file     io.ReaderAt
	pageSize int
	end      uint64 // number of the first page that is not in use
	seen     []bool
}

// meta is what a meta page says.
type meta struct {
	pageSize  int
	root, end uint64
	txid      uint64
}

// inspect checks the structure of a file of some size.
func inspect(file io.ReaderAt, size int64) error {
	first, err := readMeta(file, 0)
	if err != nil {
		return fmt.Errorf("meta page 0: %w", err)
	}
	second, err := readMeta(file, int64(first.pageSize))
	if err != nil {
		return fmt.Errorf("meta page 1: %w", err)
	}
	if second.txid > first.txid {
		first = second
	}
	if want := int64(first.end) * int64(first.pageSize); first.end > math.MaxInt32 || size < want { //nolint:gosec // bounded here
		return fmt.Errorf("file is cut short: it has %d of %d bytes", size, want)
	}
	in := inspector{file: file, pageSize: first.pageSize, end: first.end, seen: make([]bool, first.end)}
	return in.walk(first.root, nil, nil)
}

func readMeta(file io.ReaderAt, at int64) (m meta, err error) {
	var b [pageHeader + metaSum + 8]byte
	if _, err := file.ReadAt(b[:], at); err != nil {
		if errors.Is(err, io.EOF) {
			return m, errors.New("file is cut short")
		}
		return m, err
	}
	body := b[pageHeader:]
	sum := fnv.New64a()
	_, _ = sum.Write(body[:metaSum])
	u32, u64 := binary.NativeEndian.Uint32, binary.NativeEndian.Uint64
	switch {
	case u32(body) != boltMagic:
		return m, errors.New("is damaged, or this is not a lanewise store")
	case u32(body[4:]) != boltVersion:
		return m, fmt.Errorf("has bbolt's file version %d, this program reads version %d", u32(body[4:]), boltVersion)
	case u64(body[metaSum:]) != sum.Sum64():
		return m, errors.New("is damaged: its checksum is wrong")
	}
	m = meta{pageSize: int(u32(body[8:])), root: u64(body[16:]), end: u64(body[40:]), txid: u64(body[48:])}
	if m.pageSize < 512 || m.pageSize > biggestPage {
		return m, fmt.Errorf("names a page size of %d", m.pageSize)
	}
	return m, nil
}

// walk checks a page and what is below it. Its keys are at least low and, unless
// high is nil, less than high.
func (in *inspector) walk(number uint64, low, high []byte) error {
	page, err := in.page(number)
	if err != nil {
		return fmt.Errorf("page %d: %w", number, err)
	}
	if err := in.elements(page, low, high); err != nil {
		return fmt.Errorf("page %d: %w", number, err)
	}
	return nil
}

// page reads a page with its overflow and notes that it is in use.
func (in *inspector) page(number uint64) ([]byte, error) {
	if number < 2 || number >= in.end {
		return nil, errors.New("is outside of the file")
	}
	head := make([]byte, in.pageSize)
	at := int64(number) * int64(in.pageSize) //nolint:gosec // less than end
	if _, err := in.file.ReadAt(head, at); err != nil {
		return nil, err
	}
	if binary.NativeEndian.Uint64(head) != number {
		return nil, errors.New("is damaged: it has another number")
	}
	overflow := uint64(binary.NativeEndian.Uint32(head[12:]))
	if number+overflow >= in.end {
		return nil, errors.New("is damaged: it reaches over the end")
	}
	for n := number; n <= number+overflow; n++ {
		if in.seen[n] {
			return nil, errors.New("is damaged: it is in use twice")
		}
		in.seen[n] = true
	}
	if overflow == 0 {
		return head, nil
	}
	page := make([]byte, int(overflow+1)*in.pageSize) //nolint:gosec // less than end
	_, err := in.file.ReadAt(page, at)
	return page, err
}

// elements checks the elements of a branch or a leaf.
func (in *inspector) elements(page, low, high []byte) error {
	kind, count := binary.NativeEndian.Uint16(page[8:]), int(binary.NativeEndian.Uint16(page[10:]))
	if kind != branchPage && kind != leafPage || kind == branchPage && count == 0 {
		return errors.New("is damaged: it is neither branch nor leaf")
	}
	data := pageHeader + count*elementSize
	if data > len(page) {
		return errors.New("is damaged: it counts too many elements")
	}
	var links []link
	for i := range count {
		e, next, err := readElement(page, kind, i, data)
		if err != nil {
			return err
		}
		data = next
		if bytes.Compare(e.key, low) < 0 || high != nil && bytes.Compare(e.key, high) >= 0 || len(e.key) == 0 {
			return errors.New("is damaged: its keys are out of order")
		}
		low = append(bytes.Clone(e.key), 0)
		links = append(links, e)
	}
	if want := max(0, (data+in.pageSize-1)/in.pageSize-1); want != len(page)/in.pageSize-1 && len(page) >= in.pageSize {
		return errors.New("is damaged: it has another size than its elements")
	}
	return in.follow(kind, links, high)
}

// link is one element: a key, and the page or the value behind it.
type link struct {
	key, value []byte
	page       uint64
	bucket     bool
}

// readElement reads element i, whose data must stand at offset data, and returns
// the offset behind it.
func readElement(page []byte, kind uint16, i, data int) (e link, next int, err error) {
	at := pageHeader + i*elementSize
	head := page[at : at+elementSize]
	u32 := binary.NativeEndian.Uint32
	pos, keyLen, valueLen := u32(head), uint64(u32(head[4:])), uint64(0)
	if kind == leafPage {
		if flags := u32(head); flags > bucketFlag {
			return e, 0, errors.New("is damaged: an element has unknown flags")
		}
		e.bucket = u32(head) == bucketFlag
		pos, keyLen, valueLen = u32(head[4:]), uint64(u32(head[8:])), uint64(u32(head[12:]))
	} else {
		e.page = binary.NativeEndian.Uint64(head[8:])
	}
	end := uint64(data) + keyLen + valueLen //nolint:gosec // within the page
	if int(pos) != data-at || end > uint64(len(page)) {
		return e, 0, errors.New("is damaged: an element is not where it should be")
	}
	e.key = page[data : data+int(keyLen)]       //nolint:gosec // checked above
	e.value = page[data+int(keyLen) : int(end)] //nolint:gosec // checked above
	return e, int(end), nil                     //nolint:gosec // checked above
}

// follow walks into the pages that the elements point to.
func (in *inspector) follow(kind uint16, links []link, high []byte) error {
	for i, e := range links {
		if kind == branchPage {
			bound := high
			if i+1 < len(links) {
				bound = links[i+1].key
			}
			if err := in.walk(e.page, e.key, bound); err != nil {
				return err
			}
			continue
		}
		if e.bucket {
			if err := in.bucket(e.value); err != nil {
				return fmt.Errorf("bucket %q: %w", e.key, err)
			}
		}
	}
	return nil
}

// bucket checks the value of a bucket: the number of its root page, or 0 and the
// page itself.
func (in *inspector) bucket(value []byte) error {
	if len(value) < pageHeader {
		return errors.New("is damaged: it is too short")
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return in.walk(root, nil, nil)
	}
	inline := value[16:]
	if len(inline) < pageHeader || binary.NativeEndian.Uint16(inline[8:]) != leafPage {
		return errors.New("is damaged: its page is no leaf")
	}
	return in.elements(inline, nil, nil)
}
