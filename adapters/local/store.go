package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// fileName is the one file of a store, inside its directory.
const fileName = "lanewise.db"

// Config says where a store is. Only Path is needed.
type Config struct {
	// Path is the store's directory. It is made if it is not there.
	Path string
	// Index names metadata fields, as dotted paths, on which filters are to be
	// fast. A condition on another field reads the documents of the rows in
	// question. The index is in memory: 4 bytes a row and field, and the distinct
	// values, of which it holds 65,536 a field; naming a field makes opening read
	// all documents.
	Index []string
	// MemoryLimit is how many bytes the vectors, ids and words may take. Open refuses a
	// store that needs more, and Write what would exceed it. 0: Open refuses what
	// the machine, or the process's cgroup, does not have free.
	MemoryLimit int64
}

// Store is an embedded store. It is safe for concurrent use; reads never wait
// for writes.
type Store struct {
	cfg     Config
	file    string
	db      *bbolt.DB
	state   atomic.Pointer[state]
	helpers chan struct{} // room for the extra goroutines of scans
	sums    sync.Pool     // of lexical legs that are over: *[windowRows]float64, untouched

	turn   chan struct{} // held by the goroutine that commits; it owns what follows
	keeper keeper
	broken error // why writes are refused until the store is opened again

	mu    sync.Mutex // guards queue
	queue []*request
}

var _ search.Store = (*Store)(nil)

// Open opens the store in cfg.Path, or makes one there, and reads its vectors
// into memory. The store belongs to one process at a time: another one gets a
// fault.Unavailable at once, as does a file that is damaged.
func Open(cfg Config) (*Store, error) {
	if cfg.Path == "" {
		return nil, fault.New(fault.Invalid, "local store: no path")
	}
	if err := os.MkdirAll(cfg.Path, 0o750); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "open local store", err)
	}
	s := &Store{
		cfg:     Config{Path: cfg.Path, Index: slices.Clone(cfg.Index), MemoryLimit: cfg.MemoryLimit},
		file:    filepath.Join(cfg.Path, fileName),
		turn:    make(chan struct{}, 1),
		helpers: make(chan struct{}, runtime.GOMAXPROCS(0)-1),
	}
	if err := s.guard("open", s.open); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close waits for writes and reads of the file that are under way and releases
// the file. Later calls of the store's methods return fault.Unavailable.
func (s *Store) Close() error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.db == nil {
		return nil
	}
	s.broken = errClosed()
	s.state.Store(nil)
	if err := s.db.Close(); err != nil {
		return fault.Wrap(fault.Unavailable, "close "+s.file, err)
	}
	return nil
}

// look acquires the snapshot and finds a collection in it. Unless it returns an
// error, the caller releases the snapshot.
func (s *Store) look(ctx context.Context, name string) (*state, *collection, error) {
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	st := s.acquire()
	if st == nil {
		return nil, nil, errClosed()
	}
	c, ok := st.collections[name]
	if !ok {
		st.release()
		return nil, nil, errNoCollection(name)
	}
	return st, c, nil
}

func errNoCollection(name string) error {
	return fault.New(fault.NotFound, "no collection %q in this store", name)
}

// Stats reports every collection, by name, or the named one.
func (s *Store) Stats(ctx context.Context, name string) ([]search.Stats, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	st := s.acquire()
	if st == nil {
		return nil, errClosed()
	}
	defer st.release()
	return st.stats(name)
}
