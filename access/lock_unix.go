//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package access

import (
	"os"
	"syscall"
)

// lock waits for the lock of a file. The kernel drops it with the last descriptor, so that a killed process
// leaves no stale one.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) //nolint:gosec,wrapcheck // a descriptor fits an int; UpdateFile wraps
}
