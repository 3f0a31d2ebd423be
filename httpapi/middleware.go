package httpapi

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/access/meter"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tokens"
	"github.com/lanewise/lanewise/search/wire"
)

// recorder is a ResponseWriter that remembers what became of the request.
type recorder struct {
	http.ResponseWriter
	conn   *http.ResponseController
	stall  time.Duration // for which the client may leave what is written unread
	armed  time.Time     // when the connection's deadline was set last
	id     string        // of the request
	route  string        // pattern that matched
	status int
	bytes  int
	wrote  bool
	openAI bool   // errors have OpenAI's form
	caller string // name of its key
	err    error

	event    Event        // what the handler tells of the request
	attempts atomic.Int64 // on all lanes, those of losers among them
	timeline *timeline    // nil: it is not kept

	charged  bool // what its callers may use was looked at
	charges  []*meter.Charge
	embedded *tokens.Counter // for searches and writes; nil: nobody wants to know
}

// WriteHeader remembers the status.
func (w *recorder) WriteHeader(status int) {
	w.wrote, w.status = true, status
	w.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (w *recorder) Write(p []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	written := 0
	for chunk := range slices.Chunk(p, writeChunk) {
		w.arm()
		n, err := w.ResponseWriter.Write(chunk) //nolint:gosec // bodies are JSON, text, or the page that html/template made
		written += n
		w.bytes += n
		if err != nil {
			return written, err //nolint:wrapcheck // this is the writer
		}
	}
	return written, nil
}

// writeChunk is how much of an answer is given to the connection at a time: a client must read at least that much
// before it counts as stalled.
const writeChunk = 64 << 10

// arm gives the client time to read. A deadline is moved only when a part of it has passed, since that costs more
// than a small event. It is left behind for what net/http still holds back: the next request sets its own.
func (w *recorder) arm() {
	now := time.Now()
	if now.Sub(w.armed) < w.stall/4 {
		return
	}
	w.armed = now
	_ = w.conn.SetWriteDeadline(now.Add(w.stall)) // in-memory connections have none
}

// Unwrap lets http.ResponseController reach Flush.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ServeHTTP gives every request an id, keeps panics inside, and tells what became
// of it when it is over.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := &recorder{ResponseWriter: w, conn: http.NewResponseController(w), stall: s.clients.Stall, id: requestID(r)}
	if r.Header.Get("Expect") != "" {
		rec.arm() // net/http writes before the handler does, and the last request's deadline may have passed
	}
	rec.event.Start = time.Now()
	rec.Header().Set("X-Request-Id", rec.id)
	r = s.watch(rec, r)
	defer func() {
		if cause := recover(); cause != nil {
			s.recovered(rec, r, cause)
		}
		s.conclude(rec, r)
	}()
	s.mux.ServeHTTP(rec, r)
}

// recovered turns a panic into a 500. The stack is for the log alone.
func (s *server) recovered(w *recorder, r *http.Request, cause any) {
	if cause == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
		panic(cause)
	}
	s.log.LogAttrs(r.Context(), slog.LevelError, "panic in a handler",
		slog.String("request_id", w.id), slog.Any("panic", cause), slog.String("stack", string(debug.Stack())))
	cut := w.wrote
	s.fail(w, r, fmt.Errorf("panic: %v", cause))
	if cut { // the client must not take half an answer for a whole one
		panic(http.ErrAbortHandler)
	}
}

// requestID takes the client's id if it is harmless in a log, else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if id == "" || len(id) > 128 || strings.ContainsFunc(id, oddInID) {
		return rand.Text()
	}
	return id
}

func oddInID(c rune) bool {
	return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && !strings.ContainsRune("-_.:/+=", c)
}

// handlerFunc is a handler that leaves its errors to the caller.
type handlerFunc func(w *recorder, r *http.Request) error

// serve makes an http.Handler of a route: it finds out who asks, sets the client's
// deadline and turns an error into a problem.
func (s *server) serve(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := w.(*recorder) //nolint:forcetypeassert // ServeHTTP is the only caller
		rec.route, rec.openAI = rt.path, rt.openAI
		r, err := s.admit(rec, rt, r)
		if err != nil {
			s.fail(rec, r, err)
			return
		}
		ctx, cancel, err := deadline(r)
		if err != nil {
			s.fail(rec, r, err)
			return
		}
		defer cancel()
		if s.meter != nil {
			ctx, rec.embedded = tokens.Counting(ctx)
		}
		defer s.settle(rec, r)
		if err := s.chargeAhead(rec, rt, r); err != nil {
			s.fail(rec, r, err)
			return
		}
		if err := rt.handle(rec, r.WithContext(ctx)); err != nil { //nolint:contextcheck // ctx is r's
			s.fail(rec, r, err)
		}
	})
}

// deadline puts the time that the client will wait into the request's context.
func deadline(r *http.Request) (context.Context, context.CancelFunc, error) {
	header := r.Header.Get(wire.TimeoutHeader)
	if header == "" {
		return r.Context(), func() {}, nil
	}
	ms, err := strconv.ParseInt(header, 10, 32)
	if err != nil || ms < 1 {
		return nil, nil, fault.New(fault.Invalid, "header %s: must be a positive number of milliseconds, is %q", wire.TimeoutHeader, header)
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(ms)*time.Millisecond)
	return ctx, cancel, nil
}
