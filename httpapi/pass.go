package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/lanewise/lanewise/llm/relay"
)

// stallTime is how long a client may leave a stream unread before it is cut off:
// what the connection's buffers do not hold waits in the upstream, whose slot it
// takes.
const stallTime = 30 * time.Second

// pass writes the events of a stream as they come, and flushes where the client
// would wait otherwise. An error after the first one is an event, too.
func (s *server) pass(w *recorder, r *http.Request, stream relay.Stream) {
	h := w.Header()
	h["Content-Type"] = []string{"text/event-stream; charset=utf-8"}
	h["Cache-Control"] = []string{"no-cache"}
	h["X-Accel-Buffering"] = []string{"no"} // nginx would hold the events back
	w.WriteHeader(http.StatusOK)
	out := outlet{w: w, conn: http.NewResponseController(w), stall: s.stallTime}
	defer out.done()
	for out.err == nil {
		e, err := stream.Next()
		switch {
		case errors.Is(err, io.EOF):
			out.flush()
			return
		case err != nil:
			w.err = err
			if !clientGone(r) {
				out.write(errorEvent(err))
				out.flush()
			}
			return
		}
		if e.Counts {
			w.event.Usage = e.Usage
		}
		raw := e.Raw
		if e.Counts && e.Usage.Cost > 0 {
			raw = relay.WithCost(raw, &e.Usage)
		}
		out.write(raw)
		if !e.More {
			out.flush()
		}
	}
	w.err = out.err
}

// errorEvent words an error that comes after the status.
func errorEvent(err error) []byte {
	body, _ := asOpenAI(err)
	data, marshalErr := json.Marshal(body)
	if marshalErr != nil {
		panic(marshalErr) // a defect: it is made of texts
	}
	return append(append([]byte("data: "), data...), "\n\n"...)
}

// outlet writes to a client that may stop reading.
type outlet struct {
	w     io.Writer
	conn  *http.ResponseController
	stall time.Duration
	armed time.Time // when the connection's deadline was set last
	err   error
}

func (o *outlet) write(p []byte) {
	if o.err == nil {
		o.arm()
		_, o.err = o.w.Write(p)
	}
}

func (o *outlet) flush() {
	if o.err == nil {
		o.err = o.conn.Flush()
	}
}

// arm gives the client time to read. A deadline is moved only when a part of it
// has passed, since that costs more than a small event.
func (o *outlet) arm() {
	now := time.Now()
	if now.Sub(o.armed) < o.stall/4 {
		return
	}
	o.armed = now
	_ = o.conn.SetWriteDeadline(now.Add(o.stall)) // in-memory connections have none
}

// done leaves no deadline behind for the connection's next request.
func (o *outlet) done() {
	if o.err == nil {
		_ = o.conn.SetWriteDeadline(time.Time{})
	}
}
