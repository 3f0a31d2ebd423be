package config

import (
	"context"
	"fmt"
	"time"

	"github.com/lanewise/lanewise/observe"
)

// spans says where the spans of requests go.
type spans struct {
	// Endpoint is the URL of a collector that takes OTLP over HTTP, such as http://127.0.0.1:4318;
	// without a path, /v1/traces of it. Default: none, and nothing is traced.
	Endpoint string `yaml:"endpoint,omitempty"`
	// Headers go with every batch of spans.
	Headers []header `yaml:"headers,omitempty"`
	// Ratio is the share of requests that are recorded, of those whose clients send no trace. -1: none of
	// them. Default 1.
	Ratio float64 `yaml:"ratio,omitempty"`
	// Apart begins a trace for every request, whatever its client sends. Default: a request with a
	// traceparent goes on with that trace, and is recorded if it says so.
	Apart bool `yaml:"apart,omitempty"`
}

// header is one that is sent along.
type header struct {
	Name  string `yaml:"name"`
	Value Secret `yaml:"value"`
}

// tracesEnd is for the last spans, once the requests have ended.
const tracesEnd = 3 * time.Second

// openTraces begins to trace, where that is configured.
func (s *System) openTraces(ctx context.Context, c spans, version string) (err error) {
	if c.Endpoint == "" {
		return nil
	}
	headers := map[string]string{}
	for _, h := range c.Headers {
		headers[h.Name] = string(h.Value)
	}
	t, err := observe.NewTraces(ctx, observe.TraceConfig{
		Endpoint: c.Endpoint, Headers: headers, Ratio: c.Ratio, Apart: c.Apart, Version: version, Log: s.log,
	})
	if err != nil {
		return fmt.Errorf("traces.%w", err)
	}
	s.observing.traces = t
	s.observing.all = append(s.observing.all, t)
	s.opened(func() error { //nolint:contextcheck // the start is over by then
		ctx, cancel := context.WithTimeout(context.Background(), tracesEnd)
		defer cancel()
		if err := t.Close(ctx); err != nil {
			s.log.Warn("traces were lost", "error", err) // which is no reason for a server to fail
		}
		return nil
	})
	return nil
}

func (v *validator) traces(t spans) {
	if t.Endpoint != "" {
		v.url("traces.endpoint", t.Endpoint)
	}
	v.check(t.Ratio == -1 || t.Ratio >= 0 && t.Ratio <= 1, "traces.ratio", "must be between 0 and 1, or -1")
	v.check(t.Endpoint != "" || t.Ratio == 0 && !t.Apart && len(t.Headers) == 0, "traces.endpoint", "is missing: where do the spans go?")
	for i, h := range t.Headers {
		v.check(h.Name != "", fmt.Sprintf("traces.headers[%d].name", i), "is missing")
	}
}
