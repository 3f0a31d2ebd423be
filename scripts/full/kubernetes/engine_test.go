// Package kubernetes proves on a real control plane that the autoscaler follows the
// lanes. Its tests need LANEWISE_TEST_KUBERNETES, the kubeconfig of an API server on this
// machine, as scripts/servers/kubernetes starts one: there is no kubelet, so pods are
// simulated engines in the test's own process, and EndpointSlices are written as the
// controller would.
package kubernetes

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"
)

// An engine runs this many generations at a time, each for this long.
const (
	slots  = 4
	pieces = 10
	piece  = 100 * time.Millisecond
)

// engine is a simulated model server behind OpenAI's API: what it has no slot for waits.
type engine struct {
	name   string
	server *httptest.Server
	room   chan struct{}
	served atomic.Int64
	ends   time.Time // of its grace; zero: it has not been told to go
}

func newEngine(name, host string) *engine {
	e := &engine{name: name, room: make(chan struct{}, slots)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", e.complete)
	e.server = httptest.NewUnstartedServer(mux)
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		panic(err) // the address is this machine's own
	}
	_ = e.server.Listener.Close()
	e.server.Listener = l
	e.server.Start()
	return e
}

// ownAddress is one of this machine beside loopback, which an API server refuses in an
// EndpointSlice.
func ownAddress() (string, error) {
	all, err := net.InterfaceAddrs()
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && ip.IP.IsGlobalUnicast() {
			return ip.IP.String(), nil
		}
	}
	return "", fmt.Errorf("this machine has no address beside loopback: %w", err)
}

func (e *engine) port() int32 {
	return int32(e.server.Listener.Addr().(*net.TCPAddr).Port)
}

// complete streams an answer.
func (e *engine) complete(w http.ResponseWriter, r *http.Request) {
	select {
	case e.room <- struct{}{}:
		defer func() { <-e.room }()
	case <-r.Context().Done():
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range pieces {
		if !sleep(r.Context(), piece) {
			return
		}
		_, _ = fmt.Fprintf(w, "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"w%d \"}}]}\n\n", i)
		w.(http.Flusher).Flush()
	}
	_, _ = fmt.Fprint(w, "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	e.served.Add(1)
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
