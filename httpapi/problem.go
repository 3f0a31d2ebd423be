package httpapi

import (
	"context"
	"errors"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search/wire"
)

// statusClientGone is for the log alone: nobody is left to read the answer. The
// number is nginx's.
const statusClientGone = 499

// statuses is the only place that knows which error is which status. The first
// row that matches counts: Partial stands first because it wraps the errors of
// the missing shards, and a deadline stands before the classes of upstreams
// because an upstream whose time was up is not broken.
var statuses = [...]struct {
	is      error
	code    int
	meaning string // for /docs; "": not shown there
}{
	{fault.Partial, http.StatusServiceUnavailable, "Shards are missing and the request did not allow it. The report names them."},
	{fault.Invalid, http.StatusBadRequest, "The request is wrong; field says where. Repeating it does not help."},
	{fault.Unauthorized, http.StatusUnauthorized, "The key is missing or not known."},
	{fault.Forbidden, http.StatusForbidden, "The key does not reach that far."},
	{fault.NotFound, http.StatusNotFound, "There is no such collection, alias or point."},
	{fault.Conflict, http.StatusConflict, "Other settings, another embedding space or a newer epoch are in the way."},
	{fault.Overloaded, http.StatusTooManyRequests, "Too busy. Repeat it after the time in Retry-After."},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, "The request's time was up."},
	{fault.Refused, http.StatusBadGateway, "An upstream refused this server's own credentials."},
	{fault.Unavailable, http.StatusServiceUnavailable, "An upstream is down, or not every replica has a write. Repeating is safe."},
	{context.Canceled, http.StatusServiceUnavailable, ""}, // the server is going down; a client that left is told nothing
}

// httpError is an error that exists only on this surface, with its own status.
type httpError struct {
	status int
	header http.Header // to send along, or nil
	err    error
}

func (e *httpError) Error() string { return e.err.Error() }
func (e *httpError) Unwrap() error { return e.err }

// refuse returns an error of class invalid with a status of its own.
func refuse(status int, format string, args ...any) *httpError {
	return &httpError{status: status, err: fault.New(fault.Invalid, format, args...)}
}

// classify returns the status of an error. What nobody classified is a defect.
func classify(err error) int {
	if own, ok := errors.AsType[*httpError](err); ok {
		return own.status
	}
	for _, row := range statuses {
		if errors.Is(err, row.is) {
			return row.code
		}
	}
	return http.StatusInternalServerError
}

// problem describes an error to the client.
func problem(err error) wire.Problem {
	p := wire.NewProblem(err, classify(err))
	p.Detail, p.Field = shortened(p.Detail, mostDetail), shortened(p.Field, mostField)
	if partial, ok := errors.AsType[*router.PartialError](err); ok {
		report := wire.NewReport(partial.Report)
		p.Report = &report
	}
	if unwritten, ok := errors.AsType[*router.WriteError](err); ok {
		p.Replicas = unwritten.Points
	}
	return p
}

// Errors may quote what the client sent, which may be long.
const (
	mostDetail = 1000 // bytes
	mostField  = 200
)

// shortened cuts a long text, between two runes.
func shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// fail answers with an error.
func (s *server) fail(w *recorder, r *http.Request, err error) {
	w.err = err
	own, refused := errors.AsType[*httpError](err) // a body that is late ends the context, too
	if clientGone(r) && !refused {
		if !w.wrote { // a client that has only closed its own end reads on, and must not find an empty 200
			w.WriteHeader(statusClientGone)
		}
		w.status = statusClientGone
		return
	}
	if w.wrote { // the answer has begun: all that is left is to cut it off
		return
	}
	p := problem(err)
	if refused {
		maps.Copy(w.Header(), own.header)
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("Www-Authenticate", "Bearer")
	}
	if wait := fault.RetryAfter(err); wait > 0 {
		w.Header().Set("Retry-After", seconds(wait))
	}
	if w.openAI {
		body, status := asOpenAI(err)
		s.write(w, answer{status: status, body: body})
		return
	}
	s.write(w, answer{status: p.Status, contentType: "application/problem+json", body: p})
}

// clientGone reports whether the client hung up, as opposed to a deadline.
func clientGone(r *http.Request) bool { return errors.Is(r.Context().Err(), context.Canceled) }

// seconds rounds up: who comes back too early is turned away again.
func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
