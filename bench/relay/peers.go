//go:build linux

package relay

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/lanewise/lanewise/bench/peer"
)

// Peers are the relays that lanewise stands beside.
func Peers() []Relay {
	return []Relay{
		{"nginx", "one worker, keep-alive to the engine, no access log", "nginx -v", nginx},
		{"HAProxy", "one thread, http-reuse always", "haproxy -v", haproxy},
		{"vllm-router", "policy round_robin", "vllm-router --version", router("vllm-router")},
		{"sglang-router", "policy round_robin", "sglang-router --version", router("sglang-router", "launch")},
		{"LiteLLM", "one worker, its own defaults", "litellm --version", litellm},
	}
}

// file writes a configuration.
func file(dir, name, content string) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, []byte(content), 0o600)
}

func command(path string, args ...string) *exec.Cmd {
	return exec.Command(path, args...) //nolint:gosec,noctx // a program that the user has installed; it is stopped
}

func nginx(_ context.Context, dir, address, engine string) (*exec.Cmd, error) {
	path, err := peer.Find("nginx")
	if err != nil {
		return nil, err
	}
	config, err := file(dir, "nginx.conf", fmt.Sprintf(`
worker_processes 1; pid %[1]s/nginx.pid; error_log stderr; daemon off;
events { worker_connections 4096; }
http {
  access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  upstream engine { server %[3]s; keepalive 64; }
  server { listen %[2]s; location / { proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection ""; } }
}`, dir, address, engine))
	return command(path, "-c", config, "-p", dir), err
}

func haproxy(_ context.Context, dir, address, engine string) (*exec.Cmd, error) {
	path, err := peer.Find("haproxy")
	if err != nil {
		return nil, err
	}
	config, err := file(dir, "haproxy.cfg", fmt.Sprintf(`
global
  nbthread 1
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend in
  bind %s
  default_backend engine
backend engine
  server e0 %s
`, address, engine))
	return command(path, "-db", "-f", config), err
}

// router starts a Rust router that takes the flags of SGLang's.
func router(program string, before ...string) func(ctx context.Context, dir, address, engine string) (*exec.Cmd, error) {
	return func(ctx context.Context, _, address, engine string) (*exec.Cmd, error) {
		path, err := peer.Find(program)
		if err != nil {
			return nil, err
		}
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		metrics, err := peer.FreeAddress(ctx)
		if err != nil {
			return nil, err
		}
		_, metricsPort, err := net.SplitHostPort(metrics)
		return command(path, append(before, "--prometheus-host", host, "--prometheus-port", metricsPort, "--host", host, "--port", port, "--worker-urls", "http://"+engine, "--policy", "round_robin")...), err
	}
}

func litellm(_ context.Context, dir, address, engine string) (*exec.Cmd, error) {
	return peer.LiteLLM(dir, address, []string{engine}, 0)
}

// ServeReverseProxy is the bare relay of Go's library: it passes on what arrives at an address until the process ends.
func ServeReverseProxy(address, engine string) error {
	p := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: engine})
	p.Transport = &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}
	s := &http.Server{Addr: address, Handler: p, ReadHeaderTimeout: time.Minute}
	return s.ListenAndServe()
}
