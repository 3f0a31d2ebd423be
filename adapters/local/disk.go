package local

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// The buckets of the file. A collection with the number 7 also has the buckets
// "r" and "d" + its number, for its rows and its documents.
var (
	metaBucket       = []byte("meta")        // format and epoch
	collectionBucket = []byte("collections") // number → header
	formatKey        = []byte("format")
	epochKey         = []byte("epoch")
	nextKey          = []byte("next")
)

// header is what the file says of a collection. It is written with every commit.
type header struct {
	Collection search.Collection `json:"collection"`
	Next       uint64            `json:"next"`   // number of the next record
	Rows       uint64            `json:"rows"`   // row records, deletions and superseded ones included
	Bytes      int64             `json:"bytes"`  // of all records
	Memory     int64             `json:"memory"` // bytes of the row records
	Sum        uint64            `json:"sum"`    // over the row records, whatever their order
	Newest     search.Version    `json:"newest"`
	Words      int64             `json:"words,omitempty"`  // bytes that the index of sparse vectors takes in memory
	Marked     bool              `json:"marked,omitempty"` // rows say by rowHasWords whether their documents have a sparse vector
}

// count adds a row record to the header, or takes it away.
func (h *header) count(number uint64, record []byte, sign int) {
	h.Rows += uint64(sign) //nolint:gosec // two's complement subtracts
	h.Bytes += int64(sign * len(record))
	h.Memory += int64(sign * len(record))
	h.Sum ^= spread(number ^ uint64(binary.LittleEndian.Uint32(record))<<32)
}

// spread is the finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): it
// turns close numbers into unlike ones, so that sums of them do not cancel out.
func spread(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func bucketName(kind byte, id uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{kind}, id)
}

func encodeHeader(id uint32, h *header) ([]byte, error) {
	body, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode the header of collection %q: %w", h.Collection.Name, err)
	}
	b := append(make([]byte, sumLen), body...)
	seal(uint64(id), b)
	return b, nil
}

func decodeHeader(id uint32, record []byte) (h header, err error) {
	body, err := unseal(uint64(id), record)
	if err == nil {
		err = json.Unmarshal(body, &h)
	}
	return h, err
}

// shelf reads the documents of one collection within one transaction. It is not
// safe for concurrent use.
type shelf struct {
	rows, docs *bbolt.Bucket
	name       string
}

// read calls f with the documents of a collection. The caller has acquired the
// snapshot that c is from before, so every record that it names is there.
// A file that is damaged becomes an error and not a panic.
func (s *Store) read(c *collection, f func(*shelf) error) error {
	return s.guard("read "+c.head.Collection.Name, func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			h := &shelf{rows: tx.Bucket(bucketName('r', c.id)), docs: tx.Bucket(bucketName('d', c.id)), name: c.head.Collection.Name}
			if h.rows == nil || h.docs == nil {
				return errNoCollection(h.name) // dropped since the snapshot
			}
			return f(h)
		})
	})
}

// document returns the document of a record. It points into the file's map,
// until the transaction ends.
func (h *shelf) document(number uint64) (document, error) {
	d, err := decodeDocument(number, h.docs.Get(recordKey(number)))
	if err != nil {
		return d, fmt.Errorf("document %d of collection %q: %w", number, h.name, err)
	}
	return d, nil
}

// guard runs f, which reads or writes the file, and names the file in errors
// that nobody classified. A page that is damaged makes bbolt panic, or touches
// memory that is not there; both become errors here.
func (s *Store) guard(doing string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("file is damaged: %v", p)
		}
		err = s.blame(doing, err)
	}()
	return f()
}

// blame classifies an error of the file, and names the file.
func (s *Store) blame(doing string, err error) error {
	switch {
	case err == nil, fault.Of(err) != "":
		return err
	case errors.Is(err, bbolt.ErrDatabaseNotOpen): //nolint:staticcheck // the name that Begin documents
		return errClosed()
	default:
		return fault.Wrap(fault.Unavailable, doing+": "+s.file, err)
	}
}

func errClosed() error { return fault.New(fault.Unavailable, "the store is closed") }
