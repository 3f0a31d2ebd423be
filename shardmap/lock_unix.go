//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package shardmap

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the lock or returns errHeld. The kernel drops it with the last
// descriptor, so a killed process leaves no stale lock.
func tryLock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) //nolint:gosec // a descriptor fits an int
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errHeld
	}
	return err
}
