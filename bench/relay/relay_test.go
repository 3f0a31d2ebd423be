//go:build linux

package relay_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/relay"
	"github.com/lanewise/lanewise/fault"
)

// This binary runs again as a bare proxy where they are set.
const addressVariable, engineVariable = "LANEWISE_RELAY_ADDRESS", "LANEWISE_RELAY_TO"

func TestMain(m *testing.M) {
	if address := os.Getenv(addressVariable); address != "" {
		fmt.Fprintln(os.Stderr, relay.ServeReverseProxy(address, os.Getenv(engineVariable)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func proxy() relay.Relay {
	return relay.Relay{Name: "ReverseProxy", Start: func(_ context.Context, _, address, engine string) (*exec.Cmd, error) {
		self, err := os.Executable()
		c := exec.Command(self) //nolint:gosec,noctx // this binary; it is stopped
		c.Env = append(os.Environ(), addressVariable+"="+address, engineVariable+"="+engine)
		return c, err
	}}
}

func TestRunning_costsCPU(t *testing.T) {
	engine, stop, err := relay.Engine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	load := bench.Load{Rate: 200, Duration: time.Second, Warmup: 200 * time.Millisecond}
	direct, err := relay.Direct(t.Context(), load, engine)
	if err != nil || direct.Failed() > 0 || direct.CPU != 0 {
		t.Fatalf("direct: %v, %v", direct.Errors, err)
	}
	up, err := proxy().Run(t.Context(), engine)
	if err != nil {
		t.Fatal(err)
	}
	defer up.Stop()
	r, err := up.Measure(t.Context(), load)
	if err != nil || r.Failed() > 0 || r.CPU <= 0 || r.CPU > 100*time.Millisecond || r.Memory < 1<<20 {
		t.Errorf("relayed: %s a request, %d bytes, %v, %v", r.CPU, r.Memory, r.Errors, err)
	}
}

// A program that is not there, and one that ends at once, say so.
func TestRelay_thatCannotRun(t *testing.T) {
	for _, c := range []struct {
		start func(_ context.Context, _, _, _ string) (*exec.Cmd, error)
		class fault.Class
	}{
		{func(context.Context, string, string, string) (*exec.Cmd, error) {
			return nil, fault.New(fault.NotFound, "not installed")
		}, fault.NotFound},
		{func(context.Context, string, string, string) (*exec.Cmd, error) {
			return exec.Command("/no/such/program"), nil
		}, ""}, //nolint:noctx // it never runs
	} {
		_, err := relay.Relay{Name: "x", Start: c.start}.Run(t.Context(), "127.0.0.1:1")
		if err == nil || c.class != "" && !errors.Is(err, c.class) {
			t.Errorf("got %v, want %s", err, c.class)
		}
	}
}

// Peers that are installed pass calls on; the others say that they are not.
func TestPeers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts other programs: not in short mode")
	}
	engine, stop, err := relay.Engine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for _, p := range relay.Peers() {
		up, err := p.Run(t.Context(), engine)
		if errors.Is(err, fault.NotFound) {
			t.Logf("%s: %v", p.Name, err)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		if about := p.About(t.Context()); !strings.HasPrefix(about, p.Note+"; ") {
			t.Errorf("%s: %q", p.Name, about)
		}
		if r, err := up.Measure(t.Context(), bench.Load{Rate: 50, Duration: 200 * time.Millisecond}); err != nil || r.Failed() > 0 {
			t.Errorf("%s: %v, %v", p.Name, r.Errors, err)
		}
		up.Stop()
	}
}

func ExampleRelay() {
	for _, p := range relay.Peers() {
		fmt.Println(p.Name)
	}
	// Output:
	// nginx
	// HAProxy
	// vllm-router
	// sglang-router
	// LiteLLM
}
