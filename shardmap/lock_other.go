//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package shardmap

import (
	"errors"
	"os"
)

// tryLock has no lock to offer here. Refusing is safer than two writers.
func tryLock(*os.File) error { return errors.ErrUnsupported }
