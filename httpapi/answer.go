package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/prompt"
	"github.com/lanewise/lanewise/llm/relay"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search/wire"
)

func (s *server) answer(w *recorder, r *http.Request) error {
	body, err := decode[wire.AnswerRequest](s, w, r)
	if err != nil {
		return err
	}
	body.Session = cmp.Or(body.Session, r.Header.Get(headerSession))
	w.event.asks(&body.SearchRequest)
	if body.Stream {
		release, err := s.stream()
		if err != nil {
			return err
		}
		defer release()
	}
	stream, err := s.router.Answer(r.Context(), question(&body))
	if err != nil {
		return err
	}
	defer stream.Close() //nolint:errcheck // settles the lease; the answer is out already
	defer func() { w.event.answered(stream.Answer()) }()
	if body.Stream {
		s.streamAnswer(r.Context(), w, stream, &body)
		return nil
	}
	a, err := stream.All() //nolint:contextcheck // the stream has the request's
	if err != nil {
		return err
	}
	if a.Route.Upstream != "" {
		usage := a.Usage
		setRoute(w.Header(), &relay.Reply{Route: a.Route, Usage: &usage})
	}
	return s.reply(w, publicAnswer(a, body.Question))
}

func question(b *wire.AnswerRequest) router.Question {
	q := router.Question{
		Request: request(&b.SearchRequest), Question: b.Question, Model: b.Model,
		MaxTokens: b.MaxTokens, Prompt: b.Prompt, ContextOrder: prompt.Order(b.ContextOrder), Session: b.Session,
	}
	for _, t := range b.Turns {
		q.Turns = append(q.Turns, llm.Message{Role: llm.Role(t.Role), Content: t.Content})
	}
	return q
}

// publicAnswer is an answer to a question.
func publicAnswer(a router.Answer, question string) wire.AnswerResponse {
	out := wire.AnswerResponse{
		Answer: a.Text, Citations: make([]wire.Citation, len(a.Citations)), Model: a.Model, Finish: a.Finish, Report: wire.NewReport(a.Report),
		Explain:      explainAnswer(a),
		TurnsLeftOut: a.TurnsLeftOut, Repacked: a.Repacked, UnknownCitations: a.Unknown,
		Usage: wire.Usage{
			PromptTokens: a.Usage.PromptTokens, CompletionTokens: a.Usage.CompletionTokens,
			TotalTokens: a.Usage.PromptTokens + a.Usage.CompletionTokens, Estimated: a.Usage.Estimated,
			CachedTokens: a.Usage.CachedTokens, Cost: a.Usage.Cost,
		},
	}
	if a.Searched != question {
		out.Searched = a.Searched
	}
	for i, c := range a.Citations {
		out.Citations[i] = wire.Citation{N: c.N, ID: c.ID, Score: c.Score, Quote: c.Quote}
	}
	for _, n := range a.LeftOut {
		out.LeftOut = append(out.LeftOut, wire.Citation{N: n, ID: a.Hits[n-1].ID, Score: a.Hits[n-1].Score})
	}
	return out
}

// explainAnswer adds to an explanation how the model was reached.
func explainAnswer(a router.Answer) json.RawMessage {
	if a.Explain == nil {
		return nil
	}
	out := explain(a.Explain)
	if a.Route.Upstream == "" && a.Choice.Model == "" {
		return encoded(out)
	}
	g := &explainedGeneration{
		Model: cmp.Or(a.Route.Chosen, a.Choice.Model), Upstream: a.Route.Upstream, UpstreamModel: a.Route.Model, Why: a.Route.Why,
		Attempts: a.Route.Attempts, QueuedMS: milliseconds(a.Route.Queued), FirstMS: milliseconds(a.Route.First), EstimatedTokens: a.PromptTokens, PredictedCached: a.Route.Cached,
	}
	for _, p := range a.Choice.Passed {
		g.Passed = append(g.Passed, explainedPassed{Model: p.Model, Error: p.Err.Error()})
	}
	out.Generation = g
	return encoded(out)
}

// delta is a piece of a streamed answer.
type delta struct {
	Text string `json:"text"`
}

// streamAnswer writes an answer as server-sent events: the sources first, before
// the model is asked, so that a page can show them while the model reads. An error
// after that is an event too, since the status is out.
func (s *server) streamAnswer(ctx context.Context, w *recorder, stream *router.AnswerStream, asked *wire.AnswerRequest) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold the events back
	w.WriteHeader(http.StatusOK)
	e := events{w: w, flush: http.NewResponseController(w)}
	first := stream.Answer()
	e.send("sources", response(asked.Collection, router.Response{Hits: first.Hits, Report: first.Report}, len(asked.Legs) == 0))
	for e.err == nil {
		chunk, err := stream.Next() //nolint:contextcheck // the stream has the request's
		switch {
		case errors.Is(err, io.EOF):
			e.send("done", publicAnswer(stream.Answer(), asked.Question))
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
