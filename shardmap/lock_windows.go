package shardmap

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// tryLock takes the lock or returns errHeld. Locks are mandatory here, so it takes a byte far behind
// the process id, which others must be able to read.
func tryLock(f *os.File) error {
	at := &windows.Overlapped{OffsetHigh: 1}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errHeld
	}
	return err
}
