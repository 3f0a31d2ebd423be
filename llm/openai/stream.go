package openai

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

// events yields the parts of an answer, then io.EOF.
type events interface{ next() (completion, error) }

// completion is a chunk of a streamed answer, or, with Message set instead of
// Delta, a whole one.
type completion struct {
	Model   string `json:"model"`
	Choices []struct {
		Index        int     `json:"index"`
		Delta        content `json:"delta"`
		Message      content `json:"message"`
		FinishReason string  `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
		Details          struct {
			Cached int `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
	} `json:"usage"`
}

type content struct {
	Content string `json:"content"`
	Refusal string `json:"refusal"`
}

func (c content) text() string { return c.Content + c.Refusal }

// stream turns events into chunks. What ends an answer (its finish reason, usage
// and model) is held back for one last chunk, since servers send them in any order.
type stream struct {
	ctx    context.Context //nolint:containedctx // governs the whole stream
	cancel context.CancelFunc
	client *openaiwire.Client
	resp   *http.Response
	events events

	model    string
	begun    bool // a choice was seen
	finish   string
	usage    llm.Usage // estimated until the server reports it
	reported bool
	ended    error // what Next returns from now on
	whole    atomic.Bool
	once     sync.Once
}

// Next returns the next chunk with content; the last one has the finish reason
// and the usage.
func (s *stream) Next() (llm.Chunk, error) {
	for s.ended == nil {
		part, err := s.events.next()
		if err != nil {
			return s.end(err)
		}
		if c := s.take(part); c.Content != "" {
			return c, nil
		}
	}
	return llm.Chunk{}, s.ended
}

// take keeps what a part says about the whole answer, and returns its content.
func (s *stream) take(part completion) llm.Chunk {
	s.model = cmp.Or(part.Model, s.model)
	if part.Usage != nil {
		s.reported = true
		s.usage.PromptTokens = max(part.Usage.PromptTokens, 0)
		s.usage.CompletionTokens = max(part.Usage.CompletionTokens, 0)
		s.usage.CachedTokens = min(max(part.Usage.Details.Cached, 0), s.usage.PromptTokens)
	}
	var c llm.Chunk
	for _, choice := range part.Choices {
		if choice.Index != 0 {
			continue // one answer was asked for
		}
		s.begun = true
		c.Content += choice.Delta.text() + choice.Message.text()
		s.finish = cmp.Or(choice.FinishReason, s.finish)
	}
	if !s.reported {
		s.usage.CompletionTokens += tokens.Estimate(c.Content)
	}
	return c
}

// end handles the end of the events. With a finish reason the answer is whole,
// however the connection ended; without one it was cut off.
func (s *stream) end(err error) (llm.Chunk, error) {
	if s.finish == "" {
		if errors.Is(err, io.EOF) {
			err = s.client.Broken(s.ctx, path, io.ErrUnexpectedEOF)
		}
		s.ended = err
		return llm.Chunk{}, err
	}
	s.ended = io.EOF
	s.whole.Store(true)
	s.usage.Estimated = !s.reported
	usage := s.usage
	return llm.Chunk{Model: s.model, Usage: &usage, Finish: s.finish}, nil
}

// Close ends the call. One whose answer is not complete is cancelled, also while
// Next waits.
func (s *stream) Close() error {
	s.once.Do(func() { openaiwire.End(s.resp, s.cancel, s.whole.Load()) })
	return nil
}

// streamed reads events from a body of server-sent events.
type streamed struct {
	stream *stream
	reader *sse.Reader
}

func newSSE(s *stream, limit int) *streamed {
	return &streamed{stream: s, reader: sse.NewReader(s.resp.Body, limit)}
}

func (e *streamed) next() (completion, error) {
	s := e.stream
	event, err := e.reader.Next()
	switch {
	case errors.Is(err, io.EOF):
		return completion{}, io.EOF
	case err != nil:
		return completion{}, s.client.Broken(s.ctx, path, err)
	}
	data := bytes.TrimSpace(event.Data)
	if string(data) == "[DONE]" {
		if s.finish == "" && s.begun {
			s.finish = "stop" // said with other words
		}
		return completion{}, io.EOF
	}
	if event.Name == "error" || bytes.Contains(data, []byte(`"error"`)) {
		if err := s.client.StreamFault(path, event.Name, data); err != nil {
			return completion{}, err
		}
	}
	var part completion
	if len(data) == 0 {
		return part, nil
	}
	if err := json.Unmarshal(data, &part); err != nil {
		return part, fault.New(fault.Unavailable, "%s: an event of the stream is not a completion chunk", s.resp.Request.URL.Host)
	}
	return part, nil
}

// whole reads an answer that is one JSON document.
type whole struct {
	stream *stream
	read   bool
}

// maxWhole bounds an answer that is not streamed, in bytes.
const maxWhole = 16 << 20

func (e *whole) next() (completion, error) {
	if e.read {
		return completion{}, io.EOF
	}
	e.read = true
	var c completion
	s := e.stream
	if err := s.client.ReadJSON(s.ctx, s.resp, maxWhole, &c); err != nil {
		return c, err
	}
	if len(c.Choices) == 0 {
		return c, fault.New(fault.Unavailable, "%s: the answer has no choices", s.resp.Request.URL.Host)
	}
	if c.Choices[0].FinishReason == "" {
		c.Choices[0].FinishReason = "stop"
	}
	return c, nil
}
