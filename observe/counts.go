package observe

import (
	"cmp"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/httpapi"
)

// seconds are the buckets of durations: from a search of a small store to an answer
// of a large model.
func seconds() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
}

// attempt is what attempts are told apart by.
type attempt struct {
	lane, pool, member string
	reason             balance.Reason
	outcome            string
}

type attempted struct {
	total prometheus.Counter
	took  prometheus.Observer
}

func (m *Metrics) countAttempts(register func(...prometheus.Collector)) {
	total := counter("lanewise_attempts_total", "Calls of upstreams and replicas that have ended.", "lane", "pool", "member", "reason", "outcome")
	took := histogram("lanewise_attempt_duration_seconds", "How long attempts took.", seconds(), "lane", "pool", "member", "reason")
	register(total, took)
	m.attempts = newSeries(mostSeries, func(a attempt) *attempted {
		if a == (attempt{}) {
			a = attempt{other, other, other, other, other}
		}
		return &attempted{
			total: total.WithLabelValues(label(a.lane), label(a.pool), label(a.member), string(a.reason), a.outcome),
			took:  took.WithLabelValues(label(a.lane), label(a.pool), label(a.member), string(a.reason)),
		}
	})
}

func (m *Metrics) ended(a balance.Attempt) {
	s := m.attempts.of(attempt{a.Lane, a.Pool, a.Member, a.Reason, outcome(a.Won, a.Err)})
	s.total.Inc()
	s.took.Observe(a.Took.Seconds())
}

// request is what requests are told apart by.
type request struct {
	route, method string
	status        int
	class         string
}

type requested struct {
	total prometheus.Counter
	took  prometheus.Observer
	shown []atomic.Int64 // when requests of about this duration had an example, in Unix nanoseconds
}

// exampleEvery is for how long one request of many that are alike is the exemplar. To keep one costs ten times as
// much as to count, and a scrape sees the last one alone.
const exampleEvery = time.Second

// example returns the trace of a request if it is to be an exemplar; empty: one of about its duration was a moment ago.
func (r *requested) example(e *httpapi.Event) string {
	bucket, _ := slices.BinarySearch(seconds(), e.Took.Seconds())
	now, last := time.Now().UnixNano(), r.shown[bucket].Load()
	if now-last < int64(exampleEvery) || !r.shown[bucket].CompareAndSwap(last, now) {
		return ""
	}
	return e.Trace
}

func (m *Metrics) countRequests(register func(...prometheus.Collector)) {
	total := counter("lanewise_requests_total", "Requests that have ended, by endpoint and outcome.", "route", "method", "status", "class")
	took := histogram("lanewise_request_duration_seconds", "How long requests took, streams to their end.", seconds(), "route", "method")
	stages := histogram("lanewise_stage_duration_seconds", "How long the stages of searches and answers took.", seconds(), "stage")
	m.inFlight = prometheus.NewGauge(prometheus.GaugeOpts{Name: "lanewise_requests_in_flight", Help: "Requests that have begun and not ended."})
	m.searches = prometheus.NewCounter(prometheus.CounterOpts{Name: "lanewise_searches_total", Help: "Searches, those of batches and answers among them."})
	m.partial = prometheus.NewCounter(prometheus.CounterOpts{Name: "lanewise_partial_searches_total", Help: "Searches in which shards were missing."})
	m.refills = prometheus.NewCounter(prometheus.CounterOpts{Name: "lanewise_refills_total", Help: "Shards that were asked a second time for more hits."})
	m.coverage = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "lanewise_search_coverage", Help: "Share of the documents that the shards which answered hold.", Buckets: []float64{0, .25, .5, .75, .9, .99, 1},
	})
	register(total, took, stages, m.inFlight, m.searches, m.partial, m.refills, m.coverage)
	m.requests = newSeries(mostSeries, func(r request) *requested {
		if r == (request{}) {
			r = request{other, other, 0, other}
		}
		return &requested{
			total: total.WithLabelValues(r.route, r.method, strconv.Itoa(r.status), r.class),
			took:  took.WithLabelValues(r.route, r.method),
			shown: make([]atomic.Int64, len(seconds())+1),
		}
	})
	m.stages = newSeries(mostModels, func(name string) prometheus.Observer { return stages.WithLabelValues(cmp.Or(name, other)) })
}

// modelled are the metrics of a model, by the names of OpenTelemetry's conventions for
// generative AI where those have one.
type modelled struct {
	input, output, cached prometheus.Observer
	first                 *prometheus.HistogramVec
	model                 string
	cost                  prometheus.Counter
	operation             *prometheus.HistogramVec
}

func (m *Metrics) countModels(register func(...prometheus.Collector)) {
	var tokens []float64
	for n := 1.0; n <= 1<<26; n *= 4 {
		tokens = append(tokens, n)
	}
	var took []float64
	for s := 0.01; s < 100; s *= 2 {
		took = append(took, s)
	}
	usage := histogram("gen_ai_client_token_usage", "Tokens of one request, by what they were for.", tokens, "gen_ai_request_model", "gen_ai_token_type")
	duration := histogram("gen_ai_client_operation_duration_seconds", "How long requests of models took.", took,
		"gen_ai_operation_name", "gen_ai_request_model", "error_type")
	first := histogram("gen_ai_client_operation_time_to_first_chunk_seconds", "How long it took until the first words.", took, "gen_ai_request_model")
	cost := counter("lanewise_cost_total", "What was paid for tokens, in the currency of the configured prices.", "model")
	register(usage, duration, first, cost)
	m.models = newSeries(mostModels, func(name string) *modelled {
		name = label(cmp.Or(name, other))
		return &modelled{
			model: name, operation: duration, first: first,
			input: usage.WithLabelValues(name, "input"), output: usage.WithLabelValues(name, "output"), cached: usage.WithLabelValues(name, "cached"),
			cost: cost.WithLabelValues(name),
		}
	})
}

func (m *modelled) observe(e *httpapi.Event, example string) {
	kind := ""
	if e.Class != "ok" {
		kind = e.Class
	}
	observe(m.operation.WithLabelValues(operation(e.Route), m.model, kind), e.Took.Seconds(), example)
	if e.First > 0 {
		observe(m.first.WithLabelValues(m.model), e.First.Seconds(), example)
	}
	for _, of := range [...]struct {
		tokens int
		in     prometheus.Observer
	}{{e.Usage.PromptTokens, m.input}, {e.Usage.CompletionTokens, m.output}, {e.Usage.CachedTokens, m.cached}} {
		if of.tokens > 0 {
			of.in.Observe(float64(of.tokens))
		}
	}
	if e.Usage.Cost > 0 {
		m.cost.Add(e.Usage.Cost)
	}
}

// operation is what a route does, by the conventions' names.
func operation(route string) string {
	switch route {
	case "/v1/embeddings":
		return "embeddings"
	case "/v1/completions":
		return "text_completion"
	}
	return "chat"
}
