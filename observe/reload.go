package observe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Reload is what became of an attempt to exchange the configuration.
type Reload struct {
	At    time.Time // since when the configuration in force is so
	Hash  string    // of the configuration in force
	Err   error     // nil: it is the new one
	First bool      // the server has started with it
}

// reloads tells of the configuration.
type reloads struct {
	total *prometheus.CounterVec
	since prometheus.Gauge
	hash  *prometheus.GaugeVec
}

// countReloads makes the metrics of the configuration.
func (m *Metrics) countReloads(register func(...prometheus.Collector)) {
	m.reloads = reloads{
		total: counter("lanewise_config_reloads_total", "Attempts to exchange the configuration, by their result: ok or error.", "result"),
		since: prometheus.NewGauge(prometheus.GaugeOpts{Name: "lanewise_config_last_success_timestamp_seconds", Help: "When the configuration in force was put in force."}),
		hash:  gauge("lanewise_config_info", "The configuration in force, by its hash; always 1.", "hash"),
	}
	m.reloads.total.WithLabelValues("ok")
	m.reloads.total.WithLabelValues("error")
	m.reloads.hash.WithLabelValues("none").Set(1)
	register(m.reloads.total, m.reloads.since, m.reloads.hash)
}

// Reloaded enters what became of a reload.
func (m *Metrics) Reloaded(r Reload) {
	result := "ok"
	if r.Err != nil {
		result = "error"
	}
	if !r.First {
		m.reloads.total.WithLabelValues(result).Inc()
	}
	m.reloads.since.Set(float64(r.At.UnixNano()) / 1e9)
	m.reloads.hash.Reset()
	m.reloads.hash.WithLabelValues(r.Hash).Set(1)
}
