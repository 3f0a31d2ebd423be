package httpapi

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// logRequest writes the one line of a request: everything that is known of it, and
// nothing of what it holds but the names of what it asks for. One that failed for
// this server's reasons is a warning.
func (s *server) logRequest(w *recorder, r *http.Request) {
	level := slog.LevelInfo
	if w.status >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	e := &w.event
	skipped, wanted := s.repeats.count(e)
	if !wanted {
		return
	}
	l := line{attrs: make([]slog.Attr, 0, 32)}
	l.add(slog.String("request_id", w.id), slog.String("method", e.Method), slog.String("route", w.route),
		slog.Int("status", e.Status), slog.String("class", e.Class), slog.Int("bytes", e.Bytes), slog.Duration("took", e.Took))
	l.text("trace_id", e.Trace)
	l.text("key", e.Key)
	s.logSearch(&l, e)
	logModel(&l, e)
	l.number("skipped", skipped)
	if e.Err != nil {
		l.text("error", withoutKeys(e.Err.Error(), r.Header))
	}
	s.log.LogAttrs(r.Context(), level, "request", l.attrs...)
}

// logSearch tells what was searched for, and how.
func (s *server) logSearch(l *line, e *Event) {
	l.text("collection", clip(e.Collection))
	if e.Tenant != "" {
		l.text("tenant", clip(s.logTenant(e.Tenant)))
	}
	l.number("attempts", e.Attempts)
	if e.Searches == 0 {
		return
	}
	l.number("k", e.K)
	l.text("mode", e.Mode)
	l.add(slog.Int("searches", e.Searches), slog.Float64("coverage", e.Coverage), slog.Int("hedges", e.Hedges), slog.Int("failovers", e.Failovers))
	l.number("partial", e.Partial)
	l.number("refills", e.Refills)
	if len(e.Stages) == 0 {
		return
	}
	stages := make([]slog.Attr, len(e.Stages))
	for i, stage := range e.Stages {
		stages[i] = slog.Float64(stage.Name, milliseconds(stage.Took))
	}
	l.add(slog.Attr{Key: "stages_ms", Value: slog.GroupValue(stages...)})
}

// logModel tells which model answered, and what it used.
func logModel(l *line, e *Event) {
	l.text("model", clip(e.Model))
	l.text("upstream", e.Upstream)
	l.number("prompt_tokens", e.Usage.PromptTokens)
	l.number("completion_tokens", e.Usage.CompletionTokens)
	l.number("cached_tokens", e.Usage.CachedTokens)
	if e.Usage.Cost > 0 {
		l.add(slog.Float64("cost", e.Usage.Cost))
	}
	if e.First > 0 {
		l.add(slog.Float64("first_ms", milliseconds(e.First)))
	}
}

// line collects attributes and leaves out those that say nothing.
type line struct{ attrs []slog.Attr }

func (l *line) add(attrs ...slog.Attr) { l.attrs = append(l.attrs, attrs...) }

func (l *line) text(name, value string) {
	if value != "" {
		l.add(slog.String(name, value))
	}
}

func (l *line) number(name string, value int) {
	if value != 0 {
		l.add(slog.Int(name, value))
	}
}

// clip bounds a name that a client may have made up.
func clip(name string) string {
	const most = 128
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}

// withoutKeys blots out the keys of a request where a text quotes them.
func withoutKeys(text string, h http.Header) string {
	for _, name := range [...]string{"Authorization", "X-Api-Key", "Api-Key", "Cookie"} {
		for _, value := range h.Values(name) {
			for word := range strings.FieldsSeq(value) {
				if len(word) >= leastSecret {
					text = strings.ReplaceAll(text, word, "[key]")
				}
			}
		}
	}
	return text
}

// leastSecret is the length from which on a word is taken for a secret; "Bearer" is none.
const leastSecret = 8

// What is left of failures that repeat: the first ones of each kind in a span of time,
// then one of many.
const (
	repeatSpan  = 10 * time.Second
	repeatFirst = 10
	repeatOneOf = 100
)

// repeats counts failures of the same route, status and class, which may come by the
// thousand a second and would fill the disk with the same line. The zero value is ready.
type repeats struct {
	mu   sync.Mutex
	seen map[failure]*repeated // as many as there are routes, statuses and classes
}

type failure struct {
	route, class string
	status       int
}

type repeated struct {
	since   time.Time
	seen    int
	skipped int // since the last line
}

// count reports whether a request is to be logged and, if so, how many of its kind
// were not since the last one that was.
func (p *repeats) count(e *Event) (skipped int, wanted bool) {
	if e.Status < http.StatusBadRequest && e.Err == nil {
		return 0, true
	}
	now := e.Start.Add(e.Took)
	key := failure{e.Route, e.Class, e.Status}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.seen[key]
	if r == nil {
		r = &repeated{since: now}
		if p.seen == nil {
			p.seen = map[failure]*repeated{}
		}
		p.seen[key] = r
	}
	if now.Sub(r.since) >= repeatSpan {
		r.since, r.seen = now, 0
	}
	if r.seen++; r.seen > repeatFirst && r.seen%repeatOneOf != 0 {
		r.skipped++
		return 0, false
	}
	skipped, r.skipped = r.skipped, 0
	return skipped, true
}
