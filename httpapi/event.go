package httpapi

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/relay"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

// Observer hears of requests. Its methods are called on the goroutines of the
// requests, so they must be quick and safe for concurrent use.
type Observer interface {
	// Begin is called first. The request goes on with the context that it returns;
	// trace is the id of the request's trace, for the log, or empty.
	Begin(ctx context.Context, header http.Header) (_ context.Context, trace string)
	// End is called when the answer is out, with the context of Begin. The event is
	// the observer's only until End returns.
	End(ctx context.Context, e *Event)
}

// Event is what became of one request. What a request has nothing to do with is zero.
type Event struct {
	Start  time.Time
	Took   time.Duration
	Method string
	Route  string // path of the contract, such as /v1/collections/{collection}; "/": no endpoint
	Status int    // of HTTP; 0: the client left before there was one
	Bytes  int    // of the answer's body
	Err    error  // nil: there was none
	Class  string // "ok", a class of package fault, "timeout", "cancelled", or "error" for a defect
	Trace  string // id of its trace; empty: it has none
	Key    string // name of the API key; empty: none was shown, or it is not known

	Collection string // as the client named it
	Tenant     string
	K          int
	Mode       string // that was used
	Searches   int    // under the surface: those of a batch, or the one of an answer
	Partial    int    // searches in which shards were missing
	Coverage   float64
	Hits       int
	Shards     int // that were asked, over all searches
	Answered   int // of those
	Rows       int // asked of the shards
	Refills    int
	Stages     []router.Stage // of all searches of a batch, those of the same name added up
	Attempts   int            // calls of upstreams on all lanes
	Hedges     int
	Failovers  int

	Model    string    // that was asked for, then the one that answered
	Upstream string    // of the model
	Usage    llm.Usage // tokens and cost
	First    time.Duration
}

// asks enters what a search asks for.
func (e *Event) asks(b *wire.SearchRequest) {
	e.Collection, e.Tenant, e.K = b.Collection, b.Tenant, b.K
}

// searched enters a search and what became of it.
func (e *Event) searched(b *wire.SearchRequest, res *router.Response, err error) {
	e.asks(b)
	e.Searches, e.Stages, e.Mode = 1, res.Stages, res.Report.Mode
	e.Hits = len(res.Hits)
	e.reported(&res.Report, err == nil || res.Report.ShardsAsked > 0)
}

// reported enters what a report says; complete tells whether it says how complete the answer is.
func (e *Event) reported(rep *search.Report, complete bool) {
	if complete {
		e.Coverage = rep.Coverage
		if !rep.Complete {
			e.Partial = 1
		}
	}
	e.Shards, e.Answered, e.Rows = rep.ShardsAsked, rep.ShardsAnswered, rep.RowsAsked
	e.Refills, e.Hedges, e.Failovers = rep.Refills, rep.Hedges, rep.Failovers
}

// add enters one search of a batch, whose coverage is that of the worst.
func (e *Event) add(part *Event) {
	if e.Searches == 0 {
		e.Collection, e.Tenant, e.K, e.Mode, e.Coverage = part.Collection, part.Tenant, part.K, part.Mode, part.Coverage
	}
	e.Searches += part.Searches
	e.Partial += part.Partial
	e.Coverage = min(e.Coverage, part.Coverage)
	e.Hits += part.Hits
	e.Shards += part.Shards
	e.Answered += part.Answered
	e.Rows += part.Rows
	e.Refills += part.Refills
	e.Hedges += part.Hedges
	e.Failovers += part.Failovers
	for _, s := range part.Stages {
		e.stage(s)
	}
}

func (e *Event) stage(s router.Stage) {
	for i := range e.Stages {
		if e.Stages[i].Name == s.Name {
			e.Stages[i].Took += s.Took
			return
		}
	}
	e.Stages = append(e.Stages, s)
}

// answered enters an answer as far as it has come.
func (e *Event) answered(a router.Answer) {
	e.Searches, e.Stages, e.Mode = 1, a.Stages, a.Report.Mode
	e.Hits = len(a.Hits)
	e.reported(&a.Report, true)
	e.routed(&a.Route, &a.Usage)
	e.Model = cmp.Or(a.Route.Chosen, a.Choice.Model, a.Model)
}

// routed enters how a model was reached, and what it used.
func (e *Event) routed(r *relay.Route, u *relay.Usage) {
	e.Model, e.Upstream, e.First = cmp.Or(r.Chosen, r.Model, e.Model), r.Upstream, r.First
	if u != nil {
		e.Usage = *u
	}
}

// watch hooks the observer and the count of attempts into a request.
func (s *server) watch(w *recorder, r *http.Request) *http.Request {
	ctx := r.Context()
	if s.observer != nil {
		ctx, w.event.Trace = s.observer.Begin(ctx, r.Header)
	}
	if s.pools != nil {
		w.timeline = s.recent.follow(w.id, w.event.Start)
	}
	hooks := &balance.Trace{Started: func(balance.Attempt) { w.attempts.Add(1) }}
	if t := w.timeline; t != nil {
		hooks.Started = func(a balance.Attempt) {
			w.attempts.Add(1)
			t.started(a)
		}
		hooks.Ended = t.ended
	}
	return r.WithContext(balance.WithTrace(ctx, hooks))
}

// conclude tells the observer and the log what became of a request.
func (s *server) conclude(w *recorder, r *http.Request) {
	e := &w.event
	e.Took = time.Since(e.Start)
	e.Method, e.Route, e.Status, e.Bytes, e.Err = method(r.Method), cmp.Or(w.route, "/"), w.status, w.bytes, w.err
	e.Class, e.Key, e.Attempts = classOf(w.err), w.caller, int(w.attempts.Load())
	if s.observer != nil {
		s.observer.End(r.Context(), e)
	}
	if w.timeline != nil {
		w.timeline.concluded(*e)
	}
	s.logRequest(w, r)
}

// method keeps the methods that anybody can make up out of logs and metrics.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodHead, http.MethodOptions, http.MethodPatch:
		return m
	}
	return "other"
}

// classOf is the class of an outcome in logs and metrics.
func classOf(err error) string {
	if err == nil {
		return "ok"
	}
	if class := fault.Of(err); class != "" {
		return string(class)
	}
	status := classify(err)
	switch {
	case status == http.StatusGatewayTimeout:
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case status < http.StatusInternalServerError:
		return string(fault.Invalid)
	}
	return "error"
}

// hashed is a name that tells tenants apart without naming them.
func hashed(tenant string) string {
	sum := sha256.Sum256([]byte(tenant))
	return hex.EncodeToString(sum[:6])
}
