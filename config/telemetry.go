package config

import (
	"errors"
	"fmt"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/openaiwire"
	"github.com/lanewise/lanewise/llm/telemetry"
)

// pages are those of the upstreams that name one.
func (c LLM) pages() (out []telemetry.Source) {
	for _, u := range c.Upstreams {
		if u.Metrics != "" {
			out = append(out, telemetry.Source{Upstream: u.Name, URL: u.Metrics, Model: u.Model})
		}
	}
	return out
}

// pages are those of the lane's upstreams.
func (l *embedLane) pages() (out []telemetry.Source) {
	for _, u := range l.from {
		if u.Metrics != "" {
			out = append(out, telemetry.Source{Upstream: u.Name, URL: u.Metrics, Model: u.Model})
		}
	}
	return out
}

// follow looks at the metrics of upstreams as long as the system is open, and tells
// the lane how busy they are.
func (s *System) follow(pages []telemetry.Source, lane telemetry.Lane) error {
	if len(pages) == 0 {
		return nil
	}
	client := openaiwire.NewHTTPClient()
	w, err := telemetry.Start(telemetry.Config{Lane: lane, Sources: pages, Client: client, Log: s.log})
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	s.opened(func() error {
		err := w.Close()
		client.CloseIdleConnections()
		return err
	})
	return nil
}

// Report tells every lane that has the upstream. Of an upstream that several lanes
// share, each takes the calls of the others for those of strangers, as it should.
func (l learners) Report(upstream string, calls float64, lasts time.Duration) error {
	var errs []error
	for _, lane := range l {
		if err := lane.Report(upstream, calls, lasts); !errors.Is(err, fault.NotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
