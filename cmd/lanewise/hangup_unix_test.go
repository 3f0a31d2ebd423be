//go:build unix

package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// At SIGHUP a server that runs keeps what it has where its file is bad, and takes what is good; at the start a bad file ends it.
func TestServe_hangUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "c.yaml")
	write := func(more string) {
		t.Helper()
		text := "listen: 127.0.0.1:0\nlog: {level: error}\nshards: [{name: s0, replicas: [{path: s0}]}]\n" + more
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("timeout: 3s\n")
	bad, _ := program(t, "serve", "-c", file)
	if err, ok := errors.AsType[*exec.ExitError](bad.Wait()); !ok || err.ExitCode() != exitFailure {
		t.Errorf("a bad file at the start: %v", err)
	}

	write("")
	cmd, out := program(t, "serve", "-c", file, "--watch=false")
	defer cmd.Process.Kill() //nolint:errcheck // where the test has failed
	url := address(t, out)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	get := func(path string) (int, string) {
		t.Helper()
		resp, err := client.Get(url + path) //nolint:noctx // of this test's own server
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() //nolint:errcheck // it was read
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	hangUp := func(until func(told string) bool) {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		for {
			status, told := get("/readyz?verbose")
			if status != http.StatusOK {
				t.Fatalf("/readyz: %d %s", status, told)
			}
			if until(told) {
				return
			}
		}
	}
	for _, more := range []string{"timeout: 3s\n", "timeouts: {search: soon}\n", "map: elsewhere\n", "\tshards"} {
		write(more)
		hangUp(func(told string) bool { return strings.Contains(told, "not reloaded: ") })
		write("timeouts: {search: 3s}\n# once more\n")
		hangUp(func(told string) bool { return !strings.Contains(told, "not reloaded: ") })
	}
	if status, _ := get("/v1/topology"); status != http.StatusOK {
		t.Errorf("/v1/topology: %d", status)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	hangUp(func(told string) bool { return strings.Contains(told, "not reloaded: ") })
	end(t, cmd, out, syscall.SIGTERM)
}
