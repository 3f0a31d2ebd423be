package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"context"

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
		"metrics: {listen: ':6443'}":                                             "kubernetes.metrics.cert",
		"metrics: {cert: a, key: b}":                                             "kubernetes.metrics.listen",
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
