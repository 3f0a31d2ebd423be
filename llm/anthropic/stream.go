package anthropic

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/openaiwire"
	"github.com/lanewise/lanewise/internal/sse"
	"github.com/lanewise/lanewise/internal/tokens"
	"github.com/lanewise/lanewise/llm"
)

// events yields the parts of an answer, then io.EOF behind the last one.
type events interface{ next() (event, error) }

// answer is a call that was accepted.
type answer struct {
	ctx    context.Context //nolint:containedctx // governs the whole answer
	cancel context.CancelFunc
	client *openaiwire.Client
	resp   *http.Response
	events events
	whole  atomic.Bool // nothing more is to come
	once   sync.Once
}

// close ends the call. One whose answer is not complete is cancelled, also while
// its events are waited for.
func (a *answer) close() {
	a.once.Do(func() { openaiwire.End(a.resp, a.cancel, a.whole.Load()) })
}

// strange is the error of an answer that does not follow the protocol.
func (a *answer) strange(what string) error {
	return fault.New(fault.Unavailable, "%s: %s", a.resp.Request.URL.Host, what)
}

// streamed reads events from a body of server-sent events.
type streamed struct {
	answer *answer
	frames *sse.Frames
	ended  bool
}

func newStreamed(a *answer, limit int) *streamed {
	return &streamed{answer: a, frames: sse.NewFrames(a.resp.Body, limit)}
}

// next returns the next event. A stream that ends without message_stop, or with an
// error event, is an error.
func (s *streamed) next() (event, error) {
	var e event
	if s.ended {
		return e, io.EOF
	}
	a := s.answer
	var raw sse.Frame
	var err error
	for err == nil && len(bytes.TrimSpace(raw.Data)) == 0 { // comments
		raw, err = s.frames.Next()
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return e, a.client.Broken(a.ctx, path, err)
	}
	if raw.Name == "error" || bytes.Contains(raw.Data, []byte(`"error"`)) {
		if err := a.client.StreamFault(path, raw.Name, raw.Data); err != nil {
			return e, err
		}
	}
	if err := json.Unmarshal(raw.Data, &e); err != nil {
		return e, a.strange("an event of the stream is not what was expected")
	}
	e.more = raw.More
	if e.Type == messageStop {
		s.ended = true
		a.whole.Store(true)
	}
	return e, nil
}

// document reads an answer that is one JSON document, and tells it as events.
type document struct {
	answer *answer
	queue  []event
	read   bool
}

// maxWhole bounds an answer that is not streamed, in bytes.
const maxWhole = 16 << 20

func (w *document) next() (event, error) {
	if !w.read {
		w.read = true
		r, err := w.answer.reply()
		if err != nil {
			return event{}, err
		}
		w.queue = r.events()
	}
	if len(w.queue) == 0 {
		return event{}, io.EOF
	}
	e := w.queue[0]
	w.queue = w.queue[1:]
	return e, nil
}

// reply reads an answer that is not streamed.
func (a *answer) reply() (reply, error) {
	var r reply
	if err := a.client.ReadJSON(a.ctx, a.resp, maxWhole, &r); err != nil {
		return r, err
	}
	if r.Type != "message" || r.StopReason == "" {
		return r, a.strange("the answer is not a message that has ended")
	}
	a.whole.Store(true)
	return r, nil
}

// events are the parts of a whole answer as a stream would tell them.
func (r reply) events() []event {
	out := []event{{Type: messageStart, Message: &reply{ID: r.ID, Model: r.Model, Usage: r.Usage}}}
	for i, b := range r.Content {
		start := event{Type: blockStart, Index: i, Block: b}
		delta := event{Type: blockDelta, Index: i}
		switch b.Type {
		case "text":
			start.Block.Text = ""
			delta.Delta.Type, delta.Delta.Text = "text_delta", b.Text
		case "thinking":
			start.Block.Thinking = ""
			delta.Delta.Type, delta.Delta.Thinking = "thinking_delta", b.Thinking
		case "tool_use":
			start.Block.Input = nil
			delta.Delta.Type, delta.Delta.Partial = "input_json_delta", string(b.Input)
		}
		out = append(out, start, delta, event{Type: blockStop, Index: i})
	}
	end := event{Type: messageDelta, Usage: r.Usage}
	end.Delta.StopReason = r.StopReason
	return append(out, end, event{Type: messageStop})
}

// stream turns events into chunks. It is the llm.Stream of a prompt.
type stream struct {
	*answer

	model    string
	finish   string
	usage    llm.Usage // estimated until the server reports it
	counted  counts
	reported bool
	ended    error // what Next returns from now on
}

// Next returns the next chunk with content; the last one has the finish reason
// and the usage.
func (s *stream) Next() (llm.Chunk, error) {
	for s.ended == nil {
		e, err := s.events.next()
		if err != nil && s.finish == "" {
			s.ended = err
			break
		}
		if err != nil || e.Type == messageStop { // whole, however the connection ended
			return s.last()
		}
		if c := s.take(e); c.Content != "" {
			return c, nil
		}
	}
	return llm.Chunk{}, s.ended
}

// take keeps what an event says about the whole answer, and returns its content.
func (s *stream) take(e event) (c llm.Chunk) {
	switch e.Type {
	case messageStart:
		if e.Message != nil {
			s.model = cmp.Or(e.Message.Model, s.model)
			s.counted.add(e.Message.Usage)
		}
	case messageDelta:
		s.finish = e.Delta.StopReason
		s.counted.add(e.Usage)
		s.reported = s.counted.output
	case blockStart:
		c.Content = e.Block.Text // as a rule none
	case blockDelta:
		c.Content = e.Delta.Text
	}
	s.usage.CompletionTokens += tokens.Estimate(c.Content)
	return c
}

// last is the chunk that ends an answer.
func (s *stream) last() (llm.Chunk, error) {
	if s.finish == "" {
		s.ended = s.strange("the stream ended without a reason")
		return llm.Chunk{}, s.ended
	}
	s.ended = io.EOF
	s.whole.Store(true)
	usage := s.usage
	usage.Estimated = true
	if s.reported {
		usage = s.counted.usage()
	}
	return llm.Chunk{Model: s.model, Usage: &usage, Finish: finishReason(s.finish)}, nil
}

// Close ends the call; see answer.close. It never fails.
func (s *stream) Close() error {
	s.close()
	return nil
}

// counts gathers the usage that events report: each figure counts from the
// answer's beginning, so a later one replaces an earlier one.
type counts struct {
	in, out, read, created int
	output                 bool // tokens written were reported
}

func (c *counts) add(u usage) {
	for _, f := range []struct {
		from *int
		to   *int
	}{{u.Input, &c.in}, {u.Output, &c.out}, {u.Read, &c.read}, {u.Created, &c.created}} {
		if f.from != nil {
			*f.to = max(*f.from, 0)
		}
	}
	c.output = c.output || u.Output != nil
}

// usage counts as OpenAI does: what the cache had is part of the prompt.
func (c *counts) usage() llm.Usage {
	return llm.Usage{PromptTokens: c.in + c.read + c.created, CompletionTokens: c.out, CachedTokens: c.read}
}
