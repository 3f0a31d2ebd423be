package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"github.com/lanewise/lanewise/fault"
)

// Inside serves a handler in this process, without a port, and returns a client
// of it. stop ends both.
func Inside(h http.Handler, key string) (c *Client, stop func(), err error) {
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	transport := &http.Transport{DialContext: l.dial}
	if c, err = New(Config{URL: "http://in-process", Key: key, Transport: transport}); err != nil {
		return nil, nil, err
	}
	server := &http.Server{Handler: h} //nolint:gosec // no client but ours reaches it
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) }) // ends with ErrServerClosed
	return c, func() {
		_ = server.Close()
		transport.CloseIdleConnections()
		serving.Wait()
	}, nil
}

// pipeListener accepts the other ends of pipes.
type pipeListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

var errListenerClosed = errors.New("closed")

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		return nil, fault.Wrap(fault.Unavailable, "call the server in this process", errListenerClosed)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept implements net.Listener.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, errListenerClosed
	}
}

// Close implements net.Listener.
func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "in-process", Net: "unix"} }
