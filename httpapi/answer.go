package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search/wire"
)

func (s *server) answer(w *recorder, r *http.Request) error {
	body, err := decode[wire.AnswerRequest](s, w, r)
	if err != nil {
		return err
	}
	stream, err := s.router.Answer(r.Context(), question(&body))
	if err != nil {
		return err
	}
	defer stream.Close() //nolint:errcheck // settles the lease; the answer is out already
	if body.Stream {
		s.streamAnswer(r.Context(), w, stream, body.Collection)
		return nil
	}
	a, err := stream.All()
	if err != nil {
		return err
	}
	return s.reply(w, publicAnswer(a))
}

func question(b *wire.AnswerRequest) router.Question {
	q := router.Question{Request: request(&b.SearchRequest), Question: b.Question, Model: b.Model}
	for _, t := range b.Turns {
		q.Turns = append(q.Turns, llm.Message{Role: llm.Role(t.Role), Content: t.Content})
	}
	return q
}

func publicAnswer(a router.Answer) wire.AnswerResponse {
	out := wire.AnswerResponse{
		Answer: a.Text, Citations: make([]wire.Citation, len(a.Citations)), Model: a.Model, Report: wire.NewReport(a.Report),
		Explain: publicExplain(a.Explain),
		Usage: wire.Usage{
			PromptTokens: a.Usage.PromptTokens, CompletionTokens: a.Usage.CompletionTokens,
			TotalTokens: a.Usage.PromptTokens + a.Usage.CompletionTokens, Estimated: a.Usage.Estimated,
		},
	}
	for i, c := range a.Citations {
		out.Citations[i] = wire.Citation{N: c.N, ID: c.ID, Score: c.Score, Quote: c.Quote}
	}
	return out
}

// delta is a piece of a streamed answer.
type delta struct {
	Text string `json:"text"`
}

// streamAnswer writes an answer as server-sent events: the sources first, so
// that a page can show them while the text is still being written. An error
// after that is an event too, since the status is out.
func (s *server) streamAnswer(ctx context.Context, w *recorder, stream *router.AnswerStream, collection string) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold the events back
	w.WriteHeader(http.StatusOK)
	e := events{w: w, flush: http.NewResponseController(w)}
	_ = e.flush.SetWriteDeadline(time.Time{}) // a server's limit for ordinary answers does not fit; ctx ends the stream
	first := stream.Answer()
	e.send("sources", wire.SearchResponse{Hits: publicHits(collection, first.Hits, nil), Report: wire.NewReport(first.Report)})
	for e.err == nil {
		chunk, err := stream.Next()
		switch {
		case errors.Is(err, io.EOF):
			e.send("done", publicAnswer(stream.Answer()))
			return
		case err != nil:
			w.err = err
			if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
				e.send("error", problem(err))
			}
			return
		case chunk.Content != "":
			e.send("delta", delta{chunk.Content})
		}
	}
	w.err = e.err
}

// events writes server-sent events until the client is gone.
type events struct {
	w     io.Writer
	flush *http.ResponseController
	err   error
}

// send writes one event. JSON has no line breaks, so it is one data line.
func (e *events) send(name string, body any) {
	data, err := wire.Encode(body)
	if err != nil {
		panic(err) // a defect: bodies are made of finite numbers
	}
	out := make([]byte, 0, len(data)+len(name)+16)
	out = append(out, "event: "...)
	out = append(out, name...)
	out = append(out, "\ndata: "...)
	out = append(out, data...)
	out = append(out, "\n\n"...)
	if _, e.err = e.w.Write(out); e.err == nil {
		e.err = e.flush.Flush()
	}
}
