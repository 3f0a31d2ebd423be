package config

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/lanewise/lanewise/internal/watched"
	"github.com/lanewise/lanewise/kubernetes/scaling"
)

// scaled serves a router with an external metrics API, whose API server is the owner of
// front.crt, and returns that one's client.
func scaled(t *testing.T, log *slog.Logger, more string) (client *http.Client, url string) {
	t.Helper()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	served := certificate(t, "localhost", in("tls.crt"), in("tls.key"))
	certificate(t, "front-proxy-client", in("front.crt"), in("front.key"))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	text := fmt.Sprintf(`
shards: [{name: s0, replicas: [{path: s0}]}]
kubernetes:
  metrics: {listen: %q, cert: tls.crt, key: tls.key, client_ca: front.crt, client_names: [front-proxy-client], namespaces: [rag]%s}
`, address, strings.ReplaceAll(more, "ADDRESS", address))
	c, err := parse(in("lanewise.yaml"), []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Build(t.Context(), Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	stop, err := s.serveScaling(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	front, err := tls.LoadX509KeyPair(in("front.crt"), in("front.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(served)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &front, nil }}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}, "https://" + address
}

func TestSystem_servesTheExternalMetricsAPI(t *testing.T) {
	client, url := scaled(t, nil, ", others: ADDRESS, others_key: secret")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/apis/external.metrics.k8s.io/v1beta1/namespaces/rag/lanewise_shard_inflight", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Remote-User", "autoscaler")
	for { // until the first readings are in
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var list struct {
			Items []struct{ MetricLabels map[string]string }
		}
		if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("status %d", resp.StatusCode)
		}
		if len(list.Items) > 0 {
			if list.Items[0].MetricLabels["pool"] != "s0" {
				t.Errorf("%+v", list)
			}
			return
		}
	}
}

func TestScalingMetrics_target(t *testing.T) {
	m := scalingMetrics{Pools: []scaledPool{{Lane: "llm", Pool: "small", Most: 3}, {Lane: "llm", Most: 5}, {Pool: "s0", Least: 2}}}
	for lane, want := range map[string]scaling.Target{
		"llm small": {Most: 3}, "llm big": {Most: 5}, "s0": {Least: 2}, "embed x": {},
	} {
		if got := m.target(lane, lane); got != want {
			t.Errorf("%s: %+v, want %+v", lane, got, want)
		}
	}
}

func TestKubernetes_refuses(t *testing.T) {
	for text, want := range map[string]string{
		"pod: {uid: x}":              "kubernetes.pod.name",
		"metrics: {listen: ':6443'}": "kubernetes.metrics.cert",
		"metrics: {cert: a, key: b}": "kubernetes.metrics.listen",
		"metrics: {listen: ':1', cert: a, key: b, others: 'x:1'}":                "kubernetes.metrics.others_key",
		"metrics: {listen: ':1', cert: a, key: b, client_names: [x]}":            "kubernetes.metrics.client_names",
		"metrics: {listen: ':1', cert: a, key: b, pools: [{utilisation: 2}]}":    "kubernetes.metrics.pools[0].utilisation",
		"metrics: {listen: ':1', cert: a, key: b, pools: [{idle: -1s}]}":         "kubernetes.metrics.pools[0].idle",
		"metrics: {listen: ':1', cert: a, key: b, pools: [{least: 2, most: 1}]}": "kubernetes.metrics.pools[0].least",
	} {
		_, err := parse("x.yaml", []byte("store: s\nkubernetes: {"+text+"}\n"), func(string) (string, bool) { return "", false })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A right that is missing is an Event of the router's pod, without what is secret.
func TestBuild_faultsAreEvents(t *testing.T) {
	events := make(chan corev1.Event, 16)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost && r.URL.Path == "/api/v1/namespaces/rag/events" {
			text, err := io.ReadAll(r.Body)
			var e corev1.Event
			if err == nil {
				_, _, err = scheme.Codecs.UniversalDeserializer().Decode(text, nil, &e)
			}
			if err != nil {
				t.Error(err)
			}
			e.TypeMeta = metav1.TypeMeta{Kind: "Event", APIVersion: "v1"}
			_ = json.NewEncoder(w).Encode(e)
			events <- e
			return
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no right to list-endpointslices"}`))
	}))
	defer api.Close()
	dir := t.TempDir()
	kubeconfig := fmt.Sprintf("{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: {server: %q}}], contexts: [{name: c, context: {cluster: c, namespace: rag}}], current-context: c}", api.URL)
	if err := os.WriteFile(filepath.Join(dir, "kubeconfig"), []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := parse(filepath.Join(dir, "lanewise.yaml"), []byte(`
shards: [{name: s0, replicas: [{path: s0}]}]
kubernetes: {kubeconfig: kubeconfig, pod: {name: router-0, uid: "7"}}
llm: {upstreams: [{name: vllm, kind: openai, url: "http://vllm/v1", model: m, key: list-endpointslices, discover: {endpoints: {service: vllm}}}]}
`), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Build(t.Context(), Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}) //nolint:sloglint // slog's own takes no lines at all
	if err != nil {
		t.Fatal(err)
	}
	e := <-events
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if e.Reason != "DiscoveryForbidden" || e.InvolvedObject.Name != "router-0" || e.InvolvedObject.UID != "7" || !strings.Contains(e.Message, "no right to [secret]") {
		t.Errorf("%+v", e)
	}
}

// The next connection gets the new certificate, and it is that whose end counts.
func TestScaler_exchangesItsCertificate(t *testing.T) {
	files := tlsFiles(t)
	certificate(t, "before", files.Cert, files.Key)
	synctest.Test(t, func(t *testing.T) {
		a := scaler{system: &System{log: slog.New(slog.DiscardHandler)}, config: scalingMetrics{Cert: files.Cert, Key: files.Key}}
		c, err := a.listenerTLS()
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{files.Cert, files.Key} { // a new file, since this bubble's clock is not the disk's
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		leaf := certificate(t, "after", files.Cert, files.Key)
		time.Sleep(watched.Every)
		now, err := c.GetConfigForClient(nil)
		if err != nil || !now.Certificates[0].Leaf.Equal(leaf) || a.expiry.end() != leaf.NotAfter {
			t.Errorf("%v, of %s", err, now.Certificates[0].Leaf.Subject)
		}
	})
}
