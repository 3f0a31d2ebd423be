//go:build unix

package local

import (
	"errors"
	"os"
	"syscall"
)

// lock takes the lock on an open file that bbolt takes later on, so that nobody
// writes to the file while it is inspected. The system frees it with the process.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) //nolint:gosec // a descriptor is small
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errInUse
	}
	return err
}
