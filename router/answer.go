package router

import (
	"cmp"
	"context"
	"errors"
	"io"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/search"
)

// Answer finds the passages that bear on a question and has an answer written
// from them. It returns at the answer's first words; the stream must be closed.
//
// Errors before the first words are those of Retrieve and of the generator;
// later ones come from the stream.
func (r *Router) Answer(ctx context.Context, q Question) (*AnswerStream, error) {
	start := time.Now()
	if r.cfg.Generator == nil {
		return nil, fault.New(fault.Invalid, "no model is configured to write answers")
	}
	q.Question = cmp.Or(q.Question, q.Text)
	if q.Text == "" && len(q.Vector) == 0 && len(q.Legs) == 0 {
		q.Text = q.Question
	}
	ctx, rec := record(ctx, r.cfg.ExtraAttempts, q.Explain)
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(q.Timeout, r.cfg.AnswerTimeout))
	found, err := r.retrieveFor(ctx, q, rec)
	if err != nil {
		cancel()
		return nil, err
	}
	s := &AnswerStream{question: q, rec: rec, start: start, cancel: cancel}
	s.answer.Hits, s.answer.Report = fitting(found.Hits), found.Report
	if len(s.answer.Hits) == 0 || r.cfg.AnswerFloor != 0 && found.nearest < r.cfg.AnswerFloor {
		s.stream = &nothingFound{}
		return s, nil
	}
	s.stream, err = r.cfg.Generator.Generate(ctx, prompt(q, s.answer.Hits))
	if err != nil {
		cancel()
		return nil, err
	}
	return s, nil
}

// retrieveFor finds the sources of an answer. It may use half of the time.
func (r *Router) retrieveFor(ctx context.Context, q Question, rec *recorder) (Response, error) {
	req := q.Request
	req.K = cmp.Or(req.K, 8)
	req.Fields.Text, req.Cursor = true, nil
	req.Timeout = r.cfg.SearchTimeout
	stage, cancel := halfOf(ctx)
	defer cancel()
	return r.retrieve(stage, req, rec)
}

// AnswerStream is an answer in the making. It is not safe for concurrent use,
// except that Close may be called at any time.
type AnswerStream struct {
	question Question
	answer   Answer // what has come so far
	stream   llm.Stream
	quotes   map[int]string
	rec      *recorder
	start    time.Time
	cancel   context.CancelFunc
	text     []byte
	ended    bool // Next has returned io.EOF
}

// Hits returns the passages that the answer is written from: hit i is source i+1.
func (s *AnswerStream) Hits() []search.Hit { return s.answer.Hits }

// Next returns the next words, and io.EOF behind the last ones.
func (s *AnswerStream) Next() (llm.Chunk, error) {
	chunk, err := s.stream.Next()
	if errors.Is(err, io.EOF) && !s.ended {
		s.ended = true
		s.rec.stage("generate")
	}
	if err != nil {
		return chunk, err
	}
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
	}
	return chunk, nil
}

// Answer returns the answer as far as it has come, with its citations.
func (s *AnswerStream) Answer() Answer {
	a := s.answer
	a.Text = string(s.text)
	a.Citations = citations(a.Text, a.Hits, s.quotes)
	res := Response{Report: a.Report}
	s.rec.report(&res, time.Since(s.start))
	a.Report, a.Explain = res.Report, res.Explain
	return a
}

// All reads the answer to its end.
func (s *AnswerStream) All() (Answer, error) {
	for {
		switch _, err := s.Next(); {
		case errors.Is(err, io.EOF):
			return s.Answer(), nil
		case err != nil:
			return s.Answer(), err
		}
	}
}

// Close ends the answer and settles what it cost.
func (s *AnswerStream) Close() error {
	defer s.cancel()
	return s.stream.Close()
}

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
