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
	text, used := s.router.rephrased(stage, *q)
	if s.rephrased = used; text != "" {
		q.Text = text
	}
	s.rec.stage("rephrase")
}

// rephrased returns the model's words, or "", and what they cost.
func (r *Router) rephrased(ctx context.Context, q Question) (words string, used llm.Usage) {
	p := llm.Prompt{
		Model: q.Model, Messages: prompt.Rephrase(q.Question, q.Turns), Question: q.Question,
		MaxTokens: mostRephrased, Session: q.Session, Tenant: q.Tenant,
	}
	if p.Model == llm.Auto {
		p.Model = ""
	}
	stream, err := r.cfg.Generator.Generate(ctx, p)
	if err != nil {
		return "", used
	}
	used = llm.Usage{PromptTokens: p.Tokens(), Estimated: true} // until the model says it
	defer stream.Close()                                        //nolint:errcheck // its words are read
	var text []byte
	for len(text) < 16*mostRephrased {
		chunk, err := stream.Next()
		if chunk.Usage != nil {
			used = *chunk.Usage
		}
		switch {
		case errors.Is(err, io.EOF):
			return prompt.Rephrased(string(text)), used
		case err != nil || chunk.Finish == "length":
			return "", used
		}
		text = append(text, chunk.Content...)
	}
	return "", used
}

// both adds what two generations have used.
func both(a, b llm.Usage) llm.Usage {
	return llm.Usage{
		PromptTokens: a.PromptTokens + b.PromptTokens, CompletionTokens: a.CompletionTokens + b.CompletionTokens,
		CachedTokens: a.CachedTokens + b.CachedTokens, Estimated: a.Estimated || b.Estimated, Cost: a.Cost + b.Cost,
	}
}
