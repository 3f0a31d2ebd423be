package observe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/httpapi"
	"github.com/lanewise/lanewise/internal/tracing"
)

// Bounds of what is told apart.
const (
	mostModels  = 100
	mostSeries  = 10_000 // of attempts
	mostMembers = 500    // of all pools
)

// Metrics are those of one system. Safe for concurrent use.
type Metrics struct {
	reloads  reloads
	registry *prometheus.Registry
	attempts *series[attempt, *attempted]
	requests *series[request, *requested]
	stages   *series[string, prometheus.Observer]
	models   *series[string, *modelled]
	inFlight prometheus.Gauge
	searches prometheus.Counter
	partial  prometheus.Counter
	refills  prometheus.Counter
	coverage prometheus.Histogram
}

// New returns metrics of a system whose state is asked for at each scrape. version is
// the program's.
func New(version string, state func() State) (*Metrics, error) {
	m := &Metrics{registry: prometheus.NewRegistry()}
	info := gauge("lanewise_build_info", "The version that runs; always 1.", "version", "go")
	info.WithLabelValues(version, runtime.Version()).Set(1)
	errs := []error{
		m.registry.Register(collectors.NewGoCollector()),
		m.registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
		m.registry.Register(info),
		m.registry.Register(newStateCollector(state)),
	}
	register := func(all ...prometheus.Collector) {
		for _, c := range all {
			errs = append(errs, m.registry.Register(c))
		}
	}
	m.countAttempts(register)
	m.countRequests(register)
	m.countModels(register)
	m.countReloads(register)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return m, nil
}

// Handler answers scrapes, in OpenMetrics with exemplars where that is asked for.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4})
}

// Trace is to be set as the hook of every lane.
func (m *Metrics) Trace() *balance.Trace { return &balance.Trace{Ended: m.ended} }

var _ httpapi.Observer = (*Metrics)(nil)

// Begin counts a request as being in flight.
func (m *Metrics) Begin(ctx context.Context, _ http.Header) (context.Context, string) {
	m.inFlight.Inc()
	return ctx, ""
}

// End counts what became of a request.
func (m *Metrics) End(ctx context.Context, e *httpapi.Event) {
	m.inFlight.Dec()
	r := m.requests.of(request{e.Route, e.Method, e.Status, e.Class})
	example := ""
	if e.Trace != "" && !tracing.Unrecorded(ctx) { // else it would lead nowhere
		example = r.example(e)
	}
	r.total.Inc()
	observe(r.took, e.Took.Seconds(), example)
	for _, s := range e.Stages {
		observe(m.stages.of(s.Name), s.Took.Seconds(), example)
	}
	if e.Searches > 0 {
		m.searches.Add(float64(e.Searches))
		m.partial.Add(float64(e.Partial))
		m.refills.Add(float64(e.Refills))
		m.coverage.Observe(e.Coverage)
	}
	if e.Model != "" && e.Class == "ok" || e.Upstream != "" {
		m.models.of(e.Model).observe(e, example)
	}
}

// observe enters a duration, with the trace in which it was taken if there is one.
func observe(o prometheus.Observer, value float64, trace string) {
	if with, ok := o.(prometheus.ExemplarObserver); ok && trace != "" {
		with.ObserveWithExemplar(value, prometheus.Labels{"trace_id": trace})
		return
	}
	o.Observe(value)
}

// outcome is what became of an attempt, as a label.
func outcome(won bool, err error) string {
	switch {
	case err == nil && won:
		return "won"
	case err == nil:
		return "lost"
	}
	return tracing.Class(err)
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

// label makes text fit for a label: a name that a client sent may be no UTF-8, and
// the registry refuses a scrape for that.
func label(text string) string {
	const most = 100
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "�")
}
