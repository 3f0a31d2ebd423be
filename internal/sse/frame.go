package sse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Frame is one event with the bytes that it came as.
type Frame struct {
	Raw  []byte // with its blank line
	Data []byte // lines joined by \n; nil: a comment, or an event without data
	Name string // of the "event" field; empty: "message"
	More bool   // the next frame has arrived as a whole
}

// Frames splits a stream into events that are to be passed on: nothing of it is
// lost, comments included. Not safe for concurrent use.
type Frames struct {
	r     io.Reader
	limit int
	buf   []byte
	from  int    // where the next frame begins in buf
	to    int    // where what was read ends
	seen  int    // up to here the next frame has no end
	begun bool   // a line was read
	join  []byte // data of several lines
	err   error  // of the reader
}

// frameBytes is what a stream holds as long as its events are no longer.
const frameBytes = 1 << 10

// NewFrames reads from r events of at most limit bytes; 0 means [MaxEvent].
func NewFrames(r io.Reader, limit int) *Frames {
	if limit <= 0 {
		limit = MaxEvent
	}
	return &Frames{r: r, limit: limit, buf: make([]byte, frameBytes)}
}

// Next returns the next frame, whose bytes are valid until the call after it. At
// the end of the stream it returns what lacks its blank line, with one, then
// io.EOF; a stream that breaks off returns the error of its reader.
func (f *Frames) Next() (Frame, error) {
	for {
		end, seen := frameEnd(f.buf[f.from:f.to], f.seen)
		if end > 0 {
			raw := f.buf[f.from : f.from+end]
			f.from, f.seen = f.from+end, 0
			return f.parse(raw), nil
		}
		f.seen = seen
		if f.err != nil {
			return f.last()
		}
		if err := f.fill(); err != nil {
			return Frame{}, err
		}
	}
}

// fill reads more, behind what is there.
func (f *Frames) fill() error {
	if f.to-f.from > f.limit {
		return fmt.Errorf("%w: over %d bytes", ErrTooLong, f.limit)
	}
	if f.from > 0 {
		f.to = copy(f.buf, f.buf[f.from:f.to])
		f.from = 0
	}
	if f.to == len(f.buf) {
		f.buf = append(f.buf, make([]byte, len(f.buf))...)
	}
	n, err := f.r.Read(f.buf[f.to:])
	f.to += n
	f.err = err
	return nil
}

// last returns what is left at the end of the stream.
func (f *Frames) last() (Frame, error) {
	rest := f.buf[f.from:f.to]
	if !errors.Is(f.err, io.EOF) || len(bytes.Trim(rest, "\r\n")) == 0 {
		return Frame{}, f.err
	}
	f.from, f.seen = f.to, 0
	end := rest[len(rest)-1]
	if end != '\n' && end != '\r' {
		end = '\n'
		rest = append(rest, end)
	}
	return f.parse(append(rest, end)), nil
}

// frameEnd returns where the frame at the begin of b ends, behind its blank line,
// or -1 and up to where there is none. It never waits for the byte after a \r.
func frameEnd(b []byte, seen int) (end, without int) {
	at := seen
	for seen == 0 && at < len(b) && (b[at] == '\n' || b[at] == '\r') { // before the first line
		at++
	}
	if at == len(b) {
		return -1, seen
	}
	for {
		stop := lineEnd(b, at)
		next := stop + 1
		if stop >= 0 && next < len(b) && b[stop] == '\r' && b[next] == '\n' {
			next++
		}
		switch {
		case stop < 0:
			return -1, len(b)
		case next >= len(b):
			return -1, stop
		case b[next] == '\r' && next+1 < len(b) && b[next+1] == '\n':
			return next + 2, 0
		case b[next] == '\n' || b[next] == '\r':
			return next + 1, 0
		}
		at = next
	}
}

// lineEnd returns where the line ends that at is in, or -1.
func lineEnd(b []byte, at int) int {
	n := bytes.IndexByte(b[at:], '\n')
	if n < 0 {
		n = len(b) - at
	}
	if r := bytes.IndexByte(b[at:at+n], '\r'); r >= 0 {
		return at + r
	}
	if at+n == len(b) {
		return -1
	}
	return at + n
}

// parse reads the fields of a frame.
func (f *Frames) parse(raw []byte) Frame {
	frame := Frame{Raw: raw, More: f.waiting()}
	lines := 0
	for rest := raw; len(rest) > 0; {
		line := rest
		if end := lineEnd(rest, 0); end >= 0 {
			line, rest = rest[:end], rest[end+1:]
		} else {
			rest = nil
		}
		if !f.begun {
			f.begun = true
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		switch field, value := cut(line); string(field) {
		case "data":
			if lines++; lines == 1 {
				if frame.Data = value; value == nil {
					frame.Data = []byte{} // there is data, of no length
				}
				continue
			}
			if lines == 2 {
				f.join = append(f.join[:0], frame.Data...)
			}
			f.join = append(append(f.join, '\n'), value...)
			frame.Data = f.join
		case "event":
			frame.Name = string(value)
		}
	}
	return frame
}

// waiting reports whether the next frame is there already.
func (f *Frames) waiting() bool {
	if f.from == f.to {
		return false
	}
	end, _ := frameEnd(f.buf[f.from:f.to], 0)
	return end > 0
}
