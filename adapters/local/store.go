package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// fileName is the one file of a store, inside its directory.
const fileName = "lanewise.db"

// Config says where a store is. Only Path is needed.
type Config struct {
	// Path is the store's directory. It is made if it is not there.
	Path string
}

// Store is an embedded store. It is safe for concurrent use; reads never wait
// for writes.
type Store struct {
	cfg     Config
	file    string
	db      *bbolt.DB
	state   atomic.Pointer[state]
	helpers chan struct{} // room for the extra goroutines of scans

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
		cfg:     cfg,
		file:    filepath.Join(cfg.Path, fileName),
		turn:    make(chan struct{}, 1),
		helpers: make(chan struct{}, runtime.GOMAXPROCS(0)-1),
	}
	if err := s.guard("open", s.open); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// mapped is how much address space a store maps at once: as long as the file is
// smaller, a growing file never makes readers wait for a new map.
const mapped = 1 << 30

var errInUse = errors.New("the store is open in another process, or twice in this one")

func (s *Store) open() error {
	db, err := bbolt.Open(s.file, 0o600, &bbolt.Options{
		OpenFile:        openInspected,
		Timeout:         1, // the lock is there or it is not
		NoFreelistSync:  true,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mapped,
		NoStatistics:    true,
	})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return errInUse
	case err != nil:
		return err
	}
	s.db = db
	if err := s.settle(); err != nil {
		return err
	}
	return db.View(s.load)
}

// openInspected opens and locks the file and checks its structure.
func openInspected(name string, flag int, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(name, flag, mode) //nolint:gosec // the path is the operator's
	if err != nil {
		return nil, err
	}
	if err := inspectLocked(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func inspectLocked(f *os.File) error {
	if err := lock(f); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil || info.Size() == 0 { // a new file
		return err
	}
	return inspect(f, info.Size())
}

// settle makes the buckets of a new file, and brings an old one to the current format.
func (s *Store) settle() error {
	have := uint64(0)
	err := s.db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket(metaBucket); b != nil {
			have = number(b, formatKey)
		}
		return nil
	})
	switch {
	case err != nil || have == format:
		return err
	case have > format:
		return fmt.Errorf("the file has format %d, this program writes format %d: use a newer release", have, format)
	case have > 0:
		return s.db.Update(func(tx *bbolt.Tx) error { return migrate(tx, have, migrations()) })
	}
	if err := s.db.Update(prepare); err != nil {
		return err
	}
	return syncDir(s.cfg.Path)
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path) //nolint:gosec // the path is the operator's
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
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
