package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// inMemory is an API server without a socket, so that time may be virtual.
type inMemory func(*http.Request) (status int, body any)

func (answer inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := answer(r)
	text, err := json.Marshal(body)
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(text)), Request: r}, err
}

// answering is a cluster with such an API server.
func answering(t *testing.T, log *slog.Logger, answer inMemory) *Cluster {
	t.Helper()
	c := &Cluster{namespace: "rag", log: log}
	if err := c.connect(&rest.Config{Host: "http://api", Transport: answer}); err != nil {
		t.Fatal(err)
	}
	return c
}

// The API server is away at first, and later on once more.
func TestFrontProxy_whatItSaidLastCounts(t *testing.T) {
	somebody := httptest.NewTLSServer(nil)
	somebody.Close()
	known := corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"},
		Data: map[string]string{
			"requestheader-client-ca-file": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: somebody.Certificate().Raw})),
			"requestheader-allowed-names":  `["front"]`,
		},
	}
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		var asked []time.Duration
		began := time.Now()
		c := answering(t, slog.New(slog.NewTextHandler(&said, nil)), func(r *http.Request) (int, any) {
			since := time.Since(began)
			asked = append(asked, since/time.Second)
			if r.URL.Path != "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication" {
				t.Error(r.URL.Path)
			}
			if since < 10*time.Second || since > 100*time.Second && since < 137*time.Second {
				return http.StatusServiceUnavailable, metav1.Status{Status: metav1.StatusFailure, Code: http.StatusServiceUnavailable}
			}
			return http.StatusOK, known
		})
		ctx, cancel := context.WithCancel(t.Context())
		p, ended := c.FrontProxy(), make(chan struct{})
		go func() { p.Run(ctx); close(ended) }()
		time.Sleep(11 * time.Second)
		if p.Get().CA != nil {
			t.Error("somebody is believed before the API server has said anything")
		}
		for _, at := range []time.Duration{13, 134, 140} { // known, away, and back
			time.Sleep(time.Until(began.Add(at * time.Second)))
			if got := p.Get(); got.CA == nil || len(got.Names) != 1 || got.Names[0] != "front" {
				t.Errorf("after %d s: %+v", at, got)
			}
		}
		cancel()
		<-ended
		if diff := cmp.Diff([]time.Duration{0, 3, 6, 9, 12, 72, 132, 135, 138}, asked); diff != "" {
			t.Error(diff)
		}
		if n := strings.Count(said.String(), "event=FrontProxyUnknown"); n != 2 || strings.Count(said.String(), "\n") != 2 {
			t.Errorf("each time that it is away is told once: %s", said.String())
		}
	})
}
