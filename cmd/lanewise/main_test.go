package main

import (
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/config"
)

// TestMain lets the test binary stand in for the program, for tests that need a
// process of its own. After benchmarks nobody looks for goroutines that are left: the
// connections of clients that they compare with cannot all be closed.
func TestMain(m *testing.M) {
	if os.Getenv("LANEWISE_TEST_PROGRAM") != "" {
		main()
	}
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

// outcome is what a command line came to.
type outcome struct {
	code        int
	out, errOut string
}

// world is the surroundings of a command in a test.
type world struct {
	in  string
	env map[string]string
}

func (w world) run(tb testing.TB, args ...string) outcome {
	tb.Helper()
	var out, errOut strings.Builder
	a := &app{in: strings.NewReader(w.in), out: &out, err: &errOut, env: func(k string) string { return w.env[k] }}
	code := run(tb.Context(), a, args)
	return outcome{code, out.String(), errOut.String()}
}

// serving starts a server over a new local store, and a world that knows it.
func serving(t *testing.T) world {
	t.Helper()
	return servingOf(t, config.Local(t.TempDir()))
}

// servingOf starts a server of a configuration, and a world that knows it.
func servingOf(t *testing.T, cfg *config.Config) world {
	t.Helper()
	cfg.Timeouts.Search, cfg.Timeouts.Write = 60e9, 60e9 // a busy machine is no reason to lose one
	sys, err := cfg.Build(t.Context(), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sys.Handler)
	t.Cleanup(func() {
		server.Close()
		if err := sys.Close(); err != nil {
			t.Error(err)
		}
	})
	return world{env: map[string]string{"LANEWISE_URL": server.URL}}
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (o outcome) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, want %d\n%s%s", o.code, code, o.out, o.errOut)
	}
	for _, text := range texts {
		if !strings.Contains(o.out+o.errOut, text) {
			t.Errorf("%q is missing in:\n%s%s", text, o.out, o.errOut)
		}
	}
}

// What the demo prints to try is accepted by the server.
func TestDemo_triesWork(t *testing.T) {
	w := serving(t)
	w.in = `{"id": "slices.Sort", "text": "Sort sorts a slice.", "metadata": {"kind": "func", "package": "slices"}}`
	w.run(t, "ingest", "--collection", "go", "-").want(t, exitOK)
	for _, call := range tries() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.env["LANEWISE_URL"]+call.path, strings.NewReader(call.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "slices.Sort") {
			t.Errorf("%s: %d %s (%v)", call.body, resp.StatusCode, body, err)
		}
	}
}

func TestHelp_hasExamples(t *testing.T) {
	world{}.run(t).want(t, exitOK, "Start here:", "lanewise demo")
	for _, c := range newRoot(&app{env: os.Getenv}).Commands() {
		if c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		world{}.run(t, c.Name(), "--help").want(t, exitOK, "Usage:\n  lanewise "+c.Name())
		if c.Example == "" && c.Name() != "version" {
			t.Errorf("%s has no example", c.Name())
		}
	}
	world{}.run(t, "completion", "bash").want(t, exitOK, "__start_lanewise")
}

// A new user's first minutes: ingest, search, ask, all over again.
func TestIngestSearchAsk(t *testing.T) {
	w := serving(t)
	dir := folder(t, map[string]string{
		"cats.md": "# Cats\n\n## Sleep\n\nA cat sleeps sixteen hours a day. It prefers warm places.\n\n## Food\n\nCats eat meat.\n",
		"tax.txt": "The tax return is due at the end of May.\n",
		"x.bin":   "\x00",
	})
	w.run(t, "search", "cats").want(t, exitFailure, `no collection "docs"`, "lanewise ingest --collection docs FOLDER")
	for range 2 {
		w.run(t, "ingest", dir).want(t, exitOK, "3 documents", "stored in collection docs", "left out: 1 file (not Markdown or text)")
	}
	w.run(t, "search", "-k", "2", "how", "long", "does a cat sleep").want(t, exitOK,
		" 1. ", "cats.md#sleep  Cats > Sleep", "A cat sleeps sixteen hours a day.", "2 hits from 1 of 1 shards")
	w.run(t, "search", "cats", "--filter", `{"path": "tax.txt"}`).want(t, exitOK, "tax.txt#L1", "1 hit from")
	w.run(t, "search", "cats", "--min-score", "0.99").want(t, exitOK, "0 hits")
	w.run(t, "ask", "quantum chromodynamics?").want(t, exitOK, "the closest passages:", " 1. ")
	w.run(t, "ask", "How long does a cat sleep?").want(t, exitOK, "A cat sleeps sixteen hours a day.", "[1] cats.md#sleep", "model extract")

	var found struct {
		Hits []struct{ ID string } `json:"hits"`
	}
	got := w.run(t, "search", "--json", "sleep")
	if err := json.Unmarshal([]byte(got.out), &found); err != nil || len(found.Hits) != 3 || got.code != exitOK {
		t.Errorf("%v, %d hits (ingesting twice must not double them)\n%s", err, len(found.Hits), got.out)
	}
	var answer struct {
		Answer    string                       `json:"answer"`
		Citations []struct{ ID, Quote string } `json:"citations"`
	}
	got = w.run(t, "ask", "--json", "How long does a cat sleep?")
	if err := json.Unmarshal([]byte(got.out), &answer); err != nil || len(answer.Citations) == 0 {
		t.Errorf("%v\n%s", err, got.out)
	}
}

func TestEval_comparesModes(t *testing.T) {
	w := serving(t)
	dir := t.TempDir()
	files := map[string]string{"q": "q1\tzebra crossing\nq2\tcat\nq3\tnobody judged this\n", "qrels": "q1 0 b 1\nq2 0 a 1\n"}
	for name, text := range files {
		files[name] = filepath.Join(dir, name)
		if err := os.WriteFile(files[name], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.in = `{"id": "a", "text": "A cat sleeps."}` + "\n" + `{"id": "b", "text": "The zebra crossing is over there."}`
	w.run(t, "ingest", "-").want(t, exitOK, "2 documents")
	w.run(t, "eval", "--queries", files["q"], "--qrels", files["qrels"]).want(t, exitOK,
		"nDCG@10", "dense ", "lexical   1.000 (1.000 to 1.000)", "hybrid ", "2 queries, 1 more without a relevant document left out")
	w.run(t, "eval", "--queries", files["q"], "--qrels", files["qrels"], "--json", "--modes", "hybrid").want(t, exitOK, `"mode": "hybrid"`, `"recall"`)
	w.run(t, "eval", "--queries", files["q"]).want(t, exitUsage, "--qrels FILE")
	w.run(t, "eval", "--queries", files["qrels"], "--qrels", files["qrels"]).want(t, exitFailure, "qrels:1: neither")
	w.run(t, "eval", "--queries", files["q"], "--qrels", files["qrels"], "--modes", "best").want(t, exitFailure, "/mode")
}

func TestReindex_addsWords(t *testing.T) {
	w := serving(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, w.env["LANEWISE_URL"]+"/v1/collections/docs", strings.NewReader(`{"lexical": false}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", resp, err)
	}
	_ = resp.Body.Close()
	w.in = `{"id": "a", "text": "A cat sleeps."}` + "\n" + `{"id": "b", "text": "Zebras cross."}`
	w.run(t, "ingest", "-").want(t, exitOK, "2 documents")
	w.run(t, "search", "--mode", "lexical", "zebra").want(t, exitFailure, "lanewise reindex docs")
	w.run(t, "reindex", "docs", "--language", "en").want(t, exitOK, "2 points of collection docs got words in")
	w.run(t, "reindex", "docs").want(t, exitOK, "collection docs has its words already")
	w.run(t, "search", "--mode", "lexical", "zebra").want(t, exitOK, "  b", "1 hit from")
	w.run(t, "reindex").want(t, exitUsage, "name the collection")
	w.run(t, "reindex", "none").want(t, exitFailure, `no collection "none"`, "ingest --collection none")
}

func TestIngest_keepsToTheWordsOfItsCollection(t *testing.T) {
	w := serving(t)
	w.in = `{"id": "a", "text": "A cat sleeps."}`
	w.run(t, "ingest", "--language", "en", "-").want(t, exitOK)
	w.run(t, "ingest", "--language", "en", "--avg-len", "100", "-").want(t, exitOK)
	w.run(t, "ingest", "-").want(t, exitOK)
	w.run(t, "ingest", "--language", "fr", "-").want(t, exitFailure, "--language fr: its words are counted with en already")
	w.run(t, "ingest", "--avg-len", "20", "-").want(t, exitFailure, "--avg-len 20: its words are counted with 100 already")
	w.run(t, "reindex", "docs", "--language", "fr").want(t, exitFailure, "counted with en already")
}

func TestIngest_reportsBadLines(t *testing.T) {
	w := serving(t)
	w.in = `{"id": "a", "text": "one"}
{"id": "b", "text": 2}
{"id": "c", "text": "three"}
{"id": "d", "vector": [1, 2, 3]}
`
	got := w.run(t, "ingest", "--collection", "mine", "-")
	got.want(t, exitFailure, "stdin:2: text is a JSON number, not a string", `stdin:4: document "d":`,
		"2 documents", "bad: 2 documents", "some documents were not stored")
	got = w.run(t, "ingest", "--collection", "mine", "--strict", "-")
	got.want(t, exitFailure, "lanewise: stdin:2: text is a JSON number")
	var sum map[string]any
	got = w.run(t, "ingest", "--collection", "mine", "--json", "-")
	if err := json.Unmarshal([]byte(got.out), &sum); err != nil || sum["stored"] != 2.0 || sum["bad"] != 2.0 {
		t.Errorf("%v %v", sum, err)
	}
}

func TestIngest_measuresTexts(t *testing.T) {
	w := serving(t)
	w.in = `{"id": "a", "text": "one two three"}` + "\n" + `{"id": "b", "text": "the five words of this one"}`
	w.run(t, "ingest", "--measure", "-").want(t, exitOK, "2 texts of 5 words on average: --avg-len 5")
	w.run(t, "ingest", "--measure", "--language", "xx", "-").want(t, exitUsage, `--language`, `"xx"`)
	w.run(t, "search", "one").want(t, exitFailure, `no collection "docs"`)
	w.run(t, "ingest", "--collection", "words", "--language", "en", "--avg-len", "5", "-").want(t, exitOK, "2 documents")
	w.run(t, "search", "--collection", "words", "--mode", "lexical", "word").want(t, exitOK, "1. ", "  b", "1 hit from")
}

// A collection of ready vectors gets their dims.
func TestIngest_vectors(t *testing.T) {
	w := serving(t)
	w.in = `{"id": "a", "vector": [1, 0]}` + "\n" + `{"id": "b", "vector": [0, 1]}`
	w.run(t, "ingest", "--collection", "v", "--metric", "dot", "-").want(t, exitOK, "2 documents")
	w.run(t, "search", "--collection", "v", "text").want(t, exitFailure, "lanewise: ")
}

func TestCommands_withoutServer(t *testing.T) {
	w := world{env: map[string]string{"LANEWISE_URL": "http://127.0.0.1:1"}}
	w.run(t, "search", "x").want(t, exitFailure, "no lanewise server answers at http://127.0.0.1:1", "start a server with: lanewise serve")
	w.run(t, "ingest", folder(t, nil)+"/none").want(t, exitFailure, "none")
	w.run(t, "search", "x", "--url", "localhost").want(t, exitFailure, "is not a URL")
}

// A server that answers, but cannot reach its shards, is not one that has to be started.
func TestCommands_withoutShards(t *testing.T) {
	dir := folder(t, map[string]string{
		"c.yaml": "map: map\nshards:\n  - name: s0\n    replicas:\n      - path: s0\n  - name: s1\n    replicas:\n      - url: http://127.0.0.1:1\n",
	})
	cfg, err := config.Load(dir + "/c.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w := servingOf(t, cfg)
	got := w.run(t, "ingest", folder(t, map[string]string{"a.md": "A cat sleeps on the sofa."}))
	got.want(t, exitFailure, "connection refused")
	if strings.Contains(got.errOut, "start a server") {
		t.Errorf("advice for another problem: %s", got.errOut)
	}
}

func TestIngest_ofNothing(t *testing.T) {
	serving(t).run(t, "ingest", folder(t, map[string]string{"a.bin": "x"})).want(t, exitFailure, "no documents were found", "1 file")
}

func TestAsk_errorsPrintNoAnswer(t *testing.T) {
	if got := serving(t).run(t, "ask", "--collection", "none", "why?"); got.out != "" || got.code != exitFailure {
		t.Errorf("code %d, printed %q", got.code, got.out)
	}
}

// With a configuration the commands need no server.
func TestCommands_withConfiguration(t *testing.T) {
	dir := folder(t, map[string]string{
		"c.yaml": "keys: [k]\nmap: data/map\nshards:\n  - name: s0\n    replicas:\n      - path: data/s0\n",
		"r.yaml": "store: replica\n",
	})
	docs := folder(t, map[string]string{"a.md": "A cat sleeps on the sofa."})
	w := world{}
	w.run(t, "ingest", "-c", dir+"/c.yaml", docs).want(t, exitOK, "1 document ")
	w.run(t, "search", "-c", dir+"/c.yaml", "kitten").want(t, exitOK, "a.md#top")
	w.run(t, "search", "-c", dir+"/r.yaml", "kitten").want(t, exitUsage, "bare replica")
	w.run(t, "search", "-c", dir+"/none.yaml", "kitten").want(t, exitFailure, "none.yaml")
}

func TestCheck(t *testing.T) {
	dir := folder(t, map[string]string{
		"good.yaml": "shards:\n  - name: s0\n    replicas:\n      - {url: 'http://10.0.0.1:8080', key: '${SECRET:-hunter2}'}\n",
		"bad.yaml":  "shard:\n  - name: s0\ntimeouts: {search: 2}\n",
	})
	got := world{}.run(t, "check", "-c", dir+"/good.yaml")
	got.want(t, exitOK, "is valid", "listen: 127.0.0.1:8080", `key: "****"`)
	if strings.Contains(got.out, "hunter2") {
		t.Error("the secret is printed")
	}
	world{}.run(t, "check", dir+"/bad.yaml").want(t, exitFailure,
		"lanewise: "+dir+"/bad.yaml:1:1: shard: unknown key; did you mean shards?",
		"lanewise: "+dir+"/bad.yaml:3:12: timeouts.search: 2 has no unit")
}

func TestVersion(t *testing.T) {
	world{}.run(t, "version").want(t, exitOK, "lanewise ")
	world{}.run(t, "version", "--json").want(t, exitOK, `"version"`)
}
