package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestImport_fromPostgres(t *testing.T) {
	at := articlesTable(t, "cli_import")
	w := serving(t)
	state := filepath.Join(t.TempDir(), "state")
	got := w.run(t, "import", "--from", at, "--to", "copied", "--space", "static-256", "--state", state)
	got.want(t, exitOK, "4 documents copied to collection copied", "checked: 4 documents compared, the collection holds 4 points")
	if _, err := os.Stat(state); err == nil {
		t.Error("the state is still there")
	}
	found := w.run(t, "search", "--collection", "copied", "--filter", `{"year": 2022}`, "lines of a file")
	found.want(t, exitOK, "use a scanner")
	w.run(t, "import", "--from", at, "--to", "copied", "--state", state).want(t, exitOK, "the collection holds 4 points")
	w.run(t, "ingest", "--collection", "small", "-").want(t, exitFailure)
}

func TestImport_refuses(t *testing.T) {
	w := serving(t)
	w.run(t, "import", "--to", "x").want(t, exitUsage, "--from ENGINE_URL --to NAME")
	w.run(t, "import", "--from", "qdrant://127.0.0.1:1/docs", "--to", "x").want(t, exitFailure, "6333 is that of HTTP")
	w.run(t, "import", "--from", filepath.Join(t.TempDir(), "none.jsonl"), "--to", "x", "--state", filepath.Join(t.TempDir(), "s")).want(t, exitFailure, "none.jsonl")
	w.run(t, "search", "--collection", "x", "text").want(t, exitFailure, `no collection "x"`) // none was made for a source that is not there
	at := articlesTable(t, "cli_import_misfit")
	file := filepath.Join(t.TempDir(), "a.jsonl")
	if err := os.WriteFile(file, []byte(`{"id": "a", "vector": [1, 2]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	w.run(t, "ingest", "--collection", "two", file).want(t, exitOK)
	w.run(t, "import", "--from", at, "--to", "two").want(t, exitFailure, "is there with 2 dims, the source has 256")
}

// jsonl writes a file of n documents of two dims.
func jsonl(t *testing.T, n int) string {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"id": "p%d", "text": "text %d", "vector": [%d, 1], "metadata": {"n": %d}}`+"\n", i, i, i, i)
	}
	file := filepath.Join(t.TempDir(), "docs.jsonl")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func two(t *testing.T, w world) {
	t.Helper()
	one := filepath.Join(t.TempDir(), "one.jsonl")
	if err := os.WriteFile(one, []byte(`{"id": "p0", "vector": [0, 1]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	w.run(t, "ingest", "--collection", "docs", "--metric", "euclidean", one).want(t, exitOK)
}

func TestImport_fromAFile(t *testing.T) {
	w := serving(t)
	two(t, w)
	file := jsonl(t, 2500)
	state := filepath.Join(t.TempDir(), "state")
	got := w.run(t, "import", "--from", file, "--to", "docs", "--state", state, "--json")
	var sum struct{ Copied, Count, Sampled int }
	if err := json.Unmarshal([]byte(got.out), &sum); got.code != exitOK || err != nil || sum.Copied != 2500 || sum.Count != 2500 || sum.Sampled != 64 {
		t.Errorf("%+v, %v\n%s%s", sum, err, got.out, got.errOut)
	}
}

// A copy that is killed goes on where it was, and is whole in the end.
func TestImport_survivesAKill(t *testing.T) {
	w := serving(t)
	two(t, w)
	file := jsonl(t, 20000)
	state := filepath.Join(t.TempDir(), "state")
	args := []string{"import", "--from", file, "--to", "docs", "--state", state, "--batch", "50"}
	first := exec.CommandContext(t.Context(), os.Args[0], args...)
	first.Env = append(os.Environ(), "LANEWISE_TEST_PROGRAM=1", "LANEWISE_URL="+slowed(t, w.env["LANEWISE_URL"]))
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- first.Wait() }()
	for noted := false; !noted; { // until it has noted some progress, which it does every second
		select {
		case err := <-ended:
			t.Fatalf("it ended before it had noted any progress: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
		data, err := os.ReadFile(state)
		noted = err == nil && strings.Contains(string(data), `"next":"`) && !strings.Contains(string(data), `"next":""`)
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Log("it had ended already")
	}
	got := w.run(t, args...)
	got.want(t, exitOK, "20,000 documents copied to collection docs", "by earlier runs", "the collection holds 20,000 points")
}

// slowed stands before a server and takes 25 ms for each request on its way.
func slowed(t *testing.T, address string) string {
	t.Helper()
	server, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(server)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(25 * time.Millisecond):
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(slow.Close)
	return slow.URL
}
