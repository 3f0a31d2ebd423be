package shardmap

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/sealed"
)

// File is a stored map that this process alone may write. It is safe for concurrent use.
type File struct {
	path string

	mu   sync.Mutex
	lock *os.File // nil after Close
}

// OpenFile takes the writer's lock of the map at path; neither the file nor its folder
// has to exist. While another process holds the lock it returns a fault.Conflict that names
// that process. The system lets go of the lock when the process ends, however it ends.
//
// The lock is on a file beside the map, path + ".lock", because storing a map
// replaces the map's own file.
func OpenFile(path string) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("folder of shard map %s: %w", path, err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock of shard map %s: %w", path, err)
	}
	if err := tryLock(lock); err != nil {
		held := lockError(path, lock, err)
		return nil, errors.Join(held, lock.Close())
	}
	if err := signLock(lock); err != nil {
		return nil, errors.Join(fmt.Errorf("sign lock of shard map %s: %w", path, err), lock.Close())
	}
	return &File{path: path, lock: lock}, nil
}

// errHeld is what tryLock returns while somebody else holds the lock.
var errHeld = errors.New("held by another process")

func lockError(path string, lock *os.File, err error) error {
	if !errors.Is(err, errHeld) {
		return fmt.Errorf("lock shard map %s: %w", path, err)
	}
	holder := "another process"
	if text, err := io.ReadAll(io.LimitReader(lock, 32)); err == nil && len(text) > 0 {
		holder = "process " + strings.TrimSpace(string(text))
	}
	return fault.New(fault.Conflict, "shard map %s is being written by %s: only one router at a time may write it", path, holder)
}

// signLock leaves this process's id in the lock file, for the message of the next one.
func signLock(lock *os.File) error {
	if err := lock.Truncate(0); err != nil {
		return err
	}
	_, err := lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// Load reads the map. There being none yet is fault.NotFound.
func (f *File) Load() (*Map, error) { return Read(f.path) }

// Save stores the map durably, in one step: after a crash the file holds either the
// old map or the new one. A map whose epoch is not above the stored one's is a
// fault.Conflict, except for one of the same epoch that differs in canaries alone.
func (f *File) Save(m *Map) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lock == nil {
		return fmt.Errorf("save shard map %s: %w", f.path, fs.ErrClosed)
	}
	switch old, err := Read(f.path); {
	case errors.Is(err, fault.NotFound):
	case err != nil:
		return err
	case old.epoch == m.epoch && old.differsInCanaries(m):
	case old.epoch >= m.epoch:
		return fault.New(fault.Conflict, "shard map %s is at epoch %d already: epoch %d cannot replace it", f.path, old.epoch, m.epoch)
	}
	data, err := m.Encode()
	if err != nil {
		return err
	}
	if err := sealed.Replace(f.path, data); err != nil {
		return fmt.Errorf("save shard map %s: %w", f.path, err)
	}
	return nil
}

// Close gives the lock back. The map stays readable through [Read].
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lock == nil {
		return nil
	}
	err := f.lock.Close() // closing the descriptor releases the lock
	f.lock = nil
	return err
}

// Read reads a stored map without its lock. No file is fault.NotFound; a cut, edited or newer
// one is fault.Invalid, and the error names the file and the reason.
func Read(path string) (*Map, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap(fault.NotFound, "shard map", err)
	}
	if err != nil {
		return nil, fmt.Errorf("shard map: %w", err)
	}
	m, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("shard map %s: %w", path, err)
	}
	return m, nil
}
