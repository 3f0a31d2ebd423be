package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tracing"
)

// requestList is what GET /v1/requests answers.
type requestList struct {
	Requests []requestLine `json:"requests"`
	Next     uint64        `json:"next"`
}

// requestLine is a request without anything that it said: no texts, no vectors, no filters.
type requestLine struct {
	ID               string           `json:"id"`
	AgeMS            float64          `json:"age_ms"`
	TookMS           float64          `json:"took_ms,omitzero"`
	Method           string           `json:"method,omitzero"`
	Route            string           `json:"route,omitzero"`
	Status           int              `json:"status,omitzero"`
	Class            string           `json:"class,omitzero"`
	Key              string           `json:"key,omitzero"`
	Trace            string           `json:"trace_id,omitzero"`
	Collection       string           `json:"collection,omitzero"`
	Tenant           string           `json:"tenant,omitzero"`
	K                int              `json:"k,omitzero"`
	Mode             string           `json:"mode,omitzero"`
	Hits             int              `json:"hits,omitzero"`
	Shards           int              `json:"shards,omitzero"`
	Answered         int              `json:"shards_answered,omitzero"`
	Rows             int              `json:"rows,omitzero"`
	Refills          int              `json:"refills,omitzero"`
	Coverage         float64          `json:"coverage,omitzero"`
	Hedges           int              `json:"hedges,omitzero"`
	Failovers        int              `json:"failovers,omitzero"`
	Model            string           `json:"model,omitzero"`
	Upstream         string           `json:"upstream,omitzero"`
	PromptTokens     int              `json:"prompt_tokens,omitzero"`
	CompletionTokens int              `json:"completion_tokens,omitzero"`
	FirstMS          float64          `json:"first_ms,omitzero"`
	Stages           []requestStage   `json:"stages"`
	Attempts         []requestAttempt `json:"attempts"`
}

type requestStage struct {
	Name   string  `json:"name"`
	TookMS float64 `json:"took_ms"`
}

type requestAttempt struct {
	Lane    string  `json:"lane"`
	Pool    string  `json:"pool"`
	Member  string  `json:"member"`
	Reason  string  `json:"reason"`
	Outcome string  `json:"outcome,omitzero"`
	StartMS float64 `json:"start_ms"`
	TookMS  float64 `json:"took_ms,omitzero"`
}

// requests shows the last ones, or what is new of them.
func (s *server) requests(w *recorder, r *http.Request) error {
	after, err := count(r, "after", 0)
	if err != nil {
		return err
	}
	limit, err := count(r, "limit", 100)
	if err != nil {
		return err
	}
	now := time.Now()
	all, next := s.recent.since(after, int(min(limit, keptRequests))) //nolint:gosec // it is bounded
	out := requestList{Requests: make([]requestLine, len(all)), Next: next}
	for i := range all {
		out.Requests[i] = s.publicRequest(&all[i], now)
	}
	return s.reply(w, out)
}

// count reads a number of the query string.
func count(r *http.Request, name string, def uint64) (uint64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.ParseUint(text, 10, 53)
	if err != nil {
		return 0, fault.New(fault.Invalid, "parameter %s: must be a whole number, is %q", name, clip(text))
	}
	return n, nil
}

func (s *server) publicRequest(t *timeline, now time.Time) requestLine {
	out := requestLine{ID: t.id, AgeMS: milliseconds(now.Sub(t.start)), Stages: []requestStage{}, Attempts: make([]requestAttempt, len(t.attempts))}
	for i := range t.attempts {
		out.Attempts[i] = publicAttempt(&t.attempts[i], t.start)
	}
	e := t.end
	if e == nil {
		return out
	}
	out.TookMS, out.Method, out.Route, out.Status, out.Class, out.Key, out.Trace = milliseconds(e.Took), e.Method, e.Route, e.Status, e.Class, e.Key, e.Trace
	out.Collection, out.K, out.Mode, out.Hits, out.Shards, out.Answered, out.Rows = clip(e.Collection), e.K, e.Mode, e.Hits, e.Shards, e.Answered, e.Rows
	out.Refills, out.Coverage, out.Hedges, out.Failovers, out.Model, out.Upstream = e.Refills, e.Coverage, e.Hedges, e.Failovers, clip(e.Model), e.Upstream
	out.PromptTokens, out.CompletionTokens, out.FirstMS = e.Usage.PromptTokens, e.Usage.CompletionTokens, milliseconds(e.First)
	if e.Tenant != "" {
		out.Tenant = clip(s.logTenant(e.Tenant))
	}
	for _, stage := range e.Stages {
		out.Stages = append(out.Stages, requestStage{stage.Name, milliseconds(stage.Took)})
	}
	return out
}

func publicAttempt(a *balance.Attempt, start time.Time) requestAttempt {
	out := requestAttempt{
		Lane: a.Lane, Pool: a.Pool, Member: a.Member, Reason: string(a.Reason), StartMS: milliseconds(a.Start.Sub(start)), TookMS: milliseconds(a.Took),
	}
	if a.Took > 0 {
		out.Outcome = outcomeOf(a)
	}
	return out
}

// outcomeOf is what became of an attempt: "won", "lost", or the class of its error.
func outcomeOf(a *balance.Attempt) string {
	switch {
	case a.Won:
		return "won"
	case a.Err == nil:
		return "lost"
	}
	return tracing.Class(a.Err)
}
