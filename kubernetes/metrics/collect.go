package metrics

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/kubernetes/scaling"
)

// Told is what a router tells the others.
type Told struct {
	Router   string            `json:"router"` // a name that no other router has
	Readings []scaling.Reading `json:"readings"`
}

// readings tells another router this one's own.
func (s *server) readings(w http.ResponseWriter, r *http.Request) {
	given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if s.Key == "" || s.Readings == nil || subtle.ConstantTimeCompare([]byte(given), []byte(s.Key)) != 1 {
		refuse(w, fault.New(fault.Unauthorized, "this is for other routers, which have the key"))
		return
	}
	write(w, http.StatusOK, s.Readings())
}

// CollectorConfig describes a Collector.
type CollectorConfig struct {
	Own     func() Told
	Tracker *scaling.Tracker
	// Others returns the addresses (host:port) of all routers; this one may be among them.
	// nil: there is one router.
	Others func(context.Context) ([]string, error)
	Key    string
	Client *http.Client  // speaks TLS to the others
	Every  time.Duration // default 2 s
	Log    *slog.Logger  // nil: none
}

// Collector asks all routers for their readings now and then, and enters them into a
// tracker.
type Collector struct {
	c      CollectorConfig
	silent map[string]bool // addresses that did not answer last time; "": their list
}

// NewCollector returns a Collector.
func NewCollector(c CollectorConfig) *Collector {
	if c.Every <= 0 {
		c.Every = 2 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Collector{c: c, silent: map[string]bool{}}
}

// Run collects until ctx ends.
func (c *Collector) Run(ctx context.Context) {
	tick := time.NewTicker(c.c.Every)
	defer tick.Stop()
	for {
		c.Collect(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Collect asks every router once. It must not run twice at a time.
func (c *Collector) Collect(ctx context.Context) {
	own := c.c.Own()
	told := map[string][]scaling.Reading{own.Router: own.Readings}
	for _, other := range c.ask(ctx) {
		if other.Router != own.Router {
			told[other.Router] = other.Readings
		}
	}
	c.c.Tracker.Observe(time.Now(), told)
}

// ask returns what the other routers tell. A list that cannot be had is none.
func (c *Collector) ask(ctx context.Context) []Told {
	if c.c.Others == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.c.Every/2)
	defer cancel()
	addresses, err := c.c.Others(ctx)
	c.note(ctx, "", err)
	out, errs := make([]Told, len(addresses)), make([]error, len(addresses))
	var asked sync.WaitGroup
	for i, address := range addresses {
		asked.Go(func() { out[i], errs[i] = c.askOne(ctx, address) })
	}
	asked.Wait()
	var heard []Told
	for i, err := range errs {
		if c.note(ctx, addresses[i], err); err == nil {
			heard = append(heard, out[i])
		}
	}
	return heard
}

// note logs a router that falls silent, once, and its return.
func (c *Collector) note(ctx context.Context, address string, err error) {
	switch {
	case err != nil && !c.silent[address]:
		c.silent[address] = true
		c.c.Log.WarnContext(ctx, "external metrics: another router does not tell its readings; its last ones count for a minute", "event", "RouterSilent", "router", address, "err", err)
	case err == nil && c.silent[address]:
		delete(c.silent, address)
		c.c.Log.InfoContext(ctx, "external metrics: the router tells its readings again", "router", address)
	}
}

const maxTold = 4 << 20 // bytes

func (c *Collector) askOne(ctx context.Context, address string) (told Told, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+readingsPath, http.NoBody)
	if err != nil {
		return told, err
	}
	req.Header.Set("Authorization", "Bearer "+c.c.Key)
	resp, err := c.c.Client.Do(req)
	if err != nil {
		return told, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	if resp.StatusCode != http.StatusOK {
		return told, fault.New(fault.Unavailable, "status %d", resp.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxTold)).Decode(&told); err != nil {
		return told, fmt.Errorf("read the readings: %w", err)
	}
	return told, nil
}
