package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm/relay"
)

// stream counts an answer that is streamed, until release is called.
func (s *server) stream() (release func(), err error) {
	if s.streams.Add(1) > int64(s.clients.Streams) {
		s.streams.Add(-1)
		return nil, fault.Busy(time.Second, "%d answers are streamed already, which is this server's limit", s.clients.Streams)
	}
	return func() { s.streams.Add(-1) }, nil
}

// pass writes the events of a stream as they come, and flushes where the client
// would wait otherwise. An error after the first one is an event, too.
func (s *server) pass(w *recorder, r *http.Request, stream relay.Stream) {
	h := w.Header()
	h["Content-Type"] = []string{"text/event-stream; charset=utf-8"}
	h["Cache-Control"] = []string{"no-cache"}
	h["X-Accel-Buffering"] = []string{"no"} // nginx would hold the events back
	w.WriteHeader(http.StatusOK)
	out := outlet{w: w, conn: http.NewResponseController(w)}
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

// outlet writes to a client until that fails.
type outlet struct {
	w    io.Writer
	conn *http.ResponseController
	err  error
}

func (o *outlet) write(p []byte) {
	if o.err == nil {
		_, o.err = o.w.Write(p)
	}
}

func (o *outlet) flush() {
	if o.err == nil {
		o.err = o.conn.Flush()
	}
}
