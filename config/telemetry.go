package config

import (
	"errors"
	"fmt"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/openaiwire"
	"github.com/lanewise/lanewise/llm/telemetry"
)

// follow looks at the metrics of the upstreams that name a page, as long as the
// system is open, and tells the lanes how busy they are.
func (s *System) follow(c LLM, lanes telemetry.Lane) error {
	var pages []telemetry.Source
	for _, u := range c.Upstreams {
		if u.Metrics != "" {
			pages = append(pages, telemetry.Source{Upstream: u.Name, URL: u.Metrics, Model: u.Model})
		}
	}
	if len(pages) == 0 {
		return nil
	}
	client := openaiwire.NewHTTPClient()
	w, err := telemetry.Start(telemetry.Config{Lane: lanes, Sources: pages, Client: client, Log: s.log})
	if err != nil {
		return fmt.Errorf("llm metrics: %w", err)
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
