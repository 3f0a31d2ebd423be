package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// mapped is how much address space a store maps at once: as long as the file is
// smaller, a growing file never makes readers wait for a new map.
const mapped = 1 << 30

var errInUse = errors.New("the store is open in another process, or twice in this one: stop that one, or choose another folder")

// open opens the file, makes it if there is none, and loads it.
func (s *Store) open() error {
	if _, err := os.Lstat(s.file); errors.Is(err, fs.ErrNotExist) {
		if err := s.create(); err != nil {
			return err
		}
	}
	db, err := openBolt(s.file, inspectLocked)
	if err != nil {
		return err
	}
	s.db = db
	if err := s.settle(); err != nil {
		return err
	}
	return db.View(s.load)
}

// create makes a new file under another name first: whatever has the right name
// was once complete, and a file that is empty has lost its contents.
func (s *Store) create() error {
	draft := s.file + ".new"
	db, err := openBolt(draft, func(f *os.File) error {
		return errors.Join(lock(f), f.Truncate(0))
	})
	if err != nil {
		return err
	}
	if err := errors.Join(db.Update(prepare), db.Close()); err != nil {
		return err
	}
	if err := os.Rename(draft, s.file); err != nil {
		return err
	}
	return syncDir(s.cfg.Path)
}

// openBolt opens a file with bbolt after looking at it.
func openBolt(name string, look func(*os.File) error) (*bbolt.DB, error) {
	db, err := bbolt.Open(name, 0o600, &bbolt.Options{
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode) //nolint:gosec // the path is the operator's
			if err != nil {
				return nil, err
			}
			if err := look(f); err != nil {
				return nil, errors.Join(err, f.Close())
			}
			return f, nil
		},
		Timeout:         1, // the lock is there or it is not
		NoFreelistSync:  true,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mapped,
		NoStatistics:    true,
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, errInUse
	}
	return db, err
}

func inspectLocked(f *os.File) error {
	if err := lock(f); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return inspect(f, info.Size())
}

// settle brings an old file to the current format and refuses a newer one.
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
	case have == 0:
		return errors.New("the file is not a lanewise store")
	case have > format:
		return fmt.Errorf("the file has format %d, this program writes format %d: use a newer release", have, format)
	}
	return s.db.Update(func(tx *bbolt.Tx) error { return migrate(tx, have, migrations()) })
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path) //nolint:gosec // the path is the operator's
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
