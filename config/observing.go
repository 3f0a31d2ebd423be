package config

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/httpapi"
	"github.com/lanewise/lanewise/observe"
)

// metering says where the server tells its metrics.
type metering struct {
	// Listen is an address of its own for /metrics, which anybody who reaches it may
	// read. Default: none, and /metrics is on the server's own address, for keys of the
	// scope admin where there are keys.
	Listen string `yaml:"listen,omitempty"`
	// Off measures nothing: there is no /metrics.
	Off bool `yaml:"off,omitempty"`
}

// observing is what watches over a system.
type observing struct {
	all     observers
	metrics *observe.Metrics // nil: they are off
	traces  *observe.Traces  // nil: there are none
	listen  string           // of the metrics; empty: they are on the handler
}

// openMetrics is called before the lanes are made, which report to it.
func (s *System) openMetrics(c metering, version string) (err error) {
	if c.Off {
		return nil
	}
	s.observing.listen = c.Listen
	if s.observing.metrics, err = observe.New(version, func() observe.State { return s.live.Load().observed() }); err != nil {
		return err
	}
	s.observing.all = append(s.observing.all, s.observing.metrics)
	return nil
}

// trace is the hook of every lane.
func (s *System) trace() *balance.Trace {
	if s.observing.metrics == nil {
		return nil
	}
	return s.observing.metrics.Trace()
}

// watched adds to the surface what watches over it.
func (s *System) watched(surface *httpapi.Config, c *Config) {
	surface.Pools = s.pools
	surface.LogTenant = c.Log.tenant()
	surface.Observer = s.observing.all
	if m := s.observing.metrics; m != nil && s.observing.listen == "" {
		surface.Metrics = m.Handler()
	}
}

// observers hear of every request one after another. The first one that has a trace names it.
type observers []httpapi.Observer

// Begin tells all, each with the context of the one before.
func (o observers) Begin(ctx context.Context, header http.Header) (context.Context, string) {
	trace := ""
	for _, one := range o {
		var id string
		ctx, id = one.Begin(ctx, header)
		trace = cmp.Or(trace, id)
	}
	return ctx, trace
}

// End tells all, in the same order.
func (o observers) End(ctx context.Context, e *httpapi.Event) {
	for _, one := range o {
		one.End(ctx, e)
	}
}

// listenMetrics serves the metrics on an address of their own, where there is one,
// until what it returns is closed.
func (s *System) listenMetrics(ctx context.Context) (io.Closer, error) {
	if s.observing.listen == "" {
		return io.NopCloser(nil), nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.observing.listen)
	if err != nil {
		return nil, fmt.Errorf("metrics.listen: %w", err)
	}
	s.log.Info("serving metrics", "listen", l.Addr().String())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.observing.metrics.Handler())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	return closerFunc(func() error {
		err := server.Close()
		if end := <-ended; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
		return err
	}), nil
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }

// pooled is a lane that tells its state.
type pooled interface{ Snapshot() balance.Snapshot }

// pools returns the state of all lanes in the order of their road.
func (s *System) pools() []balance.Snapshot {
	var out []balance.Snapshot
	if s.Router != nil {
		out = s.Router.State().Pools
	}
	return append(out, s.upstreamPools()...)
}

func (s *System) upstreamPools() (out []balance.Snapshot) {
	for _, e := range s.embedders {
		if lane, ok := e.(pooled); ok {
			out = append(out, lane.Snapshot())
		}
	}
	if lane, ok := s.reranker.(pooled); ok {
		out = append(out, lane.Snapshot())
	}
	for _, name := range slices.Sorted(maps.Keys(s.generators)) {
		out = append(out, s.generators[name].Snapshot())
	}
	return out
}

// observed is what the metrics ask for at each scrape.
func (s *System) observed() observe.State {
	out := observe.State{Caches: map[string]embed.Stats{}, Quotas: map[string]quota.Amount{}}
	if s.Router != nil {
		out.Router = s.Router.State()
		out.Pools = out.Router.Pools
	}
	out.Pools = append(out.Pools, s.upstreamPools()...)
	for _, e := range s.embedders {
		if lane, ok := e.(interface{ Stats() embed.Stats }); ok {
			out.Caches[e.Space().ID()] = lane.Stats()
		}
	}
	out.Traces = s.observing.traces
	out.Found = s.followers.status()
	out.Certificates = s.certificateEnds()
	out.Connections, out.ConnectionsRefused = s.crowd.counts()
	if s.meter != nil {
		stats := s.meter.Stats()
		out.Meter = &stats
	}
	for name, a := range s.quotas.byAccount {
		out.Quotas[name] = a.Left()
	}
	out.Shared = s.quotas.client != nil
	out.Alone = s.quotas.alone() || out.Meter != nil && out.Meter.Alone
	return out
}

// certificateEnds is when the certificates end that are served, by the key that names their files.
func (s *System) certificateEnds() map[string]time.Time {
	ends := map[string]time.Time{}
	if e := s.clustered.expiry.Load(); e != nil {
		ends["kubernetes.metrics.cert"] = e.end()
	}
	if s.tls != nil {
		now, _ := s.tls.GetConfigForClient(nil) //nolint:errcheck // there always is one
		ends["tls.cert"] = now.Certificates[0].Leaf.NotAfter
	}
	return ends
}

// tenant is how the log names a tenant; nil: by a hash.
func (l Log) tenant() func(string) string {
	switch l.Tenants {
	case logTenantNames:
		return func(tenant string) string { return tenant }
	case logTenantNone:
		return func(string) string { return "" }
	}
	return nil
}

// How the log names tenants, beside by a hash.
const (
	logTenantNames = "name"
	logTenantNone  = "none"
)

func (v *validator) observing(c *Config) {
	v.listen("metrics.listen", c.Metrics.Listen)
	v.check(!c.Metrics.Off || c.Metrics.Listen == "", "metrics.listen", "contradicts metrics.off")
	tenants := []string{"", "hash", logTenantNames, logTenantNone}
	v.check(slices.Contains(tenants, c.Log.Tenants), "log.tenants", "is none of hash, name and none")
	v.traces(c.Traces)
}

// withoutSecrets keeps the secrets of a configuration out of a log.
func (c *Config) withoutSecrets(log *slog.Logger) *slog.Logger {
	if log == nil {
		return nil
	}
	return slog.New(observe.Redact(log.Handler(), c.secrets()))
}

// withoutSecretsOf is what an upstream said, without the keys that it may have quoted: anybody may ask why a reload failed.
func (c *Config) withoutSecretsOf(err error) error {
	if blot := observe.Blot(c.secrets()); blot != nil {
		return fault.New(fault.Of(err), "%s", blot.Replace(err.Error()))
	}
	return err
}

// calmed keeps warnings that repeat from filling a log. The lines of requests have a measure of their own.
func calmed(log *slog.Logger) *slog.Logger { return slog.New(observe.Calm(log.Handler())) }

// secrets are the values of all keys and passwords in a configuration.
func (c *Config) secrets() []string {
	var out []string
	var walk func(reflect.Value)
	walk = func(v reflect.Value) {
		switch {
		case v.Type() == reflect.TypeFor[Secret]():
			out = append(out, v.String(), password(v.String()))
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					walk(v.Field(i))
				}
			}
		case v.Kind() == reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		}
	}
	walk(reflect.ValueOf(*c))
	return out
}

// password is that of a URL, which errors may quote alone.
func password(secret string) string {
	u, err := url.Parse(secret)
	if err != nil || u.User == nil {
		return ""
	}
	word, _ := u.User.Password()
	return word
}
