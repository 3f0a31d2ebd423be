// Package plainhttp makes calls over HTTP/1.1 without TLS in the goroutine of their
// caller.
//
// net/http's Transport has two goroutines for each connection, so that a call is
// handed over four times, and a hand-over may wake a thread. Behind a proxy that is a
// fifth of what a call costs. Here the caller writes the request with one system call
// and reads the answer itself. The messages are net/http's own (Request.Write,
// ReadResponse); what is done here is to keep connections, and to end them.
package plainhttp

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// maxBody bounds a body that is written before anything is read, in bytes: what the
// buffers of two sockets hold, in case that the server answers and does not read on.
const maxBody = 64 << 10

// Transport is an http.RoundTripper. It hands on the calls that it has no way for:
// those with TLS, through a proxy, with bodies that are long or of unknown length, and
// upgrades. It has no hooks for httptrace but WroteRequest, and asks for no
// compression. Safe for concurrent use.
type Transport struct {
	// Else takes the other calls. Its DialContext, Proxy, MaxIdleConnsPerHost,
	// IdleConnTimeout and MaxResponseHeaderBytes hold here, too, and must be set, but
	// for Proxy.
	Else *http.Transport

	idle    shelf
	buffers sync.Pool
}

var _ http.RoundTripper = (*Transport)(nil)

// RoundTrip makes one call. The end of its context comes back as that's cause. A
// connection that was kept is looked at before; if its server closes it just then, the
// call fails: it is not for this package to say that it may be made twice.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !t.takes(req) {
		return t.Else.RoundTrip(req) //nolint:wrapcheck // it is one
	}
	out, _ := t.buffers.Get().(*bytes.Buffer)
	if out == nil {
		out = new(bytes.Buffer)
	}
	out.Reset()
	if err := req.Write(out); err != nil { // it closes the body, too
		return nil, fmt.Errorf("word the request: %w", err)
	}
	c, err := t.connect(req.Context(), address(req.URL))
	if err != nil {
		return nil, err
	}
	unhook := context.AfterFunc(req.Context(), func() { _ = c.Close() })
	failed := c.send(out.Bytes())
	t.buffers.Put(out) // the answer may take its time
	return c.answer(req, unhook, failed)
}

// CloseIdleConnections closes what is kept.
func (t *Transport) CloseIdleConnections() {
	t.idle.clear()
	t.Else.CloseIdleConnections()
}

// takes reports whether a call can be made here.
func (t *Transport) takes(req *http.Request) bool {
	switch {
	case !looks || req.URL.Scheme != "http" || req.URL.Host == "" || strings.ContainsFunc(req.URL.Host, foreign):
		return false
	case req.ContentLength < 0 || req.ContentLength > maxBody || req.ContentLength == 0 && req.Body != nil && req.Body != http.NoBody:
		return false
	case len(req.Header["Upgrade"]) > 0 || len(req.Header["Expect"]) > 0:
		return false
	case t.Else.Proxy == nil:
		return true
	}
	proxy, err := t.Else.Proxy(req)
	return proxy == nil && err == nil
}

// foreign reports letters by which a name has to be encoded first.
func foreign(r rune) bool { return r >= 0x80 }

func address(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	return net.JoinHostPort(u.Hostname(), "80")
}

// connect returns a connection that was kept, or a new one.
func (t *Transport) connect(ctx context.Context, address string) (*conn, error) {
	if c := t.idle.take(address); c != nil {
		return c, nil
	}
	to, err := t.Else.DialContext(ctx, "tcp", address)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx) //nolint:wrapcheck // as it is
	case err != nil:
		return nil, err //nolint:wrapcheck // it names the address
	}
	keep := func(c *conn) { t.idle.put(address, c, t.Else.MaxIdleConnsPerHost, t.Else.IdleConnTimeout) }
	return newConn(to, keep, t.Else.MaxResponseHeaderBytes), nil
}
