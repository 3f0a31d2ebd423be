package router

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/lanewise/lanewise/internal/tracing"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/prompt"
)

// mostRephrased bounds a rephrased question, in tokens.
const mostRephrased = 128

// rephrase has the model put a question that leans on the conversation into words
// that can be searched for by themselves, where that is configured. It may use a
// quarter of the time; without a useful answer by then what prompt.SearchText says stays.
func (s *AnswerStream) rephrase() {
	q := &s.question
	if !s.router.cfg.Rephrase || q.Text == q.Question || q.Text != prompt.SearchText(q.Question, q.Turns) {
		return
	}
	end, _ := s.ctx.Deadline()
	ctx, span := tracing.Start(s.ctx, "rephrase")
	defer span.End(nil)
	stage, cancel := context.WithTimeout(ctx, time.Until(end)/4)
	defer cancel()
	if text := s.router.rephrased(stage, *q); text != "" {
		q.Text = text
	}
	s.rec.stage("rephrase")
}

// rephrased returns the model's words, or "".
func (r *Router) rephrased(ctx context.Context, q Question) string {
	p := llm.Prompt{
		Model: q.Model, Messages: prompt.Rephrase(q.Question, q.Turns), Question: q.Question,
		MaxTokens: mostRephrased, Session: q.Session, Tenant: q.Tenant,
	}
	if p.Model == llm.Auto {
		p.Model = ""
	}
	stream, err := r.cfg.Generator.Generate(ctx, p)
	if err != nil {
		return ""
	}
	defer stream.Close() //nolint:errcheck // its words are read
	var text []byte
	for len(text) < 16*mostRephrased {
		chunk, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return prompt.Rephrased(string(text))
		}
		if err != nil || chunk.Finish == "length" {
			return ""
		}
		text = append(text, chunk.Content...)
	}
	return ""
}
