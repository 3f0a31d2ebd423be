package main

import (
	"bufio"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The example is built and run as a program, and asked its own question.
func TestRag_answersWithCitations(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "rag")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), binary, t.TempDir()) // killed when the test ends
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSpace(strings.TrimPrefix(line, "try: ")), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(body), "the faster answer wins") || !strings.Contains(string(body), "[1] hedging") {
		t.Fatalf("%v\n%s", err, body)
	}
}

// Embedding the router with the local store links no engine's client, no gRPC,
// no web framework and no command line.
func TestRag_linksNoDatabaseSDK(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		for _, sdk := range []string{"qdrant", "milvus", "weaviate", "pgx", "grpc", "huma", "spf13", "redis"} {
			if strings.Contains(dep, sdk) {
				t.Errorf("the example links %s", dep)
			}
		}
	}
}
