package weaviate_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// mux puts both addresses of a server behind one, as a proxy before a cluster would:
// what begins as HTTP/2 goes to gRPC, everything else to REST.
type mux struct {
	listener   net.Listener
	rest, grpc string

	mu   sync.Mutex
	open map[net.Conn]bool
	busy sync.WaitGroup
}

// newMux starts a mux that ends with the test and returns its address.
func newMux(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mux{listener: l, open: map[net.Conn]bool{}}
	m.rest, m.grpc = server(t)
	m.busy.Go(m.accept)
	t.Cleanup(m.close)
	return l.Addr().String()
}

func (m *mux) accept() {
	for {
		c, err := m.listener.Accept()
		if err != nil {
			return
		}
		m.busy.Go(func() { m.serve(c) })
	}
}

// keep notes a connection, so that close ends it.
func (m *mux) keep(c net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open == nil {
		c.Close() //nolint:errcheck // it was not used
		return
	}
	m.open[c] = true
}

func (m *mux) close() {
	m.listener.Close() //nolint:errcheck // it accepts no more
	m.mu.Lock()
	for c := range m.open {
		c.Close() //nolint:errcheck // whoever reads it notices
	}
	m.open = nil
	m.mu.Unlock()
	m.busy.Wait()
}

func (m *mux) serve(c net.Conn) {
	defer c.Close() //nolint:errcheck // the other side notices
	m.keep(c)
	first := make([]byte, 3)
	if _, err := io.ReadFull(c, first); err != nil {
		return
	}
	to := m.rest
	if string(first) == "PRI" {
		to = m.grpc
	}
	up, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer up.Close() //nolint:errcheck // the other side notices
	m.keep(up)
	if _, err := up.Write(first); err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(c, up)
		c.Close() //nolint:errcheck // ends the copy below
	})
	_, _ = io.Copy(up, c)
	up.Close() //nolint:errcheck // ends the copy above
	back.Wait()
}
