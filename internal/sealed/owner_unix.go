//go:build unix

package sealed

import (
	"io/fs"
	"os"
	"syscall"
)

// give hands a file to the owner of another one. Only root may do so, and others to groups that they are in: where that is
// refused it stays what it is.
func give(f *os.File, like fs.FileInfo) {
	if s, ok := like.Sys().(*syscall.Stat_t); ok && f.Chown(int(s.Uid), int(s.Gid)) != nil {
		_ = f.Chown(-1, int(s.Gid))
	}
}
