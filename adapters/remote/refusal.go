package remote

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search/wire"
)

const (
	maxProblem = 1 << 20 // bytes of an error body that are read
	maxDetail  = 200     // bytes of a foreign error body that are shown
)

// refusal turns an answer that is not 200 into an error of the same class.
func (s *Store) refusal(ctx context.Context, op string, resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil && ctx.Err() != nil {
		return s.ended(op, ctx.Err())
	}
	e := &fault.Error{Class: classOf(resp.StatusCode), Message: foreign(resp.Status, body)}
	if p, err := wire.Decode[wire.Problem](body); err == nil {
		adopt(e, p)
	}
	switch {
	case ctx.Err() != nil:
		return s.ended(op, ctx.Err())
	case e.Class == fault.Unauthorized || e.Class == fault.Forbidden: // it means our key
		e.Class = fault.Refused
	}
	if e.RetryAfter == 0 {
		e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"))
	}
	e.Message = op + " on " + s.address + ": " + e.Message
	return e
}

// adopt takes over what a lanewise server says. A class that this program does
// not know, "timeout" among them, leaves the class of the status.
func adopt(e *fault.Error, p wire.Problem) {
	if class := fault.Of(p.Err()); class != "" {
		e.Class = class
	}
	e.Message, e.Field = p.Text(), p.Field
	e.RetryAfter = p.Wait()
}

// classOf is for servers that are not lanewise: a proxy on the way, or a wrong
// address. The time that is up on 504 is the server's own.
func classOf(status int) fault.Class {
	switch status {
	case http.StatusBadRequest:
		return fault.Invalid
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.Refused
	case http.StatusNotFound:
		return fault.NotFound
	case http.StatusConflict:
		return fault.Conflict
	case http.StatusTooManyRequests:
		return fault.Overloaded
	default:
		return fault.Unavailable
	}
}

// foreign describes an error body that may be anything, for it is not lanewise's.
func foreign(status string, body []byte) string {
	const question = ": is it a lanewise server?"
	if len(body) == 0 {
		return status + question
	}
	return fmt.Sprintf("%s: %q%s", status, body[:min(len(body), maxDetail)], question)
}

// longestWait bounds what a server may ask for, so that no number overflows.
const longestWait = 24 * time.Hour

// retryAfter reads a Retry-After header: seconds or a date.
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(min(max(seconds, 0), int(longestWait/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return min(max(time.Until(at), 0), longestWait)
	}
	return 0
}

// ended is the end of the caller's context.
func (s *Store) ended(op string, err error) error {
	return fmt.Errorf("%s on %s: %w", op, s.address, err)
}
