package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

// batchWidth is how many searches of one batch run at the same time, so that a
// batch is no way around the admission of single searches.
const batchWidth = 8

func (s *server) search(w *recorder, r *http.Request) error {
	body, err := decode[wire.SearchRequest](s, w, r)
	if err != nil {
		return err
	}
	res, err := s.searchOne(r.Context(), &w.event, &body)
	if err != nil {
		return err
	}
	return s.reply(w, res)
}

// searchOne answers one search, alone or as a part of a batch, and enters it into e.
func (s *server) searchOne(ctx context.Context, e *Event, body *wire.SearchRequest) (wire.SearchResponse, error) {
	res, err := s.retrieve(ctx, request(body))
	e.searched(body, &res, err)
	if err != nil {
		return wire.SearchResponse{}, err
	}
	return response(body.Collection, res, len(body.Legs) == 0), nil
}

// searchBatch answers by position. A search that fails has its problem there.
func (s *server) searchBatch(w *recorder, r *http.Request) error {
	body, err := decode[wire.BatchRequest](s, w, r)
	if err != nil {
		return err
	}
	results, events := make([]wire.SearchResponse, len(body.Queries)), make([]Event, len(body.Queries))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(batchWidth, len(results)) {
		wg.Go(func() {
			for i := range next {
				results[i] = s.batchPart(r.Context(), &events[i], &body.Queries[i])
			}
		})
	}
	for i := range results {
		next <- i
	}
	close(next)
	wg.Wait()
	for i := range events {
		w.event.add(&events[i])
	}
	return s.reply(w, wire.BatchResponse{Results: results})
}

// batchPart keeps a failure, a panic included, to its own place in the batch.
func (s *server) batchPart(ctx context.Context, e *Event, q *wire.SearchRequest) (res wire.SearchResponse) {
	var err error
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
		if err != nil {
			p := problem(err)
			res = wire.SearchResponse{Hits: []wire.Hit{}, Error: &p}
		}
	}()
	res, err = s.searchOne(ctx, e, q)
	return res
}

// request turns a body into what the router asks for.
func request(b *wire.SearchRequest) router.Request {
	q := router.Request{
		Collection: b.Collection, Tenant: b.Tenant, Text: b.Text, Vector: b.Vector, Space: b.Space,
		K: b.K, MinScore: b.MinScore, Mode: router.Mode(b.Mode), Filter: b.Filter, Fields: fields(b.Include),
		EF: b.EF, Exact: b.Exact, Timeout: time.Duration(b.TimeoutMS) * time.Millisecond,
		OnPartial: router.OnPartial(b.OnPartial), MinCoverage: b.MinCoverage, Explain: b.Explain,
		Fusion: router.Fusion(b.Fusion), Cursor: b.Cursor, Rerank: b.Rerank,
	}
	if b.Group != nil {
		q.Group = &router.Group{By: b.Group.By, Size: b.Group.Size}
	}
	if b.MMR != nil {
		q.MMR = &b.MMR.Lambda
	}
	for _, l := range b.Legs {
		leg := router.Leg{Collection: l.Collection, Text: l.Text, Vector: l.Vector, Sparse: l.Sparse.Vector(), Using: l.Using, Weight: defaultWeight}
		if l.Weight != nil {
			leg.Weight = *l.Weight
		}
		q.Legs = append(q.Legs, leg)
	}
	return q
}

// defaultWeight is that of a leg which states none.
const defaultWeight = 0.5

// fields reads "include"; where it is absent, text and metadata are meant.
func fields(include []string) search.Fields {
	if include == nil {
		return search.Fields{Text: true, Meta: true}
	}
	var f search.Fields
	for _, word := range include {
		switch word {
		case "text":
			f.Text = true
		case "metadata":
			f.Meta = true
		case "vector":
			f.Vector = true
		}
	}
	return f
}

// response is res in public form. Where the request spelled no legs out, they go by what they match.
func response(collection string, res router.Response, short bool) wire.SearchResponse {
	var names []string
	if short && res.Report.Mode == string(router.Hybrid) {
		names = []string{string(router.Dense), string(router.Lexical)}
	}
	return wire.SearchResponse{
		Hits: publicHits(collection, res.Hits, names), Report: wire.NewReport(res.Report),
		NextCursor: res.NextCursor, Explain: publicExplain(res.Explain),
	}
}

// publicHits names a hit's legs by names, or else by their numbers.
func publicHits(collection string, hits []search.Hit, names []string) []wire.Hit {
	out := make([]wire.Hit, len(hits))
	for i := range hits {
		h := &hits[i]
		out[i] = wire.Hit{
			ID: h.ID, Tenant: h.Tenant, Score: h.Score, RawScore: h.Raw, Shard: h.Shard,
			Text: h.Text, Metadata: h.Meta, Vector: h.Dense, Legs: publicLegs(h.Legs, names),
		}
		if h.Collection != collection {
			out[i].Collection = h.Collection
		}
	}
	return out
}

func publicLegs(legs []search.LegScore, names []string) map[string]wire.LegScore {
	if len(legs) == 0 {
		return nil
	}
	out := make(map[string]wire.LegScore, len(legs))
	for _, l := range legs {
		name := strconv.Itoa(l.Leg)
		if l.Leg < len(names) {
			name = names[l.Leg]
		}
		out[name] = wire.LegScore{Rank: l.Rank, Score: l.Score}
	}
	return out
}

// explanation is router.Explain in public form.
type explanation struct {
	Stages   []explainedStage   `json:"stages"`
	Attempts []explainedAttempt `json:"attempts"`

	Generation *explainedGeneration `json:"generation,omitzero"` // of an answer
	Routing    *explainedRouting    `json:"routing,omitzero"`    // of one that was left to the semantic routes
}

// explainedGeneration is how the model of an answer was reached.
type explainedGeneration struct {
	Model           string            `json:"model"`                   // public name
	Passed          []explainedPassed `json:"passed,omitzero"`         // models that were tried before
	Upstream        string            `json:"upstream,omitzero"`       // that answered
	UpstreamModel   string            `json:"upstream_model,omitzero"` // that it was asked for
	Why             string            `json:"why,omitzero"`            // it was picked
	Attempts        int               `json:"attempts,omitzero"`
	QueuedMS        float64           `json:"queued_ms"`
	FirstMS         float64           `json:"first_ms"` // until the first words
	EstimatedTokens int               `json:"estimated_prompt_tokens"`
	PredictedCached int               `json:"predicted_cached_tokens"` // of them, that the upstream has likely read before
}

type explainedPassed struct {
	Model string `json:"model"`
	Error string `json:"error"`
}

// explainedRouting is what the semantic routes made of a question.
type explainedRouting struct {
	Route      string           `json:"route"` // "": none was near enough
	Model      string           `json:"model,omitzero"`
	Collection string           `json:"collection,omitzero"`
	Prompt     string           `json:"prompt,omitzero"`
	Scores     []explainedScore `json:"scores"`
	Failed     string           `json:"failed,omitzero"`
}

type explainedScore struct {
	Route     string  `json:"route"`
	Score     float64 `json:"score"`
	Threshold float64 `json:"threshold"`
}

type explainedStage struct {
	Name   string  `json:"name"`
	TookMS float64 `json:"took_ms"`
}

type explainedAttempt struct {
	Lane   string  `json:"lane"`
	Pool   string  `json:"pool"`
	Member string  `json:"member"`
	Reason string  `json:"reason"`
	TookMS float64 `json:"took_ms"`
	Won    bool    `json:"won"`
	Error  string  `json:"error,omitzero"`
}

// publicExplain is nil where no explanation was asked for.
func publicExplain(e *router.Explain) json.RawMessage {
	if e == nil {
		return nil
	}
	return encoded(explain(e))
}

func explain(e *router.Explain) explanation {
	out := explanation{Stages: []explainedStage{}, Attempts: []explainedAttempt{}}
	for _, s := range e.Stages {
		out.Stages = append(out.Stages, explainedStage{Name: s.Name, TookMS: milliseconds(s.Took)})
	}
	for _, a := range e.Attempts {
		seen := explainedAttempt{
			Lane: a.Lane, Pool: a.Pool, Member: a.Member, Reason: fmt.Sprint(a.Reason), TookMS: milliseconds(a.Took), Won: a.Won,
		}
		if a.Err != nil {
			seen.Error = a.Err.Error()
		}
		out.Attempts = append(out.Attempts, seen)
	}
	out.Routing = publicRouting(e.Routing)
	return out
}

func encoded(e explanation) json.RawMessage {
	data, err := wire.Encode(e)
	if err != nil {
		panic(err) // a defect: it holds no floats that are not finite
	}
	return data
}

func publicRouting(r *llm.Routing) *explainedRouting {
	if r == nil {
		return nil
	}
	out := &explainedRouting{
		Route: r.Route, Model: r.Target.Model, Collection: r.Target.Collection, Prompt: r.Target.Prompt, Scores: []explainedScore{}, Failed: r.Failed,
	}
	for _, s := range r.Scores {
		out.Scores = append(out.Scores, explainedScore(s))
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
