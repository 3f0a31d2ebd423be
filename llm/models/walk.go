package models

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
)

// walk asks models, one after the other, until one begins to answer. The order is
// that of a tree: a model's fallbacks for what went wrong with it come before
// those of the model that led to it. None is asked twice.
type walk[R any] struct {
	asked  []*model
	passed []llm.Passed
	over   bool // the time is up: nobody else is asked
	// fits reports whether a request is worth sending to a model, as far as its
	// window is known.
	fits func(m *model) error
	// able reports whether a model can take the request at all; nil: all can. The
	// first one is asked all the same, and says so.
	able func(m *model) bool
	// ask makes the request.
	ask func(ctx context.Context, m *model, t turn) (R, error)
}

// turn is how a model is asked.
type turn struct {
	extra   bool // another one has failed
	noWait  bool // another one may be asked where this one's upstreams are full
	hurried bool // or where it does not begin to answer
}

// run asks a model, and those that stand in for it.
func (w *walk[R]) run(ctx context.Context, m *model) (value R, by *model, err error) {
	value, by = w.visit(ctx, m)
	if by == nil {
		err = w.failure()
	}
	return value, by, err
}

// visit asks a model and then its fallbacks. It returns nil where none answered.
func (w *walk[R]) visit(ctx context.Context, m *model) (value R, by *model) {
	w.asked = append(w.asked, m)
	value, err := w.attempt(ctx, m)
	if err == nil {
		return value, m
	}
	w.passed = append(w.passed, llm.Passed{Model: m.Name, Err: err})
	w.over = ctx.Err() != nil
	cause := CauseOf(err)
	for _, f := range m.fallbacks {
		if w.over {
			break
		}
		if !slices.Contains(f.on, cause) || !w.open(f.to) {
			continue
		}
		if value, by = w.visit(ctx, f.to); by != nil {
			return value, by
		}
	}
	return value, nil
}

// attempt asks one model. A request that is too long for it, by estimate, is only
// sent if there is no other model for such requests: estimates may err.
func (w *walk[R]) attempt(ctx context.Context, m *model) (value R, err error) {
	if w.left(m, TooLong) {
		if err := w.fits(m); err != nil {
			return value, err
		}
	}
	return w.ask(ctx, m, turn{extra: len(w.asked) > 1, noWait: w.left(m, Rate), hurried: w.left(m, Unavailable)})
}

// left reports whether a model has a fallback for a cause that was not asked yet.
func (w *walk[R]) left(m *model, c Cause) bool {
	return slices.ContainsFunc(m.fallbacks, func(f fallback) bool {
		return slices.Contains(f.on, c) && w.open(f.to)
	})
}

// open reports whether a model may still be asked.
func (w *walk[R]) open(m *model) bool {
	return !slices.Contains(w.asked, m) && (w.able == nil || w.able(m))
}

// failure is the error of a walk that found no model. Its class is that of the
// first failure which a later attempt may not meet, else that of the first.
func (w *walk[R]) failure() error {
	first := slices.IndexFunc(w.passed, func(p llm.Passed) bool { return fault.Elsewhere(p.Err) })
	if w.over {
		first = len(w.passed) - 1
	}
	first = max(first, 0)
	var others []string
	for i, p := range w.passed {
		if i != first {
			others = append(others, fmt.Sprintf("%s: %v", p.Model, p.Err))
		}
	}
	err := fmt.Errorf("model %s: %w", w.passed[first].Model, w.passed[first].Err)
	if len(others) > 0 {
		err = fmt.Errorf("%w (and %s)", err, strings.Join(others, "; "))
	}
	return err
}

// errSlow is why a model is given up that has not begun to answer when others may
// still do so in time.
var errSlow = fault.New(fault.Unavailable, "the answer had not begun in half of the time that was left")

// start is the time that a model has to begin its answer. Where another one may
// stand in for it, that is half of the time there is.
type start struct {
	ctx    context.Context //nolint:containedctx // governs the whole answer
	cancel context.CancelCauseFunc
	timer  *time.Timer // nil: the time is not bounded
}

func newStart(ctx context.Context, bounded bool) *start {
	s := &start{}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	if deadline, ok := ctx.Deadline(); ok && bounded {
		s.timer = time.AfterFunc(time.Until(deadline)/2, func() { s.cancel(errSlow) })
	}
	return s
}

// made reports what became of the beginning. An error, also one of coming too late,
// ends the context; otherwise the caller must.
func (s *start) made(err error) error {
	if s.timer != nil && !s.timer.Stop() {
		err = errSlow
	}
	if err != nil {
		s.cancel(err)
	}
	return err
}
