//go:build unix

package plainhttp

import (
	"net"
	"syscall"
)

// looks says that there is a look at connections.
const looks = true

// look returns what tells whether a connection that was kept is open, and nothing was
// sent over it unasked. It costs a system call, and does not wait.
func look(at net.Conn) func() bool {
	over, ok := at.(syscall.Conn)
	if !ok { // in memory
		return func() bool { return true }
	}
	raw, err := over.SyscallConn()
	if err != nil {
		return func() bool { return false }
	}
	var one [1]byte
	quiet := false
	peek := func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT) //nolint:gosec // a descriptor is an int
		quiet = err == syscall.EAGAIN || err == syscall.EINTR                                 //nolint:errorlint // it is given bare
		return true
	}
	return func() bool { return raw.Read(peek) == nil && quiet }
}
