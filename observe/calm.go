package observe

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// What is left of warnings that repeat.
const (
	calmSpan  = 10 * time.Second
	calmFirst = 10   // of the same words in a span
	calmMost  = 1000 // different ones that are counted
)

// Calm returns a handler that lets through the first ten warnings or errors of the same words in ten
// seconds. The next one after that says how many were skipped. What is less than a warning passes.
func Calm(h slog.Handler) slog.Handler { return &calm{h, &repeated{}} }

type calm struct {
	slog.Handler
	seen *repeated
}

// Handle passes a record on, or counts it.
func (c *calm) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		skipped, wanted := c.seen.count(r.Message, r.Time)
		if !wanted {
			return nil
		}
		if skipped > 0 {
			r = r.Clone()
			r.AddAttrs(slog.Int("skipped", skipped))
		}
	}
	return c.Handler.Handle(ctx, r) //nolint:wrapcheck // this is the handler
}

// WithAttrs keeps the counts.
func (c *calm) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &calm{c.Handler.WithAttrs(attrs), c.seen}
}

// WithGroup keeps the counts.
func (c *calm) WithGroup(name string) slog.Handler { return &calm{c.Handler.WithGroup(name), c.seen} }

// repeated counts warnings by their words.
type repeated struct {
	mu   sync.Mutex
	said map[string]*saying
}

type saying struct {
	since          time.Time
	told, unspoken int
}

// count reports whether a warning is to be told and, if so, how many of its words were not since the last one.
func (p *repeated) count(words string, now time.Time) (skipped int, wanted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.said[words]
	if s == nil {
		if len(p.said) >= calmMost {
			return 0, true
		}
		if p.said == nil {
			p.said = map[string]*saying{}
		}
		s = &saying{since: now}
		p.said[words] = s
	}
	if now.Sub(s.since) >= calmSpan {
		s.since, s.told = now, 0
	}
	if s.told >= calmFirst {
		s.unspoken++
		return 0, false
	}
	s.told++
	skipped, s.unspoken = s.unspoken, 0
	return skipped, true
}
