package openaiwire

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
)

// payload is the body of a request, which net/http would hold for as long as the
// answer is open. A reader of another type would do, but only bytes.Reader and its
// like are sent together with the headers.
type payload struct {
	long    bool // the answer may stay open for long
	data    []byte
	reader  *bytes.Reader // that the request reads, or read last
	written atomic.Bool   // the request was sent to its end
}

// request returns a POST of data, which release lets go.
func (p *payload) request(ctx context.Context, to *url.URL, data []byte) *http.Request {
	p.data, p.reader = data, bytes.NewReader(data)
	p.written.Store(false)
	if p.long {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			WroteRequest: func(i httptrace.WroteRequestInfo) { p.written.Store(i.Err == nil) },
		})
	}
	req := &http.Request{
		Method: http.MethodPost, URL: to, Host: to.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, 4), Body: io.NopCloser(p.reader), ContentLength: int64(len(data)),
		GetBody: func() (io.ReadCloser, error) { // for another connection, where one turns out to be closed
			p.reader = bytes.NewReader(p.data)
			return io.NopCloser(p.reader), nil
		},
	}
	return req.WithContext(ctx)
}

// release lets the data go, if nobody reads it any more. There is an answer.
func (p *payload) release() {
	if p.written.Load() {
		p.reader.Reset(nil)
		p.data = nil
	}
}
