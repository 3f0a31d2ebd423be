package router

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tracing"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/prompt"
	"github.com/lanewise/lanewise/search"
)

// Answer finds the passages that bear on a question and has an answer written
// from them. It returns when the passages are found; the first Next of the stream
// asks the model. The stream must be closed.
//
// Its errors are those of Retrieve; those of the generator come from the stream.
func (r *Router) Answer(ctx context.Context, q Question) (*AnswerStream, error) {
	s := &AnswerStream{router: r, start: time.Now()}
	if err := r.understand(&q); err != nil {
		return nil, err
	}
	s.question = q
	ctx, s.rec = record(ctx, r.cfg.ExtraAttempts, q.Explain)
	s.ctx, s.cancel = context.WithTimeout(ctx, cmp.Or(q.Timeout, r.cfg.AnswerTimeout))
	s.rephrase()     //nolint:contextcheck // the stream keeps it
	err := s.route() //nolint:contextcheck // the stream keeps it
	if err == nil {
		err = s.retrieve() //nolint:contextcheck // likewise
	}
	if err != nil {
		s.cancel()
		return nil, err
	}
	return s, nil
}

// understand fills in what a question leaves out, and refuses what cannot be answered.
func (r *Router) understand(q *Question) error {
	if r.cfg.Generator == nil {
		return fault.New(fault.Invalid, "no model is configured to write answers")
	}
	if o := q.ContextOrder; o != "" && o != prompt.Rank && o != prompt.Stable {
		return fault.BadField("/context_order", `must be "rank" or "stable", is %q`, o)
	}
	if q.MaxTokens < 0 {
		return fault.BadField("/max_tokens", "must not be negative, is %d", q.MaxTokens)
	}
	if _, err := r.template(q.Prompt); err != nil {
		return err
	}
	q.Question = cmp.Or(q.Question, q.Text)
	if q.Text == "" && len(q.Vector) == 0 && len(q.Legs) == 0 {
		q.Text = prompt.SearchText(q.Question, q.Turns)
	}
	return nil
}

// retrieve finds the sources of the answer. It may use half of the time.
func (s *AnswerStream) retrieve() error {
	req := s.question.Request
	req.K = cmp.Or(req.K, 8)
	req.Fields.Text, req.Cursor = true, nil
	req.Timeout = s.router.cfg.SearchTimeout
	stage, cancel := halfOf(s.ctx)
	defer cancel()
	found, err := s.router.retrieve(stage, req, s.rec)
	if err != nil {
		return err
	}
	s.answer.Hits, s.answer.Report, s.answer.Searched = found.Hits, found.Report, req.Text
	floor := s.router.cfg.AnswerFloor
	if len(found.Hits) == 0 || floor != 0 && found.nearest < floor {
		s.stream = &nothingFound{}
		return nil
	}
	if s.draft, err = s.router.draft(s.question, found.Hits); err != nil {
		return err
	}
	s.answer.Hits = s.draft.arrange(found.Hits)
	return nil
}

// AnswerStream is an answer in the making. It is not safe for concurrent use,
// except that Close may be called at any time.
type AnswerStream struct {
	router    *Router
	ctx       context.Context //nolint:containedctx // the answer's one deadline, over all its stages
	cancel    context.CancelFunc
	question  Question
	draft     *draft     // nil: no model is asked
	stream    llm.Stream // nil: the model is not asked yet
	failed    error      // why it could not be
	answer    Answer     // what has come so far
	quotes    map[int]string
	rec       *recorder
	span      tracing.Span // of the model's call
	start     time.Time
	text      []byte
	ended     bool      // Next has returned io.EOF
	repeated  int       // answers that broke off
	rephrased llm.Usage // what it took to put the question into words

	mu     sync.Mutex // guards stream where it is set, and closed
	closed bool
}

// Hits returns the passages that were found, in the order of the prompt: hit i is source
// i+1, whether it fits into the prompt or not.
func (s *AnswerStream) Hits() []search.Hit { return s.answer.Hits }

// Next returns the next words, and io.EOF behind the last ones. The first call asks the
// model; its errors are then those of the generator.
func (s *AnswerStream) Next() (llm.Chunk, error) {
	if err := s.begin(); err != nil {
		return llm.Chunk{}, err
	}
	chunk, err := s.stream.Next()
	if errors.Is(err, io.EOF) && !s.ended {
		s.ended = true
		s.rec.stage("generate")
	}
	if err != nil {
		s.told(err)
		return chunk, err
	}
	s.take(chunk)
	return chunk, nil
}

// begin asks the model, once.
//
//nolint:contextcheck // the stream's own context, of the call that made it
func (s *AnswerStream) begin() error {
	switch {
	case s.stream != nil || s.failed != nil:
		return s.failed
	case s.isClosed():
		return errAnswerClosed
	}
	p, err := s.draft.prompt()
	if err != nil {
		s.failed = err
		return err
	}
	p.Extra = s.repeated > 0
	ctx, span := tracing.Start(s.ctx, "generate")
	s.span = span
	span.EndWith(s.ctx)
	stream, err := s.router.cfg.Generator.Generate(ctx, p)
	if err != nil {
		s.failed = err
		s.told(err)
		return err
	}
	if chosen, ok := stream.(llm.Chosen); ok {
		s.answer.Choice = chosen.Choice()
	}
	if routed, ok := stream.(llm.Routed); ok {
		s.answer.Route = routed.Route()
	}
	s.rec.stage("first_token")
	return s.hold(stream)
}

// told ends the span of the model's call with what is known of it by now; io.EOF is a good end.
func (s *AnswerStream) told(err error) {
	s.span.Text("gen_ai.operation.name", "chat")
	s.span.Text("gen_ai.request.model", cmp.Or(s.answer.Choice.Model, s.question.Model))
	s.span.Text("gen_ai.response.model", s.answer.Model)
	s.span.Number("gen_ai.usage.input_tokens", s.answer.Usage.PromptTokens)
	s.span.Number("gen_ai.usage.output_tokens", s.answer.Usage.CompletionTokens)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	s.span.End(err)
}

// hold makes a stream that has begun the one that Close closes.
func (s *AnswerStream) hold(stream llm.Stream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		s.failed = errors.Join(errAnswerClosed, stream.Close())
		return s.failed
	}
	s.stream = stream
	return nil
}

// take enters a chunk into the answer.
func (s *AnswerStream) take(chunk llm.Chunk) {
	s.text = append(s.text, chunk.Content...)
	for _, c := range chunk.Citations {
		if s.quotes == nil {
			s.quotes = map[int]string{}
		}
		s.quotes[c.N] = cmp.Or(s.quotes[c.N], c.Quote)
	}
	s.answer.Model = cmp.Or(chunk.Model, s.answer.Model)
	s.answer.Finish = cmp.Or(chunk.Finish, s.answer.Finish)
	if chunk.Usage != nil {
		s.answer.Usage = *chunk.Usage
		if s.draft != nil {
			s.draft.learn(s.answer.Choice.Model, *chunk.Usage)
		}
	}
}

// Answer returns the answer as far as it has come, with its citations.
func (s *AnswerStream) Answer() Answer {
	a := s.answer
	a.Text, a.Usage = string(s.text), both(a.Usage, s.rephrased)
	if s.draft != nil && s.stream != nil {
		s.account(&a)
	}
	res := Response{Report: a.Report}
	s.rec.report(&res, time.Since(s.start))
	a.Report, a.Explain, a.Stages = res.Report, res.Explain, res.Stages
	if a.Explain != nil {
		a.Explain.Routing = a.Routing
	}
	return a
}

// account says what of the sources is in the answer, and in its prompt.
func (s *AnswerStream) account(a *Answer) {
	cited := prompt.Citations(a.Text, s.draft.inPrompt)
	a.Unknown = cited.Unknown
	for _, n := range cited.Sources {
		h := a.Hits[n-1]
		a.Citations = append(a.Citations, Citation{N: n, ID: h.ID, Score: h.Score, Quote: prompt.Quote(a.Text, n, h.Text, s.quotes[n])})
	}
	for _, left := range s.draft.sent.LeftOut {
		a.LeftOut = append(a.LeftOut, left.N)
	}
	a.TurnsLeftOut, a.Repacked, a.PromptTokens = s.draft.sent.Turns, s.draft.repacked(), s.draft.sent.Tokens
}

// All reads the answer to its end. As long as nobody has seen any of its words, an upstream that breaks off in
// their middle costs an extra attempt and not the answer: the model is asked again, from the beginning.
func (s *AnswerStream) All() (Answer, error) {
	unseen := len(s.text) == 0
	for {
		switch _, err := s.Next(); {
		case errors.Is(err, io.EOF):
			return s.Answer(), nil
		case err != nil && (!unseen || !s.again(err)):
			return s.Answer(), err
		}
	}
}

// mostRepeats bounds how often a model is asked again: what breaks off each time may be due to the question.
const mostRepeats = 2

// again gives up the answer that broke off with err, if another one may be asked for.
func (s *AnswerStream) again(err error) bool {
	if s.failed != nil || s.ctx.Err() != nil || !fault.Elsewhere(err) || s.repeated == mostRepeats {
		return false
	}
	s.mu.Lock()
	broken := s.stream
	s.stream = nil
	s.mu.Unlock()
	_ = broken.Close() // it has told its error
	s.repeated++
	s.text, s.quotes = nil, nil
	return true
}

// Close ends the answer and settles what it cost.
func (s *AnswerStream) Close() error {
	defer s.cancel() // also of a call to the model that has not begun to answer
	s.mu.Lock()
	s.closed = true
	stream := s.stream
	s.mu.Unlock()
	if stream == nil {
		return nil
	}
	return stream.Close()
}

func (s *AnswerStream) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

var errAnswerClosed = errors.New("the answer's stream is closed")

// nothingFound is the answer to a question for which there are no passages. No
// model is asked: it could only make one up.
type nothingFound struct{ said bool }

func (n *nothingFound) Next() (llm.Chunk, error) {
	if n.said {
		return llm.Chunk{}, io.EOF
	}
	n.said = true
	return llm.Chunk{Content: "No passage was found that could answer this question.", Finish: "no_sources"}, nil
}

func (n *nothingFound) Close() error { return nil }
