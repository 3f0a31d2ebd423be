package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lanewise/lanewise/config"
)

// lengths is an embedding model that knows only how long a text is: hardly a good one. It holds its
// answers from the text after on until it is released.
type lengths struct {
	after   int64
	seen    atomic.Int64
	held    chan struct{} // closed when an answer is held
	release chan struct{}
}

func (l *lengths) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct{ Input []string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if seen := l.seen.Add(int64(len(body.Input))); l.after > 0 && seen >= l.after {
		if seen-int64(len(body.Input)) < l.after {
			close(l.held)
		}
		select {
		case <-l.release:
		case <-r.Context().Done():
			return
		}
	}
	type row struct {
		Index     int        `json:"index"`
		Embedding [2]float32 `json:"embedding"`
	}
	var answer struct {
		Data []row `json:"data"`
	}
	for i, text := range body.Input {
		answer.Data = append(answer.Data, row{i, [2]float32{1, float32(len(text))}})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// twoSpaces is a server that embeds with the built-in model and with lengths, and a world that knows it.
func twoSpaces(t *testing.T, l *lengths) world {
	t.Helper()
	model := httptest.NewServer(l)
	t.Cleanup(model.Close)
	cfg := config.Local(t.TempDir())
	cfg.Embed.Upstreams = []config.EmbedUpstream{
		{Name: "static", Kind: "static"}, {Name: "lengths", Kind: "openai", URL: model.URL, Model: "lengths", Dims: 2},
	}
	return servingOf(t, cfg)
}

// judged writes a file of queries and one of judgements about the documents of animals.
func judged(t *testing.T) (flags []string) {
	t.Helper()
	dir := folder(t, map[string]string{
		"q":     "q1\tfeline asleep\nq2\tstriped horse\nq3\tdairy cattle\nq4\tsleepy kitten\nq5\twild horse, striped\nq6\tbutter and cheese\n",
		"qrels": "q1 0 p0 1\nq2 0 p1 1\nq3 0 p2 1\nq4 0 p0 1\nq5 0 p1 1\nq6 0 p2 1\n",
	})
	return []string{"--queries", filepath.Join(dir, "q"), "--qrels", filepath.Join(dir, "qrels")}
}

// animals are n documents, the first of which the queries of judged are about.
func animals(n int) string {
	texts := []string{"A cat sleeps sixteen hours a day.", "The zebra has black and white stripes.", "Cows give milk to the farmer each morning."}
	var b strings.Builder
	for i := range n {
		text := fmt.Sprintf("Thing %d, bolted.", i)
		if i < len(texts) {
			text = texts[i]
		}
		fmt.Fprintf(&b, `{"id": "p%d", "text": %q}`+"\n", i, text)
	}
	return b.String()
}

func TestReembed_comparesBeforeItSwaps(t *testing.T) {
	w := twoSpaces(t, &lengths{})
	w.in = animals(40)
	w.run(t, "ingest", "--collection", "docs", "-").want(t, exitOK, "40 documents")
	alias(t, w, "live", "docs")
	flags := append([]string{"reembed", "live", "--to", "lengths-2-raw"}, judged(t)...)
	w.run(t, append(flags, "--keep")...).want(t, exitFailure, "40 points of docs embedded into docs--lengths-2-raw", "docs, space static-256",
		"hybrid", "answers the queries worse", "nothing was swapped")
	w.run(t, flags...).want(t, exitFailure, "0 points of docs embedded", "nothing was swapped")
	w.run(t, "search", "--collection", "live", "--json", "zebra").want(t, exitOK, `"p1"`)
	w.run(t, append(flags, "--anyway", "--keep")...).want(t, exitOK, "live still stands for docs")
	w.run(t, append(flags, "--anyway")...).want(t, exitOK, "live stands for docs--lengths-2-raw now")
	w.run(t, flags...).want(t, exitOK, "of space lengths-2-raw already: nothing to do")
	w.in = `{"id": "late", "text": "A late zebra."}`
	w.run(t, "ingest", "--collection", "live", "-").want(t, exitOK)
	w.run(t, "search", "--collection", "live", "--json", "late zebra").want(t, exitOK, `"late"`)
}

func TestReembed_replacesACollection(t *testing.T) {
	w := twoSpaces(t, &lengths{})
	w.in = animals(10)
	w.run(t, "ingest", "--collection", "docs", "-").want(t, exitOK)
	w.run(t, "reembed", "docs", "--to", "lengths-2-raw").want(t, exitUsage, "the collection's own name", "--replace", "--keep")
	w.run(t, "reembed", "docs", "--to", "lengths-2-raw", "--replace").want(t, exitOK, "docs stands for docs--lengths-2-raw now")
	w.run(t, "search", "--collection", "docs", "--json", "zebra").want(t, exitOK, `"p1"`)
}

func TestReembed_refuses(t *testing.T) {
	w := twoSpaces(t, &lengths{})
	w.run(t, "reembed", "docs").want(t, exitUsage, "NAME --to SPACE")
	w.run(t, "reembed", "docs", "--to", "x", "--queries", "q").want(t, exitUsage, "together")
	w.run(t, "reembed", "docs", "--to", "x", "--keep", "--replace").want(t, exitUsage, "--keep")
	w.run(t, "reembed", "docs", "--to", "x").want(t, exitFailure, `no collection "docs"`)
	w.in = animals(3)
	w.run(t, "ingest", "-").want(t, exitOK)
	w.run(t, "reembed", "docs", "--to", "x", "--keep").want(t, exitFailure, "of no configured embedder", "static-256, lengths-2-raw")
}

// A reembedding that is killed goes on where it was.
func TestReembed_survivesAKill(t *testing.T) {
	const n = 600
	model := &lengths{after: n / 2, held: make(chan struct{}), release: make(chan struct{})}
	w := twoSpaces(t, model)
	w.in = animals(n)
	w.run(t, "ingest", "--collection", "docs", "-").want(t, exitOK, "600 documents")
	alias(t, w, "live", "docs")
	args := []string{"reembed", "live", "--to", "lengths-2-raw", "--batch", "50"}
	first := exec.CommandContext(t.Context(), os.Args[0], args...)
	first.Env = append(os.Environ(), "LANEWISE_TEST_PROGRAM=1", "LANEWISE_URL="+w.env["LANEWISE_URL"])
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- first.Wait() }()
	select {
	case err := <-ended:
		t.Fatalf("it ended before it was killed: %v", err)
	case <-model.held:
	}
	w.run(t, "search", "--collection", "live", "--json", "zebra").want(t, exitOK, `"p1"`)
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("it ended well although it was killed")
	}
	close(model.release)
	got := w.run(t, args...)
	got.want(t, exitOK, "live stands for docs--lengths-2-raw now")
	rest := regexp.MustCompile(`(\d+) points of docs embedded`).FindStringSubmatch(got.out)
	if rest == nil {
		t.Fatalf("it does not say how many were left:\n%s", got.out)
	}
	if left, _ := strconv.Atoi(rest[1]); left == 0 || left > n*2/3 {
		t.Errorf("%d of %d points were embedded after the kill", left, n)
	}
	w.run(t, "search", "--collection", "live", "--json", "-k", "1000", "bolted").want(t, exitOK, `"p1"`, `"p599"`)
}

// alias lets a name stand for a collection.
func alias(t *testing.T, w world, name, collection string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, w.env["LANEWISE_URL"]+"/v1/aliases/"+name, strings.NewReader(`{"collection": "`+collection+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("alias: %s", resp.Status)
	}
}
