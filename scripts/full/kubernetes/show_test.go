package kubernetes

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanewise/lanewise/config"
	"github.com/lanewise/lanewise/internal/selfsigned"
)

var plotTo = flag.String("plot", "", "folder for the timelines, as SVG; none are written without it")

// served is a lanewise that follows the service chat.
type served struct {
	url  string
	port int32  // of the external metrics API
	dir  string // with its certificate
	ca   []byte
}

// serve starts lanewise from a configuration file, as lanewise serve does.
func (b *testbed) serve(hold int) *served {
	b.t.Helper()
	dir := b.t.TempDir()
	metrics := freeAddress(b.t)
	r := &served{dir: dir, ca: b.certificate(dir, time.Hour)}
	if _, err := fmt.Sscanf(metrics, "127.0.0.1:%d", &r.port); err != nil {
		b.t.Fatal(err)
	}
	text := fmt.Sprintf(`
listen: 127.0.0.1:0
open: true
shards: [{name: s0, replicas: [{path: s0}]}]
llm:
  upstreams:
    - {name: chat, kind: openai, url: "http://chat.invalid/v1", model: m, slots: %d, discover: {endpoints: {service: chat, port: http, hold: %d}}}
kubernetes:
  kubeconfig: %s
  namespace: %s
  pod: {name: router-0, uid: "7"}
  metrics:
    listen: %s
    cert: tls.crt
    key: tls.key
    pools: [{lane: llm, utilisation: 0.8, cold_start: 5s, drain: 10s, idle: 15s}]
`, slots, hold, b.file, b.namespace, metrics)
	file := filepath.Join(dir, "lanewise.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	c, err := config.Load(file)
	if err != nil {
		b.t.Fatal(err)
	}
	r.url = b.run(c)
	return r
}

// run serves until the test ends.
func (b *testbed) run(c *config.Config) (url string) {
	b.t.Helper()
	system, err := c.Build(b.t.Context(), config.Options{Log: slog.New(slog.NewTextHandler(b.t.Output(), nil))})
	if err != nil {
		b.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- system.Serve(ctx, l) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
		if err := system.Close(); err != nil {
			b.t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// certificate writes tls.crt and tls.key of the metrics API, which end in a while.
func (b *testbed) certificate(dir string, ends time.Duration) []byte {
	t, name := b.t, "lanewise-metrics."+b.namespace+".svc"
	t.Helper()
	c := selfsigned.Make(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(ends),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	selfsigned.Write(t, c, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Leaf.Raw})
}

// load asks for answers in an open loop and counts what becomes of them.
type load struct {
	url              string
	client           *http.Client
	running          sync.WaitGroup
	begun, got, lost atomic.Int64
	first            atomic.Value // what was lost first
}

// run asks at a rate, in questions a second, for a while.
func (l *load) run(ctx context.Context, rate float64, d time.Duration) {
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.begun.Add(1)
			l.running.Go(func() {
				if err := l.ask(context.WithoutCancel(ctx)); err != nil {
					l.lost.Add(1)
					l.first.CompareAndSwap(nil, err.Error())
					return
				}
				l.got.Add(1)
			})
		}
	}
}

// ask is one question, whose answer must be whole.
func (l *load) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	body := `{"model": "m", "stream": true, "max_tokens": 100, "messages": [{"role": "user", "content": "how is the road?"}]}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := l.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d: %.300s", resp.StatusCode, text)
	case strings.Count(string(text), `"content"`) != pieces || !strings.Contains(string(text), "[DONE]"):
		return fmt.Errorf("the answer is not whole: %.300s", text)
	}
	return nil
}

// show is everything that a demonstration needs, running.
type show struct {
	*testbed
	kubelet *kubelet
	served  *served
	load    *load
	line    timeline
	stop    context.CancelFunc
	began   time.Time
}

func newShow(t *testing.T, replicas, least int32, hold int) (*show, context.Context) {
	t.Helper()
	b := newTestbed(t)
	b.deploy(replicas, least, 8)
	r := b.serve(hold)
	b.register(r.ca, r.port)
	host, err := ownAddress()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := &show{testbed: b, served: r, stop: cancel, began: time.Now(), kubelet: &kubelet{testbed: b, host: host, coldStart: 5 * time.Second, grace: 5 * time.Second}}
	s.load = &load{url: r.url, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	var running sync.WaitGroup
	running.Go(func() { s.kubelet.run(ctx) })
	running.Go(func() { s.sample(ctx) })
	t.Cleanup(func() { cancel(); running.Wait(); s.kubelet.stop() })
	s.until(ctx, "the API server takes the API for available", func() bool { ok, _ := b.available(ctx); return ok })
	return s, ctx
}

// until waits for something that the control plane does in its own time.
func (s *show) until(ctx context.Context, what string, done func() bool) {
	s.t.Helper()
	for end := time.Now().Add(3 * time.Minute); !done(); {
		if time.Now().After(end) || !sleep(ctx, 200*time.Millisecond) {
			_, why := s.available(ctx)
			s.t.Fatalf("not after 3 minutes: %s; API: %s; events:\n%s%s", what, why, s.events(ctx, "FailedGetExternalMetric"), s.events(ctx, "FailedComputeMetricsReplicas"))
		}
	}
	s.t.Logf("%5.1f s: %s", time.Since(s.began).Seconds(), what)
}

// sample notes once a second what the autoscaler sees and does.
func (s *show) sample(ctx context.Context) {
	for sleep(ctx, time.Second) {
		p := point{at: time.Since(s.began), ready: s.kubelet.running(), open: int(s.load.begun.Load() - s.load.got.Load() - s.load.lost.Load())}
		p.asked, _ = s.replicas(ctx)
		p.desired, _ = s.metric(ctx, "lanewise_desired_replicas")
		p.tokens, _ = s.metric(ctx, "lanewise_outstanding_tokens")
		s.line.add(p)
	}
}

func (s *show) asked(ctx context.Context, ok func(n int) bool) func() bool {
	return func() bool {
		n, err := s.replicas(ctx)
		return err == nil && ok(n)
	}
}

// nothingLost ends the load and looks at its count.
func (s *show) nothingLost() {
	s.load.running.Wait()
	s.t.Logf("%d questions, %d whole answers, %d lost", s.load.begun.Load(), s.load.got.Load(), s.load.lost.Load())
	if s.load.lost.Load() > 0 || s.load.got.Load() != s.load.begun.Load() {
		s.t.Errorf("%d of %d questions were lost, the first with: %v", s.load.lost.Load(), s.load.begun.Load(), s.load.first.Load())
	}
}

func TestAutoscaler_followsTheLanes(t *testing.T) {
	s, ctx := newShow(t, 2, 1, 0)
	s.until(ctx, "two engines are ready", func() bool { return s.kubelet.running() >= 1 })
	s.load.run(ctx, 3, 15*time.Second)
	before, _ := s.metric(ctx, "lanewise_outstanding_tokens")
	var heavy sync.WaitGroup
	heavy.Go(func() { s.load.run(ctx, 14, 60*time.Second) })
	s.until(ctx, "the backlog of tokens has grown", func() bool {
		now, err := s.metric(ctx, "lanewise_outstanding_tokens")
		return err == nil && now > 2*before
	})
	s.until(ctx, "the autoscaler asks for at least 4", s.asked(ctx, func(n int) bool { return n >= 4 }))
	s.until(ctx, "at least 4 engines are ready", func() bool { return s.kubelet.running() >= 4 })
	heavy.Wait()
	peak := s.line.most(func(p point) float64 { return p.tokens })
	s.load.run(ctx, 1, 20*time.Second)
	s.until(ctx, "the backlog has fallen", func() bool {
		now, err := s.metric(ctx, "lanewise_outstanding_tokens")
		return err == nil && now < peak/4
	})
	s.until(ctx, "the autoscaler goes back to 1", s.asked(ctx, func(n int) bool { return n <= 1 }))
	s.nothingLost()
	s.line.plot(t, "kubernetes-autoscaler.svg", "A real autoscaler follows lanewise_desired_replicas")
}

func TestAutoscaler_scaleToZeroAndBack(t *testing.T) {
	s, ctx := newShow(t, 1, 0, 64)
	s.until(ctx, "an idle pool is scaled to zero", s.asked(ctx, func(n int) bool { return n == 0 }))
	s.until(ctx, "nobody is left", func() bool { return s.kubelet.running() == 0 })
	if !sleep(ctx, 7*time.Second) { // the last one's grace
		return
	}
	s.load.run(ctx, 2, 5*time.Second)
	s.until(ctx, "the autoscaler asks for one", s.asked(ctx, func(n int) bool { return n >= 1 }))
	s.nothingLost()
	s.until(ctx, "it is scaled to zero again", s.asked(ctx, func(n int) bool { return n == 0 }))
	s.line.plot(t, "kubernetes-zero.svg", "To zero and back: what waits is served by the first member")
}

// TestDeployment_scaledToZeroByHand under load, while each endpoint is in two slices and in one without ports. The
// autoscaler stands still then, until somebody scales by hand again.
func TestDeployment_scaledToZeroByHand(t *testing.T) {
	s, ctx := newShow(t, 2, 1, 256) // a tenant may take half of the places
	s.kubelet.mu.Lock()
	s.kubelet.odd = true
	s.kubelet.mu.Unlock()
	s.until(ctx, "two engines are ready", func() bool { return s.kubelet.running() >= 2 })
	var asking sync.WaitGroup
	asking.Go(func() { s.load.run(ctx, 2, 20*time.Second) })
	s.until(ctx, "answers come", func() bool { return s.load.got.Load() > 2 })
	s.scale(ctx, 0)
	s.until(ctx, "nobody is left", func() bool { return s.kubelet.running() == 0 })
	s.until(ctx, "the autoscaler stands still", func() bool { return s.idle(ctx) == "ScalingDisabled" })
	asking.Wait()
	s.scale(ctx, 1)
	s.until(ctx, "an engine is ready", func() bool { return s.kubelet.running() >= 1 })
	s.until(ctx, "the autoscaler works again", func() bool { return s.idle(ctx) == "" })
	s.nothingLost()
}
