package plainhttp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	readBuffer = 2 << 10 // bytes, of each connection, open streams among them; long answers are read past it
	maxInterim = 5       // answers such as 103 before the one that counts
)

// conn is a connection, with one call at a time.
type conn struct {
	net.Conn
	reader *bufio.Reader // of the conn
	keep   func(*conn)   // for the next call
	quiet  func() bool   // it is still open, and nothing was sent over it unasked
	since  time.Time     // when it was kept
	limit  int64         // bytes that the header of an answer may have
	left   int64         // bytes that may be read now
}

func newConn(to net.Conn, keep func(*conn), limit int64) *conn {
	c := &conn{Conn: to, keep: keep, quiet: look(to), limit: limit}
	c.reader = bufio.NewReaderSize(c, readBuffer)
	return c
}

// Read bounds the header of an answer.
func (c *conn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("the answer's header is longer than %d bytes", c.limit)
	}
	n, err := c.Conn.Read(p)
	c.left -= int64(n)
	return n, err //nolint:wrapcheck // io.EOF, or the connection's
}

// send writes a request. A server may answer, and close, before it has read it.
func (c *conn) send(request []byte) error {
	_, err := c.Write(request)
	return err //nolint:wrapcheck // the connection's
}

// answer returns the answer to a request that was sent, or could not be.
func (c *conn) answer(req *http.Request, unhook func() bool, failed error) (*http.Response, error) {
	ctx := req.Context()
	resp, err := c.read(req)
	if err != nil {
		unhook()
		_ = c.Close()
		switch {
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		case failed != nil:
			err = failed
		}
		return nil, err
	}
	b := &body{ReadCloser: resp.Body, conn: c, ctx: ctx, unhook: unhook, last: resp.Close || req.Close || failed != nil}
	if resp.Body == http.NoBody {
		b.end(true)
	} else {
		resp.Body = b
	}
	return resp, nil
}

// read reads the header of an answer.
func (c *conn) read(req *http.Request) (*http.Response, error) {
	c.left = c.limit
	for range maxInterim {
		resp, err := http.ReadResponse(c.reader, req) //nolint:bodyclose // the caller's
		switch {
		case err != nil:
			return nil, fmt.Errorf("read the answer: %w", err)
		case resp.StatusCode >= http.StatusOK:
			c.left = math.MaxInt64
			return resp, nil
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return nil, fmt.Errorf("the server changes to another protocol, unasked")
		}
	}
	return nil, fmt.Errorf("the server has sent %d interim answers", maxInterim)
}

// body is that of an answer. At its end the connection is kept; where it is closed
// before, that is cut off.
type body struct {
	io.ReadCloser
	conn   *conn
	ctx    context.Context //nolint:containedctx // governs the whole answer
	unhook func() bool     // what closes the connection with ctx
	last   bool            // the connection ends with this answer
	ended  atomic.Bool
}

// Read reads on, or fails with the cause for which the call has ended.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	b.end(err == io.EOF)                     //nolint:errorlint // it is given bare
	if err != io.EOF && b.ctx.Err() != nil { //nolint:errorlint // as above
		err = context.Cause(b.ctx)
	}
	return n, err //nolint:wrapcheck // io.EOF, the connection's or the context's
}

// Close may be called while Read waits, which fails then.
func (b *body) Close() error {
	b.end(false)
	return nil
}

// end parts with the connection, once.
func (b *body) end(whole bool) {
	if b.ended.Swap(true) {
		return
	}
	if b.unhook() && whole && !b.last && b.conn.reader.Buffered() == 0 {
		b.conn.keep(b.conn)
	} else {
		_ = b.conn.Close()
	}
}
