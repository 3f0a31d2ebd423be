package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// program starts this test binary as lanewise, and returns its output by lines.
func program(t *testing.T, args ...string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	return programOf(t, os.Args[0], args...)
}

func programOf(t *testing.T, file string, args ...string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), file, args...) //nolint:gosec // this very program, or the same one compiled
	cmd.Env = append(os.Environ(), "LANEWISE_TEST_PROGRAM=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out)
}

// until reads lines until one holds the text.
func until(t *testing.T, r *bufio.Reader, text string) string {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if strings.Contains(line, text) {
			return line
		}
		if err != nil {
			t.Fatalf("the output ends (%v) without %q", err, text)
		}
	}
}

// address reads the output of a server up to the line that names its URL.
func address(t *testing.T, out *bufio.Reader) string {
	t.Helper()
	_, rest, _ := strings.Cut(until(t, out, "lanewise router on "), "on ")
	url, _, _ := strings.Cut(rest, " ")
	return url
}

// end tells a program to end, and wants it to do so with exit code 0.
func end(t *testing.T, cmd *exec.Cmd, out *bufio.Reader, how os.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(how); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after signal %v: %v, want exit code 0", how, err)
	}
}

func TestServe_untilInterrupted(t *testing.T) {
	data := filepath.Join(t.TempDir(), "store")
	cmd, out := program(t, "serve", "--data", data, "--listen", "127.0.0.1:0")
	until(t, out, "serving one local store in "+data)
	w := world{env: map[string]string{"LANEWISE_URL": address(t, out)}, in: `{"id": "a", "text": "one"}`}
	w.run(t, "ingest", "-").want(t, exitOK, "1 document ")
	// The store belongs to the server: a second one says so.
	world{}.run(t, "serve", "--data", data, "--listen", "127.0.0.1:0").want(t, exitFailure, "another process")
	end(t, cmd, out, syscall.SIGTERM)
}

func TestDemo_interruptedLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	cmd, out := program(t, "demo")
	until(t, out, "HTTP servers on loopback")
	end(t, cmd, out, os.Interrupt)
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v (%v)", left, err)
	}
}

func TestInterruptible_endsWithACause(t *testing.T) {
	ctx, stop := interruptible(t.Context())
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if context.Cause(ctx) != errInterrupted { //nolint:errorlint // exactly this one
		t.Errorf("cause %v", context.Cause(ctx))
	}
	stop()
}
