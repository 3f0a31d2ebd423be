package local

import (
	"sync/atomic"

	"github.com/lanewise/lanewise/search"
)

// The rows of a tenant lie in chunks that grow with it, so that a small tenant
// costs little and a large one is scanned in long runs.
const (
	smallestChunk = 8            // rows
	largestChunk  = 1 << rowBits // rows
	sparseEnough  = 1024         // dead rows below which a tenant is never packed
)

// state is an immutable snapshot of the whole store. Readers count themselves
// in, because rows that a snapshot still names may not leave the disk.
type state struct {
	number      uint64 // of the commit that made it
	epoch       uint64 // the highest seen
	nextID      uint32 // of the next collection
	collections map[string]*collection
	readers     atomic.Int64
}

// collection is an immutable snapshot of one collection.
type collection struct {
	id      uint32 // names its buckets, so that a dropped name can be used again at once
	head    header
	tenants tree[string, *part]
	points  int    // of all tenants
	digest  uint64 // of all tenants' points
	words   int64  // bytes of all tenants' lexicons
	columns columns
}

// part is an immutable snapshot of the points of one tenant.
type part struct {
	ids    tree[string, slot]
	blocks []block
	points int
	digest uint64 // sum of search.Digest over the points
	dead   int    // rows of blocks that no longer stand for a point
	words  lexicon
}

// slot is what is known of an id: where its point is, or that it was deleted.
type slot struct {
	version search.Version
	record  uint64 // number of its record on disk
	block   int32  // index into part.blocks; -1: deleted
	row     int32  // within the block
}

func (s slot) deleted() bool { return s.block < 0 }

// block is a snapshot's view of a chunk: its first n rows, and which of them
// still stand for a point.
type block struct {
	*chunk
	n    int
	live []uint64 // bitmap, copied before it is changed
}

// chunk holds rows in flat arrays. Rows are appended by the one writer, behind
// the n of every snapshot that readers can have, and never changed.
type chunk struct {
	dims     int
	vectors  []float32 // row i at i*dims
	norms    []float32 // see probe: what the metric needs of a row beside its vector
	bare     []bool    // the point has no dense vector
	ids      []string
	versions []search.Version
	records  []uint64
	worded   []bool     // the point has a sparse vector
	docs     []bool     // the record has a document beside it on disk
	columns  [][]uint32 // values of the indexed fields
}

func newChunk(dims, indexed, rows int) *chunk {
	c := &chunk{
		dims:     dims,
		vectors:  make([]float32, rows*dims),
		norms:    make([]float32, rows),
		bare:     make([]bool, rows),
		ids:      make([]string, rows),
		versions: make([]search.Version, rows),
		records:  make([]uint64, rows),
		worded:   make([]bool, rows),
		docs:     make([]bool, rows),
		columns:  make([][]uint32, indexed),
	}
	for i := range c.columns {
		c.columns[i] = make([]uint32, rows)
	}
	return c
}

func (c *chunk) vector(row int) []float32 { return c.vectors[row*c.dims : (row+1)*c.dims] }

func (b block) isLive(row int) bool { return b.live[row/64]&(1<<(row%64)) != 0 }

// acquire returns the current snapshot, counted as being read, or nil once the
// store is closed.
func (s *Store) acquire() *state {
	for {
		st := s.state.Load()
		if st == nil {
			return nil
		}
		st.readers.Add(1)
		if s.state.Load() == st {
			return st
		}
		st.readers.Add(-1)
	}
}

func (st *state) release() { st.readers.Add(-1) }
