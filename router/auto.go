package router

import (
	"cmp"
	"fmt"

	"github.com/lanewise/lanewise/internal/tracing"
	"github.com/lanewise/lanewise/llm"
)

// route has the semantic routes choose for a question that leaves the choice to them: the model, where it searches, and
// the template unless it names one. The text that is scored is the one that is searched for, whose vector the
// embedding lane then has already. It may use half of the time.
func (s *AnswerStream) route() error {
	q := &s.question
	if q.Model != llm.Auto || s.router.cfg.Routes == nil {
		return nil
	}
	ctx, span := tracing.Start(s.ctx, "route")
	stage, cancel := halfOf(ctx)
	defer cancel()
	routing, err := s.router.cfg.Routes(stage, cmp.Or(q.Text, q.Question))
	span.End(err)
	if err != nil {
		return fmt.Errorf("route the question: %w", err)
	}
	s.rec.stage("route")
	s.answer.Routing = &routing
	q.Model = routing.Target.Model
	q.Collection = cmp.Or(routing.Target.Collection, q.Collection)
	q.Prompt = cmp.Or(q.Prompt, routing.Target.Prompt)
	return nil
}
