package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/lanewise/lanewise/fault"
)

// Backup writes the whole store to w, as of one moment, while reads and writes
// go on. [Restore] reads it back. It ends early when ctx does.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	if s.state.Load() == nil {
		return errClosed()
	}
	return s.guard("back up", func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			_, err := tx.WriteTo(cancelled{ctx, w})
			return err
		})
	})
}

// cancelled is a writer that stops when its context does.
type cancelled struct {
	ctx context.Context //nolint:containedctx // lives for one call of Backup
	w   io.Writer
}

func (c cancelled) Write(b []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.w.Write(b)
}

// Restore makes the directory path, which must hold no store yet, into a copy of
// the store that [Store.Backup] wrote to r. The copy is read and checked whole
// before it gets its name: a backup that is cut short or damaged leaves nothing
// behind and is fault.Unavailable.
func Restore(path string, r io.Reader) error {
	name := filepath.Join(path, fileName)
	if _, err := os.Lstat(name); err == nil {
		return fault.New(fault.Conflict, "restore: %s is already there", name)
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return fault.Wrap(fault.Unavailable, "restore", err)
	}
	if err := restore(path, name, r); errors.Is(err, fault.Conflict) {
		return err
	} else if err != nil {
		return fault.Wrap(fault.Unavailable, "restore "+name, err)
	}
	return nil
}

// restore works in a directory beside the final name, so that the check can open
// the copy as a store.
func restore(path, name string, r io.Reader) (err error) {
	dir, err := os.MkdirTemp(path, ".restore-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	draft := filepath.Join(dir, fileName)
	if err := copyDurably(draft, r); err != nil {
		return err
	}
	if err := check(dir); err != nil {
		return err
	}
	if err := settle(draft, name); err != nil {
		return err
	}
	return syncDir(path)
}

// settle gives a file its name, unless another one came to have it meanwhile. Where the file system has no
// links, the look before is all there is.
func settle(draft, name string) error {
	err := os.Link(draft, name)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return fault.New(fault.Conflict, "restore: %s has come to be there", name)
	}
	return os.Rename(draft, name)
}

func copyDurably(name string, r io.Reader) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the path is the operator's
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Flush(), f.Sync(), f.Close())
}

// check opens a store and reads every record of it.
func check(dir string) error {
	s, err := Open(Config{Path: dir})
	if err != nil {
		return err
	}
	return errors.Join(s.Verify(context.Background()), s.Close())
}

// Verify reads every record of the store and compares its checksum: rows are
// also checked whenever a store is opened, documents only here and when a hit
// needs them. Damage is fault.Unavailable and names the file.
func (s *Store) Verify(ctx context.Context) error {
	st := s.acquire()
	if st == nil {
		return errClosed()
	}
	defer st.release()
	for _, c := range st.collections {
		if err := s.verify(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) verify(ctx context.Context, c *collection) error {
	return s.read(c, func(h *shelf) error {
		var failed error
		c.tenants.ascend("", func(_ string, p *part) bool {
			failed = h.verify(ctx, p)
			return failed == nil
		})
		return failed
	})
}

// verify reads both records of every point of a tenant.
func (h *shelf) verify(ctx context.Context, p *part) error {
	for _, b := range p.blocks {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for row := range b.n {
			if !b.isLive(row) {
				continue
			}
			number := b.records[row]
			if _, err := decodeRow(number, h.rows.Get(recordKey(number))); err != nil {
				return fmt.Errorf("row %d of collection %q: %w", number, h.name, err)
			}
			if !b.docs[row] {
				continue
			}
			if _, err := h.document(number); err != nil {
				return err
			}
		}
	}
	return nil
}
