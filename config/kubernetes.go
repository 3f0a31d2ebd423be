package config

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/watched"
	"github.com/lanewise/lanewise/kubernetes"
	"github.com/lanewise/lanewise/kubernetes/metrics"
	"github.com/lanewise/lanewise/kubernetes/scaling"
)

// cluster says how the API server of Kubernetes is reached, and what is told to it.
type cluster struct {
	// Kubeconfig is a file with the cluster's address and credentials. Default: that of the
	// environment's KUBECONFIG, else the pod's service account.
	Kubeconfig string `yaml:"kubeconfig,omitempty"`
	Context    string `yaml:"context,omitempty"`   // of that file. Default: its current one
	Namespace  string `yaml:"namespace,omitempty"` // of what is named without one. Default: the pod's own

	Pod pod `yaml:"pod,omitempty"`

	Metrics scalingMetrics `yaml:"metrics,omitempty"`
}

// pod is that of this router: lines of the log that tell of faults are its Events, too.
type pod struct {
	Name string `yaml:"name,omitempty"` // default: there are no Events
	UID  string `yaml:"uid,omitempty"`  // by which kubectl describe finds them. Default: it does not
}

// scalingMetrics is the external metrics API, on an address of its own.
type scalingMetrics struct {
	Listen string `yaml:"listen,omitempty"` // default: it is not served
	Cert   string `yaml:"cert,omitempty"`   // file of the certificate that the APIService trusts, in PEM
	Key    string `yaml:"key,omitempty"`    // file of its private key, in PEM
	// ClientCA is a file of the certificates that vouch for the API server. Default: it is
	// asked for them (the ConfigMap extension-apiserver-authentication).
	ClientCA string   `yaml:"client_ca,omitempty"`
	Names    []string `yaml:"client_names,omitempty"` // that the API server's certificate may have, with client_ca. Default: any
	// Namespaces in which the metrics are. Default: the router's own; "*" is every one.
	Namespaces []string `yaml:"namespaces,omitempty"`
	// Others is host:port of all routers' metrics: the name of a headless service. Default:
	// there is one router.
	Others    string       `yaml:"others,omitempty"`
	OthersKey Secret       `yaml:"others_key,omitempty"` // that routers show to each other
	CA        string       `yaml:"ca,omitempty"`         // file of the certificates that vouch for the others. Default: cert
	Pools     []scaledPool `yaml:"pools,omitempty"`      // what is wanted of them. Default: the defaults of each
}

// scaledPool is how many members a pool should have.
type scaledPool struct {
	Lane        string        `yaml:"lane,omitempty"`        // label of the metric. Default: any
	Pool        string        `yaml:"pool,omitempty"`        // label of the metric. Default: any
	Utilisation float64       `yaml:"utilisation,omitempty"` // share of its rate that a member is used at. Default 0.8
	ColdStart   time.Duration `yaml:"cold_start,omitempty"`  // until a new member answers. Default 1m
	Drain       time.Duration `yaml:"drain,omitempty"`       // in which a backlog should be gone. Default 30s
	Idle        time.Duration `yaml:"idle,omitempty"`        // without a call until nobody is needed. Default 5m
	Slots       int           `yaml:"slots,omitempty"`       // calls that a member runs at a time, where its upstream does not say
	Least       int           `yaml:"least,omitempty"`       // default 0
	Most        int           `yaml:"most,omitempty"`        // default: no bound
}

func (p scaledPool) target() scaling.Target {
	return scaling.Target{
		Utilisation: p.Utilisation, ColdStart: p.ColdStart, Drain: p.Drain, Idle: p.Idle, Slots: p.Slots, Least: p.Least, Most: p.Most,
	}
}

// target returns what is wanted of a pool: the first entry that is about it counts.
func (m scalingMetrics) target(lane, pool string) scaling.Target {
	of := metrics.Labels(lane, pool)
	for _, p := range m.Pools {
		if (p.Lane == "" || p.Lane == of["lane"]) && (p.Pool == "" || p.Pool == of["pool"]) {
			return p.target()
		}
	}
	return scaling.Target{}
}

// paths are the files that the section names.
func (c *cluster) paths() []*string {
	return []*string{&c.Kubeconfig, &c.Metrics.Cert, &c.Metrics.Key, &c.Metrics.ClientCA, &c.Metrics.CA}
}

func (v *validator) kubernetes(c cluster) {
	v.check(c.Pod.UID == "" || c.Pod.Name != "", "kubernetes.pod.name", "missing: there is a uid")
	m, path := c.Metrics, "kubernetes.metrics"
	v.listen(path+".listen", m.Listen)
	v.listen(path+".others", m.Others)
	v.check(m.Listen == "" || m.Cert != "" && m.Key != "", path+".cert", "missing: the API server speaks TLS only; name cert and key")
	v.check(m.Listen != "" || m.Cert == "" && m.Others == "" && len(m.Pools) == 0, path+".listen", "missing: without it nothing of this is served")
	v.check(m.Others == "" || m.OthersKey != "", path+".others_key", "missing: by what do the others know this router?")
	v.check(len(m.Names) == 0 || m.ClientCA != "", path+".client_names", "belongs to client_ca: without it the API server says both")
	for i, p := range m.Pools {
		at := fmt.Sprintf("%s.pools[%d]", path, i)
		v.check(p.Utilisation >= 0 && p.Utilisation <= 1, at+".utilisation", "must be between 0 and 1")
		for field, d := range map[string]time.Duration{"cold_start": p.ColdStart, "drain": p.Drain, "idle": p.Idle} {
			v.check(d >= 0, at+"."+field, "must not be negative")
		}
		for field, n := range map[string]int{"slots": p.Slots, "least": p.Least, "most": p.Most} {
			v.check(n >= 0, at+"."+field, "must not be negative")
		}
		v.check(p.Most == 0 || p.Least <= p.Most, at+".least", "must not be above most")
	}
}

// clustered is what a system has to do with a cluster.
type clustered struct {
	config  cluster
	connect func() (*kubernetes.Cluster, error) // once
	events  *kubernetes.Events                  // nil: there are none
	expiry  *atomic.Pointer[expiry]             // of the metrics API's certificate; empty: it is not served
}

// openEvents has lines of the log be Events of the pod, if that is known.
func (c cluster) openEvents(log *slog.Logger) (_ *kubernetes.Events, stop func() error, err error) {
	if c.Pod.Name == "" {
		return nil, func() error { return nil }, nil
	}
	to, err := c.connect(log)
	if err != nil {
		return nil, nil, err
	}
	events := to.Events(c.Pod.Name, c.Pod.UID)
	return events, func() error { return errors.Join(events.Close(), to.Close()) }, nil
}

// eventful is a log whose lines are Events, too, where they are. Nothing secret may reach it.
func eventful(log *slog.Logger, events *kubernetes.Events) *slog.Logger {
	if log == nil || events == nil {
		return log
	}
	return slog.New(events.Handler(log.Handler()))
}

func (s *System) openCluster(c cluster) {
	s.clustered = clustered{config: c, events: s.clustered.events, expiry: &atomic.Pointer[expiry]{}, connect: sync.OnceValues(func() (*kubernetes.Cluster, error) {
		found, err := c.connect(s.log)
		if err == nil {
			s.opened(found.Close)
		}
		return found, err
	})}
}

// connect reads the credentials.
func (c cluster) connect(log *slog.Logger) (*kubernetes.Cluster, error) {
	file := cmp.Or(c.Kubeconfig, os.Getenv("KUBECONFIG"))
	found, err := kubernetes.Open(kubernetes.Config{Kubeconfig: file, Context: c.Context, Namespace: c.Namespace, Log: log})
	if err != nil {
		return nil, fmt.Errorf("kubernetes.kubeconfig: %w", err)
	}
	return found, nil
}

// serveScaling serves the external metrics API, where it is wanted, until what it
// returns is called.
func (s *System) serveScaling(ctx context.Context) (stop func() error, err error) {
	c := s.clustered.config.Metrics
	if c.Listen == "" {
		return func() error { return nil }, nil
	}
	own := &scaler{system: s, config: c, name: rand.Text(), tracker: scaling.NewTracker(c.target)}
	if err := own.open(); err != nil {
		return nil, fmt.Errorf("kubernetes.metrics: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("kubernetes.metrics.listen: %w", err)
	}
	s.clustered.expiry.Store(own.expiry)
	s.log.Info("serving the external metrics API", "listen", l.Addr().String())
	return own.serve(context.WithoutCancel(ctx), l), nil
}

// scaler is a running external metrics API.
type scaler struct {
	system  *System
	config  scalingMetrics
	name    string // of this router, new after each start
	tracker *scaling.Tracker

	tls       *tls.Config
	expiry    *expiry // of its certificate
	handler   http.Handler
	collector *metrics.Collector
	proxy     func() metrics.Proxy
	run       func(context.Context) // follows the API server's certificates; nil: they are configured
}

func (a *scaler) open() (err error) {
	if a.tls, err = a.listenerTLS(); err != nil {
		return err
	}
	if err = a.openProxy(); err != nil {
		return err
	}
	spaces, err := a.namespaces()
	if err != nil {
		return err
	}
	a.handler, err = metrics.New(metrics.Config{
		Figures: a.tracker.Figures, Namespaces: spaces, Proxy: a.proxy, Readings: a.own, Key: string(a.config.OthersKey), Log: a.system.log,
	})
	if err != nil {
		return err
	}
	c := metrics.CollectorConfig{Own: a.own, Tracker: a.tracker, Key: string(a.config.OthersKey), Log: a.system.log}
	if a.config.Others != "" {
		if c.Client, err = a.client(); err != nil {
			return err
		}
		c.Others = a.others
	}
	a.collector = metrics.NewCollector(c)
	return nil
}

func (a *scaler) own() metrics.Told {
	return metrics.Told{Router: a.name, Readings: scaling.Read(a.system.pools())}
}

// serve runs everything, and returns what ends it.
func (a *scaler) serve(ctx context.Context, l net.Listener) func() error {
	ctx, cancel := context.WithCancel(ctx)
	server := &http.Server{
		Handler: a.handler, TLSConfig: a.tls, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(a.system.log.Handler(), slog.LevelWarn),
	}
	var running sync.WaitGroup
	var ended error
	running.Go(func() { ended = server.ServeTLS(l, "", "") })
	running.Go(func() { a.collector.Run(ctx) })
	running.Go(func() { a.expiry.run(ctx) })
	if a.run != nil {
		running.Go(func() { a.run(ctx) })
	}
	return func() error {
		cancel()
		err := server.Close()
		running.Wait()
		if !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, ended)
		}
		return err
	}
}

// listenerTLS asks clients for certificates, which the handler judges. The server's own is
// read again when its files change.
func (a *scaler) listenerTLS() (*tls.Config, error) {
	current, err := watched.New(a.system.log, func() (*tls.Config, error) {
		pair, err := tls.LoadX509KeyPair(a.config.Cert, a.config.Key)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, "read the certificate", err)
		}
		return &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}, nil
	}, a.config.Cert, a.config.Key)
	if err != nil {
		return nil, err
	}
	a.expiry = &expiry{file: a.config.Cert, current: current.Get, log: a.system.log}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return current.Get(), nil },
	}, nil
}

// openProxy finds out how the API server shows itself.
func (a *scaler) openProxy() error {
	if a.config.ClientCA == "" {
		c, err := a.system.clustered.connect()
		if err != nil {
			return err
		}
		front := c.FrontProxy()
		a.proxy, a.run = front.Get, front.Run
		return nil
	}
	ca, err := watched.New(a.system.log, func() (*x509.CertPool, error) { return certPool(a.config.ClientCA) }, a.config.ClientCA)
	if err != nil {
		return err
	}
	a.proxy = func() metrics.Proxy { return metrics.Proxy{CA: ca.Get(), Names: a.config.Names} }
	return nil
}

func (a *scaler) namespaces() ([]string, error) {
	if slices.Contains(a.config.Namespaces, "*") {
		return nil, nil
	}
	if len(a.config.Namespaces) > 0 {
		return a.config.Namespaces, nil
	}
	c, err := a.system.clustered.connect()
	if err != nil {
		return nil, fmt.Errorf("namespaces: %w", err)
	}
	return []string{c.Namespace()}, nil
}

// client speaks to the other routers, which all show a certificate for the same name.
func (a *scaler) client() (*http.Client, error) {
	pool, err := certPool(cmp.Or(a.config.CA, a.config.Cert))
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(a.config.Others)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: host}, IdleConnTimeout: time.Minute}
	return &http.Client{Transport: t}, nil
}

// others looks the routers up.
func (a *scaler) others(ctx context.Context) ([]string, error) {
	host, port, err := net.SplitHostPort(a.config.Others)
	if err != nil {
		return nil, err
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	for i := range addresses {
		addresses[i] = net.JoinHostPort(addresses[i], port)
	}
	return addresses, err
}
