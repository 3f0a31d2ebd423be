package metrics_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	external "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"

	"github.com/lanewise/lanewise/internal/selfsigned"
	"github.com/lanewise/lanewise/kubernetes/metrics"
	"github.com/lanewise/lanewise/kubernetes/scaling"
)

// authority signs client certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.PrivateKey
}

func newAuthority(tb testing.TB, name string) *authority {
	tb.Helper()
	c := selfsigned.Make(tb, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return &authority{cert: c.Leaf, key: c.PrivateKey}
}

// sign returns a client certificate that ends in a while.
func (a *authority) sign(tb testing.TB, name string, ends time.Duration) tls.Certificate {
	tb.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(ends),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, a.cert.PublicKey, a.key)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}
}

func (a *authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

// front is an API as a cluster sees it.
type front struct {
	*httptest.Server
	ca     *authority
	client *http.Client // with the API server's certificate
}

func figures() []scaling.Figure {
	at := time.Unix(1_700_000_000, 0).UTC()
	return []scaling.Figure{
		{Lane: "llm chat/small", Pool: "llm chat/small", Outstanding: 1234.5678, Queue: 2, SlotsUsed: 7.25, Inflight: 9, FirstMS: 80, Desired: 3, At: at},
		{Lane: "shards", Pool: "s0", Outstanding: 4, Inflight: 4, Desired: -1, At: at},
	}
}

func open(tb testing.TB, change func(*metrics.Config)) *front {
	tb.Helper()
	f := &front{ca: newAuthority(tb, "front-proxy-ca")}
	proxy, err := metrics.ParseProxy(map[string]string{
		"requestheader-client-ca-file": f.ca.pem(), "requestheader-allowed-names": `["front-proxy-client"]`,
		"requestheader-username-headers": `["X-Remote-User"]`,
	})
	if err != nil {
		tb.Fatal(err)
	}
	c := metrics.Config{Figures: figures, Proxy: func() metrics.Proxy { return proxy }}
	if change != nil {
		change(&c)
	}
	handler, err := metrics.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	f.Server = httptest.NewUnstartedServer(handler)
	f.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	f.StartTLS()
	tb.Cleanup(f.Close)
	f.client = f.as(f.ca.sign(tb, "front-proxy-client", time.Hour))
	return f
}

// as is a client with a certificate, or without.
func (f *front) as(certs ...tls.Certificate) *http.Client {
	c := f.Client()
	transport := c.Transport.(*http.Transport).Clone()
	if len(certs) > 0 { // even if the server's list of CAs, which is empty, does not ask for it
		transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certs[0], nil }
	}
	transport.DisableKeepAlives = true
	return &http.Client{Transport: transport}
}

func (f *front) get(tb testing.TB, c *http.Client, path string, header http.Header, into any) int {
	tb.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, f.URL+path, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	req.Header = header
	resp, err := c.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(body, into); err != nil {
			tb.Fatalf("%s: %v in %s", path, err, body)
		}
	}
	return resp.StatusCode
}

var asHPA = http.Header{"X-Remote-User": {"system:serviceaccount:kube-system:horizontal-pod-autoscaler"}}

const root = "/apis/external.metrics.k8s.io/v1beta1"

func TestAPI_values(t *testing.T) {
	f := open(t, nil)
	tests := []struct {
		metric, selector string
		want             map[string]string // pool: value
	}{
		{"lanewise_outstanding_tokens", "", map[string]string{"chat-small": "1234568m"}},
		{"lanewise_queue_depth", "", map[string]string{"chat-small": "2", "s0": "0"}},
		{"lanewise_queue_depth", "lane=llm,model in (chat-small,other)", map[string]string{"chat-small": "2"}},
		{"lanewise_queue_depth", "lane!=llm", map[string]string{"s0": "0"}},
		{"lanewise_queue_depth", "pool=nobody", map[string]string{}},
		{"lanewise_slots_used", "pool=chat-small", map[string]string{"chat-small": "7250m"}},
		{"lanewise_time_to_first_token_ms", "", map[string]string{"chat-small": "80"}},
		{"lanewise_shard_inflight", "", map[string]string{"s0": "4"}},
		{"lanewise_desired_replicas", "", map[string]string{"chat-small": "3"}},
	}
	for _, tt := range tests {
		t.Run(tt.metric+" "+tt.selector, func(t *testing.T) {
			var list external.ExternalMetricValueList
			path := root + "/namespaces/rag/" + tt.metric + "?labelSelector=" + url.QueryEscape(tt.selector)
			if code := f.get(t, f.client, path, asHPA, &list); code != http.StatusOK {
				t.Fatalf("status %d", code)
			}
			got := map[string]string{}
			for _, item := range list.Items {
				got[item.MetricLabels["pool"]] = item.Value.String()
				if item.MetricName != tt.metric || !item.Timestamp.Equal(&metav1.Time{Time: figures()[0].At}) {
					t.Errorf("%s of %v", item.MetricName, item.Timestamp)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAPI_refusesWhatIsNotThere(t *testing.T) {
	f := open(t, func(c *metrics.Config) { c.Namespaces = []string{"rag"} })
	for path, want := range map[string]int{
		root + "/namespaces/rag/lanewise_queue_depth":                         http.StatusOK,
		root + "/namespaces/rag/lanewise_happiness":                           http.StatusNotFound,
		root + "/namespaces/other/lanewise_queue_depth":                       http.StatusNotFound,
		root + "/namespaces/rag/lanewise_queue_depth?labelSelector=%3D%3D%3D": http.StatusBadRequest,
		"/apis/custom.metrics.k8s.io":                                         http.StatusNotFound,
	} {
		var status metav1.Status
		if got := f.get(t, f.client, path, asHPA, &status); got != want {
			t.Errorf("%s: status %d, want %d", path, got, want)
		}
		if want != http.StatusOK && (status.Kind != "Status" || status.Code != int32(want) || status.Message == "") {
			t.Errorf("%s: %+v", path, status)
		}
	}
}

func TestAPI_believesTheAPIServerOnly(t *testing.T) {
	f := open(t, nil)
	stranger := newAuthority(t, "front-proxy-ca")
	tests := []struct {
		name   string
		client *http.Client
		header http.Header
		want   int
	}{
		{"no certificate", f.as(), asHPA, http.StatusUnauthorized},
		{"another CA", f.as(stranger.sign(t, "front-proxy-client", time.Hour)), asHPA, http.StatusUnauthorized},
		{"expired", f.as(f.ca.sign(t, "front-proxy-client", -time.Hour)), asHPA, http.StatusUnauthorized},
		{"another name", f.as(f.ca.sign(t, "kubelet", time.Hour)), asHPA, http.StatusForbidden},
		{"no user", f.client, nil, http.StatusUnauthorized},
		{"the API server", f.client, asHPA, http.StatusOK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{"/apis", "/openapi/v2", root, root + "/namespaces/rag/lanewise_queue_depth"} {
				if got := f.get(t, tt.client, path, tt.header, nil); got != tt.want {
					t.Errorf("%s: status %d, want %d", path, got, tt.want)
				}
			}
		})
	}
}

func TestAPI_logsARefusalOnce(t *testing.T) {
	var log strings.Builder
	f := open(t, func(c *metrics.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	for range 3 {
		f.get(t, f.client, root+"/namespaces/rag/lanewise_happiness", asHPA, nil)
		f.get(t, f.client, root+"/namespaces/rag/lanewise_sorrow", asHPA, nil)
	}
	f.Close() // its handlers have ended
	if n := strings.Count(log.String(), "level=WARN"); n != 2 || !strings.Contains(log.String(), "autoscaler") {
		t.Errorf("%d lines for two reasons:\n%s", n, log.String())
	}
}

func TestAPI_beforeTheAPIServerIsKnown(t *testing.T) {
	f := open(t, func(c *metrics.Config) { c.Proxy = func() metrics.Proxy { return metrics.Proxy{} } })
	if got := f.get(t, f.client, "/apis", asHPA, nil); got != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", got)
	}
}

func TestAPI_discovery(t *testing.T) {
	f := open(t, nil)
	var groups metav1.APIGroupList
	f.get(t, f.client, "/apis", asHPA, &groups)
	if len(groups.Groups) != 1 || groups.Groups[0].PreferredVersion.GroupVersion != "external.metrics.k8s.io/v1beta1" {
		t.Errorf("groups: %+v", groups)
	}
	var own metav1.APIGroup
	f.get(t, f.client, "/apis/external.metrics.k8s.io", asHPA, &own)
	if diff := cmp.Diff(groups.Groups[0], own); diff != "" {
		t.Error(diff)
	}
	var resources metav1.APIResourceList
	f.get(t, f.client, root, asHPA, &resources)
	if len(resources.APIResources) != 6 || !resources.APIResources[0].Namespaced || resources.APIResources[0].Name != "lanewise_desired_replicas" {
		t.Errorf("resources: %+v", resources)
	}
	if code := f.get(t, f.as(), "/readyz", nil, nil); code != http.StatusOK {
		t.Errorf("readyz: %d", code)
	}
}

func TestParseProxy_refuses(t *testing.T) {
	for name, data := range map[string]map[string]string{
		"nothing":    {},
		"no JSON":    {"requestheader-client-ca-file": newAuthority(t, "ca").pem(), "requestheader-allowed-names": "front"},
		"no PEM":     {"requestheader-client-ca-file": "x"},
		"other type": {"requestheader-client-ca-file": newAuthority(t, "ca").pem(), "requestheader-username-headers": "{}"},
	} {
		if _, err := metrics.ParseProxy(data); err == nil || !strings.Contains(err.Error(), "requestheader-") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNew_needsFigures(t *testing.T) {
	if _, err := metrics.New(metrics.Config{}); err == nil {
		t.Error("it has taken an empty configuration")
	}
}
