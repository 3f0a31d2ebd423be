package peer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/bench/peer"
	"github.com/lanewise/lanewise/fault"
)

// This binary runs again as a program where it is set: one that ends at once, or one that goes on.
const variable = "LANEWISE_PEER"

func TestMain(m *testing.M) {
	switch os.Getenv(variable) {
	case "ends":
		fmt.Fprintln(os.Stderr, "no such flag")
		os.Exit(3)
	case "goes on":
		fmt.Println("version 1\nof a test")
		<-time.After(time.Hour)
	case "tells":
		fmt.Println("version 1\nof a test")
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func program(t *testing.T, does string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self) //nolint:gosec,noctx // this binary; it is stopped
	c.Env = append(os.Environ(), variable+"="+does)
	return c
}

var errNotYet = errors.New("not yet")

func TestStart_untilReady(t *testing.T) {
	tries := 0
	p, err := peer.Start(t.Context(), program(t, "goes on"), func(context.Context) error {
		if tries++; tries < 3 {
			return errNotYet
		}
		return nil
	})
	if err != nil || tries != 3 {
		t.Fatalf("%d tries, %v", tries, err)
	}
	if p.Pid() <= 0 || p.Pid() == os.Getpid() {
		t.Errorf("pid %d", p.Pid())
	}
	p.Stop()
	p.Stop() // which it may be twice
}

// What a program said before it ended is in the error, and nobody waits for it for minutes.
func TestStart_thatEnds(t *testing.T) {
	_, err := peer.Start(t.Context(), program(t, "ends"), func(context.Context) error { return errNotYet })
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "exit status 3: no such flag") {
		t.Errorf("got %v", err)
	}
}

func TestStart_cut(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := peer.Start(ctx, program(t, "goes on"), func(context.Context) error { cancel(); return errNotYet })
	if !errors.Is(err, fault.Unavailable) || !errors.Is(err, errNotYet) {
		t.Errorf("got %v", err)
	}
	if _, err := peer.Start(t.Context(), exec.Command("/no/such/program"), nil); err == nil { //nolint:noctx // it never runs
		t.Error("a program that is not there has started")
	}
}

func TestFind(t *testing.T) {
	if _, err := peer.Find("no-such-program"); !errors.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "no-such-program is not installed") {
		t.Errorf("got %v", err)
	}
}

func TestVersion_isTheFirstLine(t *testing.T) {
	t.Setenv(variable, "tells")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if got := peer.Version(t.Context(), self); got != "version 1" {
		t.Errorf("got %q", got)
	}
	if got := peer.Version(t.Context(), "/no/such/program", "-v"); got != "" {
		t.Errorf("of no program: %q", got)
	}
}

// A program called litellm stands in for the real one.
func TestLiteLLM_command(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if _, err := peer.LiteLLM(dir, "127.0.0.1:4000", nil, 0); !errors.Is(err, fault.NotFound) {
		t.Fatalf("not installed: %v", err)
	}
	if err := os.WriteFile(dir+"/litellm", nil, 0o700); err != nil { //nolint:gosec // a program must be one that may run
		t.Fatal(err)
	}
	c, err := peer.LiteLLM(dir, "127.0.0.1:4000", []string{"127.0.0.1:1", "127.0.0.1:2"}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if args := strings.Join(c.Args[1:], " "); args != "--config "+dir+"/litellm.yaml --host 127.0.0.1 --port 4000" {
		t.Errorf("arguments %s", args)
	}
	config, err := os.ReadFile(dir + "/litellm.yaml")
	want := `{"model_list":[{"litellm_params":{"api_base":"http://127.0.0.1:1/v1","api_key":"none","model":"openai/m"},"model_name":"m"},` +
		`{"litellm_params":{"api_base":"http://127.0.0.1:2/v1","api_key":"none","model":"openai/m"},"model_name":"m"}],"router_settings":{"num_retries":2}}`
	if string(config) != want {
		t.Errorf("configuration %s, %v", config, err)
	}
}

func ExampleFind() {
	_, err := peer.Find("no-such-program")
	fmt.Println(err)
	// Output: no-such-program is not installed
}
