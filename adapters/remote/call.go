package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tracing"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

// request and response are the bodies of the replica protocol.
type request interface {
	search.Query | search.Batch | wire.Keys | search.Scan | search.TermQuery
}

type response interface {
	search.Result | search.Written | []search.Point | search.Page | int | []search.Stats | search.TermStats
}

// call sends body to one of the server's operations and returns its answer.
func call[Q request, R response](ctx context.Context, s *Store, op string, body Q) (answer R, err error) {
	if !s.underWay.Begin() {
		return answer, s.unavailable(op, "the store is closed")
	}
	defer s.underWay.Done()
	if err := ctx.Err(); err != nil {
		return answer, s.ended(op, err)
	}
	data, err := wire.MarshalReplica(body)
	if err != nil {
		return answer, err //nolint:wrapcheck // Invalid: it names its field
	}
	data, err = s.exchange(ctx, op, data)
	if err != nil {
		return answer, err
	}
	answer, err = wire.UnmarshalReplica[R](data)
	if err != nil {
		return answer, s.unavailable(op, "the answer is not readable: "+err.Error())
	}
	return answer, nil
}

// exchange posts a body and returns the body of a 200. It goes to the transport
// directly: redirects are not followed, so the key stays with this server.
func (s *Store) exchange(ctx context.Context, op string, data []byte) ([]byte, error) {
	resp, err := s.transport.RoundTrip(s.request(ctx, op, data))
	if err != nil {
		return nil, s.broken(ctx, op, err)
	}
	defer resp.Body.Close() //nolint:errcheck // the answer is read or given up
	if resp.StatusCode != http.StatusOK {
		return nil, s.refusal(ctx, op, resp)
	}
	answer, err := s.read(resp)
	if err != nil {
		return nil, s.broken(ctx, op, err)
	}
	return answer, nil
}

// request fills a copy of the operation's template.
func (s *Store) request(ctx context.Context, op string, data []byte) *http.Request {
	req := s.calls[op].WithContext(ctx)
	deadline, bounded := ctx.Deadline()
	if bounded || tracing.Traced(ctx) {
		req.Header = maps.Clone(req.Header)
		tracing.Header(ctx, req.Header)
	}
	if bounded {
		left := max(time.Until(deadline).Milliseconds(), 1)
		req.Header[wire.TimeoutHeader] = []string{strconv.FormatInt(left, 10)}
	}
	req.ContentLength = int64(len(data))
	req.Body = io.NopCloser(bytes.NewReader(data))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	return req
}

var errTooLarge = errors.New("the answer is too large")

// read returns the whole body, which is freshly allocated.
func (s *Store) read(resp *http.Response) ([]byte, error) {
	switch n := resp.ContentLength; {
	case n > s.maxResponse:
		return nil, errTooLarge
	case n >= 0:
		data := make([]byte, n)
		_, err := io.ReadFull(resp.Body, data)
		return data, err
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, s.maxResponse+1))
	if err == nil && int64(len(data)) > s.maxResponse {
		return nil, errTooLarge
	}
	return data, err
}

// broken judges an error of the connection. Its text is kept and not the error:
// a dial that timed out says that it is context.DeadlineExceeded, and would look
// like the end of the caller's time.
func (s *Store) broken(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return s.ended(op, ctx.Err())
	}
	return s.unavailable(op, err.Error())
}

func (s *Store) unavailable(op, why string) error {
	return fault.New(fault.Unavailable, "%s on %s: %s", op, s.address, why)
}
