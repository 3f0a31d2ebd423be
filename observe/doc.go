// Package observe tells what a running lanewise does: metrics for Prometheus, spans
// for OpenTelemetry, and a log without secrets.
//
// [Metrics] has a registry of its own, so that several systems in one process do not
// meet in it. It learns of attempts by a [balance.Trace], of requests as an
// [httpapi.Observer], and asks pools for their state when it is scraped. docs/metrics.md
// names every metric.
//
// Labels are bounded: routes, classes, lanes, pools and members come from the
// configuration, and what clients make up is one label "other" beyond a number of names.
// No label carries a tenant, a text or a key.
package observe
