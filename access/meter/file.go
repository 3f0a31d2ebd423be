package meter

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/lanewise/lanewise/fault"
)

// table is the bucket of the accounts in the file.
var table = []byte("accounts")

// lockWait is how long another process may take to let go of the file.
const lockWait = time.Second

func (m *Meter) open() error {
	if err := os.MkdirAll(filepath.Dir(m.config.File), 0o750); err != nil {
		return fmt.Errorf("make the folder of the budgets: %w", err)
	}
	file, err := bbolt.Open(m.config.File, 0o600, &bbolt.Options{Timeout: lockWait})
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return fault.New(fault.Conflict, "open the budgets: another process has %s open", m.config.File)
	}
	if err != nil {
		return fmt.Errorf("open the budgets in %s: %w", m.config.File, err)
	}
	if err := file.Update(prune(monthOf(time.Now()))); err != nil {
		return errors.Join(fmt.Errorf("read the budgets in %s: %w", m.config.File, err), file.Close())
	}
	m.file = file
	return nil
}

// prune makes the table, and takes accounts out that nothing was used of in this month and the one before.
func prune(month int64) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(table)
		if err != nil {
			return err //nolint:wrapcheck // open says what was being done
		}
		var old [][]byte
		err = b.ForEach(func(k, v []byte) error {
			if r, ok := decode(v); !ok || max(r.months[0].number, r.months[1].number) < month-1 {
				old = append(old, bytes.Clone(k))
			}
			return nil
		})
		for _, k := range old {
			err = errors.Join(err, b.Delete(k))
		}
		return err //nolint:wrapcheck // open says what was being done
	}
}

// kept is what the file knows of an account.
func (m *Meter) kept(of id) (r record) {
	if m.file == nil {
		return r
	}
	_ = m.file.View(func(tx *bbolt.Tx) error { // it fails only once it is closed
		r, _ = decode(tx.Bucket(table).Get(of.bytes()))
		return nil
	})
	return r
}

// write brings changes to the file until the meter is closed.
func (m *Meter) write() {
	ticker := time.NewTicker(m.config.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			m.flush()
		case <-m.stop:
			return
		}
	}
}

// flush writes what has changed, all of it or nothing. What could not be written is tried again the next time.
func (m *Meter) flush() {
	m.mu.Lock()
	m.writing, m.changed = m.changed, map[id]*account{}
	data := make(map[id][]byte, len(m.writing))
	for of, a := range m.writing {
		data[of] = a.encode()
	}
	m.mu.Unlock()
	var err error
	if len(data) > 0 {
		err = m.file.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(table)
			for of, r := range data {
				if err := b.Put(of.bytes(), r); err != nil {
					return err //nolint:wrapcheck // logged below
				}
			}
			return nil
		})
	}
	m.wrote(len(data) > 0, err)
}

// wrote takes note of how a write went.
func (m *Meter) wrote(some bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		for of, a := range m.writing {
			if m.changed[of] == nil {
				m.changed[of] = a
			}
		}
	}
	m.writing = nil
	switch failed := err != nil; {
	case !some || failed == m.stats.Failed:
		return
	case failed:
		m.config.Log.Error("budgets are not written: a restart would lose what is used from now on", "file", m.config.File, "error", err)
	default:
		m.config.Log.Info("budgets are written again", "file", m.config.File)
	}
	m.stats.Failed = err != nil
}

// Close writes what has changed, and tells the ledger. Requests that are settled later are not in the file.
func (m *Meter) Close() error {
	m.ending.Do(func() { close(m.stop) })
	m.done.Wait()
	if m.file == nil {
		return nil
	}
	m.flush()
	m.mu.Lock()
	failed := m.stats.Failed
	m.mu.Unlock()
	err := m.file.Close()
	if failed {
		err = errors.Join(fault.New(fault.Unavailable, "the last budgets could not be written to %s", m.config.File), err)
	}
	if err != nil {
		return fmt.Errorf("close the budgets: %w", err)
	}
	return nil
}
