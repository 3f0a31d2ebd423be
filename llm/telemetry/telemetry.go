// Package telemetry looks at the metrics of model servers, again and again, and
// tells a lane how many calls each has: those of others among them, which the lane
// cannot count by itself.
//
// What a server tells only corrects the lane's own count, and fades until three
// times the interval has passed: a server that stops telling, or tells what cannot
// be true, leaves the lane with its own count, never with "idle" or "saturated".
package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/gauges"
)

// Lane is who is told. The upstream has that many calls, running and waiting,
// everybody's; the figure fades until lasts has passed.
type Lane interface {
	Report(upstream string, calls float64, lasts time.Duration) error
}

// Source is a server that shows its metrics on a page, in Prometheus' text format.
type Source struct {
	Upstream string // by its name in the lane
	URL      string // of the page
	Model    string // whose series count, where they are labelled; empty: all
}

// Config describes a watch. Zero values mean the defaults.
type Config struct {
	Lane    Lane
	Sources []Source
	// Every is the time between two looks at a page, a fifth more or less so that
	// routers do not look all at once. Default 1 s. A page that takes longer than
	// 100 ms is looked at less often, up to ten times: to tell is work, too.
	Every  time.Duration
	Client *http.Client // default: http.DefaultClient
	Log    *slog.Logger // of pages that begin or cease to tell; nil: none
}

// Watch is a number of pages that are looked at until it is closed.
type Watch struct {
	config Config
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// slow is how long a page may take that is looked at as often as configured;
// patience bounds how much less often it gets at last.
const (
	slow     = 100 * time.Millisecond
	patience = 10
)

// Start begins to look. Its error is fault.Invalid. The watch must be closed.
func Start(c Config) (*Watch, error) {
	c.Every = cmp.Or(c.Every, time.Second)
	if c.Client == nil {
		c.Client = http.DefaultClient
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	var errs []error
	if c.Lane == nil {
		errs = append(errs, fault.BadField("/lane", "is missing"))
	}
	if c.Every < 0 {
		errs = append(errs, fault.BadField("/every", "is negative"))
	}
	for i, s := range c.Sources {
		if s.Upstream == "" || s.URL == "" {
			errs = append(errs, fault.BadField(fmt.Sprintf("/sources/%d", i), "needs an upstream and a URL"))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &Watch{config: c, cancel: cancel}
	for _, s := range c.Sources {
		w.wait.Go(func() { w.follow(ctx, s) })
	}
	return w, nil
}

// Close ends the watch and waits for its looks. It returns nil.
func (w *Watch) Close() error {
	w.cancel()
	w.wait.Wait()
	return nil
}

// follow looks at one page until ctx ends.
func (w *Watch) follow(ctx context.Context, s Source) {
	every, told := w.config.Every, true
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		begun := time.Now()
		err := w.look(ctx, s, 3*every)
		if ctx.Err() != nil {
			return
		}
		if (err == nil) != told {
			told = err == nil
			w.config.Log.Info("an upstream's metrics", "upstream", s.Upstream, "read", told, "err", err)
		}
		every = w.config.pace(every, time.Since(begun))
		timer.Reset(time.Duration(float64(every) * (0.8 + 0.4*rand.Float64()))) //nolint:gosec // chance, not secrets
	}
}

// pace is the time until the next look, after one that took so long.
func (c Config) pace(every, took time.Duration) time.Duration {
	if took > slow {
		return min(2*every, patience*c.Every)
	}
	return max(every/2, c.Every)
}

// look reads the page once and tells the lane.
func (w *Watch) look(ctx context.Context, s Source, lasts time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, max(w.config.Every, time.Second))
	defer cancel()
	l, err := w.read(ctx, s)
	if err != nil {
		return err
	}
	return w.config.Lane.Report(s.Upstream, l.Running+l.Waiting, lasts)
}

func (w *Watch) read(ctx context.Context, s Source) (gauges.Load, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return gauges.Load{}, fault.Wrap(fault.Invalid, "metrics", err)
	}
	resp, err := w.config.Client.Do(req)
	if err != nil {
		return gauges.Load{}, fault.Wrap(fault.Unavailable, "read metrics", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if resp.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection is kept
		return gauges.Load{}, fault.New(fault.Unavailable, "read metrics: status %d", resp.StatusCode)
	}
	return gauges.Read(resp.Body, s.Model)
}
