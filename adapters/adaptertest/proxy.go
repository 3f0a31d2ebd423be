package adaptertest

import (
	"net"
	"sync"
	"testing"
)

// proxy stands on the wire between a store and its engine and fails as a server
// would: it hangs as a process does that is stopped, dies and comes back at the same
// address, and breaks an answer off in the middle.
type proxy struct {
	address string        // that it listens on
	engine  string        // that it leads to
	held    chan struct{} // gets a value when a request arrives while it hangs
	running sync.WaitGroup

	mu    sync.Mutex
	l     net.Listener // nil while it is dead
	conns map[net.Conn]struct{}
	gate  chan struct{} // closed unless it hangs
	quota int           // bytes of answers that it passes before it dies; below 0: all
}

// newProxy starts one for a test.
func newProxy(t *testing.T, engine string) *proxy {
	t.Helper()
	p := &proxy{
		engine: engine, held: make(chan struct{}, 1), conns: map[net.Conn]struct{}{}, gate: make(chan struct{}), quota: -1,
	}
	close(p.gate)
	p.listen(t, "127.0.0.1:0")
	p.address = p.l.Addr().String()
	t.Cleanup(func() {
		p.thaw()
		p.kill()
		p.running.Wait()
	})
	return p
}

func (p *proxy) listen(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.l = l
	p.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() { p.serve(l, conn) })
		}
	})
}

// serve carries one connection.
func (p *proxy) serve(l net.Listener, client net.Conn) {
	defer client.Close()                          //nolint:errcheck // it has come to its end
	server, err := net.Dial("tcp", p.engine)      //nolint:noctx // on this machine
	if err != nil || !p.keep(l, client, server) { // it died meanwhile
		return
	}
	defer server.Close() //nolint:errcheck // it has come to its end
	var both sync.WaitGroup
	both.Go(func() { p.pass(client, server, false) })
	both.Go(func() { p.pass(server, client, true) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, client)
	delete(p.conns, server)
}

// keep notes connections for kill; false where l is dead already.
func (p *proxy) keep(l net.Listener, conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.l != l {
			_ = c.Close()
			continue
		}
		p.conns[c] = struct{}{}
	}
	return p.l == l
}

// pass copies one direction until either end is closed.
func (p *proxy) pass(from, to net.Conn, answers bool) {
	defer to.Close() //nolint:errcheck // tells the other end
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			n = p.wait(n, answers)
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
		if answers && p.spent() {
			p.kill()
			return
		}
	}
}

// wait holds n bytes while the proxy hangs, and returns how many of them may pass.
func (p *proxy) wait(n int, answers bool) int {
	p.mu.Lock()
	gate := p.gate
	p.mu.Unlock()
	select {
	case <-gate:
	default:
		if !answers {
			select {
			case p.held <- struct{}{}:
			default:
			}
		}
		<-gate
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !answers || p.quota < 0 {
		return n
	}
	n = min(n, p.quota)
	p.quota -= n
	return n
}

func (p *proxy) spent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.quota == 0
}

// freeze makes it hang: connections are accepted, and nothing passes any more.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = make(chan struct{})
	select {
	case <-p.held:
	default:
	}
}

// thaw lets everything through that was held, in its order.
func (p *proxy) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

// cut makes it die after n more bytes of answers.
func (p *proxy) cut(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quota = n
}

// kill resets all connections and refuses new ones, as the death of a process does.
// What was held is lost.
func (p *proxy) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.l == nil {
		return
	}
	_ = p.l.Close()
	p.l = nil
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, not an orderly end
		}
		_ = c.Close()
	}
	clear(p.conns)
	select {
	case <-p.gate:
	default:
		close(p.gate) // whoever waits finds its connections closed
	}
}

// restart listens on the same address again.
func (p *proxy) restart(t *testing.T) {
	t.Helper()
	p.cut(-1)
	p.listen(t, p.address)
}
