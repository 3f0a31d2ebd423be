package anthropic

import (
	"cmp"
	"encoding/json"
	"io"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm/relay"
)

// relayed says the events of an answer as OpenAI's chunks. It is the relay.Stream
// of a call.
type relayed struct {
	*answer

	chunk    completion // what all chunks have in common
	counts   counts
	tool     int  // of the tool that is being asked for, from 0
	tools    int  // that were begun
	silent   bool // nothing was said of the arguments of that tool
	ending   []completion
	finished bool // a finish reason was given
	ended    error
	mark     bool // the end mark was given
}

// blank is a chunk of a model that says nothing.
func blank(model string) completion {
	return completion{Object: "chat.completion.chunk", Created: time.Now().Unix(), Model: model, Choices: []choice{}}
}

// Next returns the next event as OpenAI's API words it: chunks, one with the
// usage, and the end mark. A ping becomes a comment.
func (s *relayed) Next() (relay.Event, error) {
	for s.ended == nil {
		switch {
		case len(s.ending) > 0:
			c := s.ending[0]
			s.ending = s.ending[1:]
			return s.event(c, true)
		case s.mark:
			s.ended = io.EOF
			continue
		}
		e, err := s.events.next()
		if err != nil && s.finished { // whole, however the connection ended
			e, err = event{Type: messageStop}, nil
		}
		switch {
		case err != nil:
			s.ended = err
		case e.Type == messageStop:
			s.mark = true
			return relay.Event{Raw: []byte("data: [DONE]\n\n"), Data: []byte("[DONE]"), Look: relay.Look{Done: true}}, nil
		case e.Type == "ping":
			return relay.Event{Raw: []byte(": ping\n\n")}, nil
		default:
			if c, ok := s.say(e); ok {
				return s.event(c, e.more)
			}
		}
	}
	return relay.Event{}, s.ended
}

// Close ends the call; see answer.close. It never fails.
func (s *relayed) Close() error {
	s.close()
	return nil
}

// event writes a chunk.
func (s *relayed) event(c completion, more bool) (relay.Event, error) {
	data, err := json.Marshal(c)
	if err != nil {
		s.ended = fault.Wrap(fault.Unavailable, "encode a chunk", err)
		return relay.Event{}, s.ended
	}
	raw := make([]byte, 0, len(data)+8)
	raw = append(append(append(raw, "data: "...), data...), "\n\n"...)
	e := relay.Event{Raw: raw, Data: raw[6 : 6+len(data)], More: more || len(s.ending) > 0}
	e.Look, _ = relay.LookAt(e.Data)
	return e, nil
}

// say returns the chunk for an event; ok is false where it has nothing to say.
func (s *relayed) say(e event) (c completion, ok bool) {
	switch e.Type {
	case messageStart:
		return s.begin(e.Message), true
	case blockStart:
		return s.start(e.Block)
	case blockDelta:
		return s.delta(e)
	case blockStop:
		if s.silent { // clients read the arguments as JSON
			s.silent = false
			return s.arguments("{}"), true
		}
	case messageDelta:
		s.counts.add(e.Usage)
		if e.Delta.StopReason == "" {
			return c, false
		}
		usage := s.chunk
		usage.Usage = spend(s.counts.usage())
		s.ending = append(s.ending, usage)
		s.finished = true
		finish := finishReason(e.Delta.StopReason)
		return s.with(choice{Delta: &said{}, FinishReason: &finish}), true
	}
	return c, false
}

// begin is the chunk with the role.
func (s *relayed) begin(m *reply) completion {
	if m != nil {
		s.chunk.ID, s.chunk.Model = m.ID, cmp.Or(m.Model, s.chunk.Model)
		s.counts.add(m.Usage)
	}
	nothing := ""
	return s.with(choice{Delta: &said{Role: "assistant", Content: &nothing}})
}

// start begins a block.
func (s *relayed) start(b block) (completion, bool) {
	switch {
	case b.Type == "tool_use":
		s.tool, s.silent = s.tools, true
		s.tools++
		at := s.tool
		call := called(b)
		call.Index, call.Function.Arguments = &at, ""
		return s.with(choice{Delta: &said{ToolCalls: []chatCall{call}}}), true
	case b.Type == "text" && b.Text != "":
		return s.with(choice{Delta: &said{Content: &b.Text}}), true
	}
	return completion{}, false
}

// delta goes on with a block.
func (s *relayed) delta(e event) (completion, bool) {
	switch d := e.Delta; {
	case d.Type == "text_delta" && d.Text != "":
		return s.with(choice{Delta: &said{Content: &d.Text}}), true
	case d.Type == "thinking_delta" && d.Thinking != "":
		return s.with(choice{Delta: &said{Reasoning: d.Thinking}}), true
	case d.Type == "input_json_delta" && d.Partial != "" && s.tools > 0:
		s.silent = false
		return s.arguments(d.Partial), true
	}
	return completion{}, false
}

// arguments is a part of those of the tool that is being asked for.
func (s *relayed) arguments(part string) completion {
	at := s.tool
	call := chatCall{Index: &at}
	call.Function.Arguments = part
	return s.with(choice{Delta: &said{ToolCalls: []chatCall{call}}})
}

// with is a chunk with a choice.
func (s *relayed) with(c choice) completion {
	chunk := s.chunk
	chunk.Choices = []choice{c}
	return chunk
}
