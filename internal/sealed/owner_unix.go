//go:build unix

package sealed

import (
	"io/fs"
	"os"
	"syscall"
)

// give hands a file to the owner of another one, if that is not the same already: a hardened service may not even ask for that. Only
// root can give files away, and others to groups that they are in: where that is refused it stays what it is.
func give(f *os.File, like fs.FileInfo) {
	info, err := f.Stat()
	if err != nil {
		return
	}
	own, known := info.Sys().(*syscall.Stat_t)
	s, ok := like.Sys().(*syscall.Stat_t)
	if !ok || !known || own.Uid == s.Uid && own.Gid == s.Gid {
		return
	}
	if f.Chown(int(s.Uid), int(s.Gid)) != nil {
		_ = f.Chown(-1, int(s.Gid))
	}
}
