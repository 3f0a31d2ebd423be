//go:build !unix

package plainhttp

import "net"

// looks says that there is no look at connections that would not wait, without which
// none can be kept: all calls are handed on.
const looks = false

func look(net.Conn) func() bool { return func() bool { return false } }
