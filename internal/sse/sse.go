// Package sse reads server-sent events (WHATWG HTML, "Server-sent events") as
// model servers really send them: with any line ending, comments, data over
// several lines, and without the blank line after the last event.
package sse

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// MaxEvent is the default bound on one event, in bytes.
const MaxEvent = 1 << 20

// ErrTooLong is an event that is longer than the reader's bound.
var ErrTooLong = errors.New("server-sent event is too long")

// Event is one event of a stream.
type Event struct {
	Name string // of the "event" field; empty: "message"
	Data []byte // lines joined by \n; valid until the next call of Next
}

// Reader splits a stream into events. Not safe for concurrent use.
type Reader struct {
	r      *bufio.Reader
	limit  int
	line   []byte
	data   []byte
	begun  bool // past a byte order mark
	skipLF bool // the last line ended in \r, so a \n that follows belongs to it
}

// NewReader reads from r events of at most limit bytes; 0 means [MaxEvent].
func NewReader(r io.Reader, limit int) *Reader {
	if limit <= 0 {
		limit = MaxEvent
	}
	return &Reader{r: bufio.NewReader(r), limit: limit}
}

// Next returns the next event that has data. At the end of the stream it returns
// the data of an event that lacks its blank line, then io.EOF; a stream that
// breaks off returns the error of its reader.
func (r *Reader) Next() (Event, error) {
	var e Event
	r.data = r.data[:0]
	seen := false // of a data field, since data may be empty
	for {
		line, err := r.readLine()
		if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0 && !seen) {
			return Event{}, err
		}
		if len(line) == 0 { // the event ends here, or the stream does
			if seen {
				e.Data = r.data
				return e, nil
			}
			e = Event{} // an event without data is none
			continue
		}
		switch field, value := cut(line); string(field) {
		case "data":
			if seen {
				r.data = append(r.data, '\n')
			}
			r.data, seen = append(r.data, value...), true
		case "event":
			e.Name = string(value)
		}
		if len(r.data) > r.limit {
			return Event{}, fmt.Errorf("%w: over %d bytes", ErrTooLong, r.limit)
		}
	}
}

// readLine returns a line without its end: \n, \r or \r\n. It never waits for the
// byte after a \r, which may be long in coming.
func (r *Reader) readLine() ([]byte, error) {
	r.line = r.line[:0]
	for {
		b, err := r.r.ReadByte()
		if err != nil {
			return r.line, err
		}
		skip := r.skipLF && b == '\n'
		r.skipLF = b == '\r'
		switch {
		case skip:
			continue
		case b == '\n' || b == '\r':
			return r.withoutBOM(), nil
		case len(r.line) >= r.limit:
			return nil, fmt.Errorf("%w: a line of over %d bytes", ErrTooLong, r.limit)
		}
		r.line = append(r.line, b)
	}
}

// withoutBOM returns the line, without a byte order mark if it is the first one.
func (r *Reader) withoutBOM() []byte {
	first := !r.begun
	r.begun = true
	if first && len(r.line) >= 3 && string(r.line[:3]) == "\ufeff" {
		return r.line[3:]
	}
	return r.line
}

// cut divides a line at its first colon and drops one space after it. A comment
// has an empty field name.
func cut(line []byte) (field, value []byte) {
	field, value, _ = bytes.Cut(line, []byte(":"))
	return field, bytes.TrimPrefix(value, []byte(" "))
}
