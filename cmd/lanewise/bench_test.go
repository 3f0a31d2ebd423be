package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/config"
)

// drawn is a server with a drawn set in it, and the folder of the set's files.
func drawn(t *testing.T) (world, string) {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	w := serving(t)
	done := w.run(t, "bench", "data", "-n", "300", "--dims", "8", "--out", at("p.jsonl"), "--queries", "20", "--queries-out", at("q.fvecs"), "--truth", "5", "--truth-out", at("t.jsonl"))
	if done.code != exitOK {
		t.Fatal(done.errOut)
	}
	if done = w.run(t, "ingest", at("p.jsonl")); done.code != exitOK {
		t.Fatal(done.errOut)
	}
	return w, dir
}

func TestBenchSearch(t *testing.T) {
	w, dir := drawn(t)
	report := filepath.Join(dir, "r.json")
	page := filepath.Join(dir, "r.html")
	done := w.run(t, "bench", "search", "--queries", filepath.Join(dir, "q.fvecs"), "--rate", "100", "--warmup", "50ms", "--duration", "400ms",
		"--rounds", "2", "--recall", "10", "--k", "5:0.5,10:0.5", "--filter", `{"tenth": {"$lt": 5}}`, "--json", report, "--html", page)
	if done.code != exitOK && !strings.Contains(done.out, "INVALID") { // a machine that is too busy to keep to the rate says so
		t.Fatalf("exit %d: %s%s", done.code, done.out, done.errOut)
	}
	r, err := bench.Read(report)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 1 || r.Kind != "search" || r.Config["rate"] != "100" {
		t.Fatalf("report %+v", r)
	}
	figures := map[string]bench.Figure{}
	for _, f := range r.Rows[0].Figures {
		figures[f.Name] = f
	}
	for name, want := range map[string]float64{"errors": 0, "recall": 1, "coverage": 1} {
		if f := figures[name]; len(f.Rounds) != 2 || f.Median() != want {
			t.Errorf("%s is %v, want %g in both rounds", name, f.Rounds, want)
		}
	}
	if figures["p50"].Median() <= 0 {
		t.Error("no latency was measured")
	}
	if data, err := os.ReadFile(page); err != nil || !strings.Contains(string(data), "<svg") {
		t.Errorf("the page has no plot: %v", err)
	}
	if same := w.run(t, "bench", "compare", report, report); len(r.Invalid) == 0 && (same.code != exitOK || !strings.Contains(same.out, "same")) {
		t.Errorf("compared with itself: exit %d, %s%s", same.code, same.out, same.errOut)
	}
}

// An engine's collection beside a server that has a copy of it.
func TestBenchSearch_engine(t *testing.T) {
	at := articlesTable(t, "cli_bench")
	w := serving(t)
	w.run(t, "import", "--from", at, "--to", "docs", "--state", filepath.Join(t.TempDir(), "state")).want(t, exitOK)
	report := filepath.Join(t.TempDir(), "r.json")
	done := w.run(t, "bench", "search", "--target", w.env["LANEWISE_URL"], "--target", at, "--rate", "50", "--warmup", "0", "--duration", "300ms", "--rounds", "1",
		"--k", "2", "--recall", "5", "--json", report)
	r, err := bench.Read(report)
	if err != nil || len(r.Rows) != 2 {
		t.Fatalf("report %+v, %v: %s", r, err, done.errOut)
	}
	for _, row := range r.Rows {
		for _, f := range row.Figures {
			if f.Name == "errors" && f.Median() != 0 || f.Name == "recall" && f.Median() != 1 {
				t.Errorf("%s: %s is %g", row.Name, f.Name, f.Median())
			}
		}
		if strings.Contains(row.Name, ":lanewise:") || strings.Contains(row.Name, "@127.0.0.1") && strings.Contains(row.Name, "lanewise:") {
			t.Errorf("%s shows the password", row.Name)
		}
	}
}

// Two reports of which the second is twice as slow.
func TestBenchCompare_regression(t *testing.T) {
	file := func(name string, rounds ...float64) string {
		r := bench.Report{Schema: bench.Schema, Kind: "search", Rows: []bench.Row{{Name: "x", Figures: []bench.Figure{{Name: "p99", Unit: "ms", Better: bench.Lower, Rounds: rounds}}}}}
		path := filepath.Join(t.TempDir(), name)
		if err := bench.WriteFile(path, r.JSON); err != nil {
			t.Fatal(err)
		}
		return path
	}
	before, after := file("a.json", 10, 11, 10.5), file("b.json", 20, 21, 20.5)
	done := world{}.run(t, "bench", "compare", before, after)
	if done.code != exitFailure || !strings.Contains(done.out, "worse   x p99") || !strings.Contains(done.errOut, "1 of 1 figures got worse") {
		t.Errorf("exit %d: %s%s", done.code, done.out, done.errOut)
	}
	if done = (world{}).run(t, "bench", "compare", after, before); done.code != exitOK {
		t.Errorf("better: exit %d: %s", done.code, done.errOut)
	}
}

// What cannot be measured says what is wrong, fails, and leaves no file.
func TestBenchSearch_badInput(t *testing.T) {
	w, dir := drawn(t)
	wrong := filepath.Join(dir, "wrong.jsonl")
	empty := filepath.Join(dir, "empty.jsonl")
	for name, content := range map[string]string{wrong: `{"vector": [1, 2]}`, empty: ""} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "out.json")
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"down":       {[]string{"--target", "http://127.0.0.1:1"}, exitFailure, "no lanewise server answers"},
		"no engine":  {[]string{"--target", "ftp://x/y"}, exitFailure, "ftp"},
		"dims":       {[]string{"--queries", wrong}, exitFailure, "dims"},
		"empty":      {[]string{"--queries", empty}, exitFailure, "holds no query"},
		"absent":     {[]string{"--queries", "absent.npy"}, exitFailure, "absent.npy"},
		"collection": {[]string{"--collection", "other"}, exitFailure, "other"},
		"slo":        {[]string{"--slo", "fast"}, exitUsage, "--slo"},
		"k":          {[]string{"--k", "0"}, exitUsage, "--k"},
		"filter":     {[]string{"--filter", "x"}, exitUsage, "--filter"},
		"weights":    {[]string{"--k", "10:x"}, exitUsage, "--k"},
		"arrivals":   {[]string{"--arrivals", "odd"}, exitUsage, "--arrivals"},
	} {
		done := w.run(t, append([]string{"bench", "search", "--duration", "100ms", "--warmup", "0", "--json", out}, c.args...)...)
		if done.code != c.code || !strings.Contains(done.errOut, c.says) {
			t.Errorf("%s: exit %d: %s", name, done.code, done.errOut)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: there is a report", name)
		}
	}
}

func TestBenchLanes(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script.yaml")
	report := filepath.Join(t.TempDir(), "r.json")
	for content, says := range map[string]string{
		"- {at: 1s, replica: s0/r9, do: kill}":         `/script/0/replica: "s0/r9"`,
		"- {at: 1s, replica: s0/r0, what: kill}":       "script.yaml",
		"- {at: 100ms, replica: s0/r0, do: partition}": "",
	} {
		if err := os.WriteFile(script, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		done := world{}.run(t, "bench", "lanes", "--script", script, "--policies", "random,lanewise", "--rounds", "1", "--duration", "500ms", "--warmup", "0", "--json", report)
		if says != "" {
			if done.code != exitFailure || !strings.Contains(done.errOut, says) {
				t.Errorf("%s: exit %d, %s", content, done.code, done.errOut)
			}
			continue
		}
		if r, err := bench.Read(report); err != nil || len(r.Rows) != 2 || len(r.Plots) != 3 || len(r.Plots[1].Marks) != 1 {
			t.Errorf("report %+v, %v: %s", r, err, done.errOut)
		}
	}
	if done := (world{}).run(t, "bench", "lanes", "--policies", "best"); !strings.Contains(done.errOut, "round-robin") {
		t.Errorf("an unknown policy: %s", done.errOut)
	}
}

func TestBenchAnswer(t *testing.T) {
	report := filepath.Join(t.TempDir(), "r.json")
	done := world{}.run(t, "bench", "answer", "--rounds", "1", "--duration", "600ms", "--warmup", "0", "--rate", "10", "--words", "3", "--pace", "1ms", "--json", report)
	r, err := bench.Read(report)
	if err != nil || len(r.Rows) < 2 || r.Rows[0].Name != "lanewise" || len(r.Plots) < 5 {
		t.Errorf("report %+v, %v: %s", r, err, done.errOut)
	}
	if done = (world{}).run(t, "bench", "answer", "--script", "absent.yaml"); done.code != exitFailure || !strings.Contains(done.errOut, "absent.yaml") {
		t.Errorf("no script: exit %d, %s", done.code, done.errOut)
	}
}

// Each part has a table, and a report that can be compared.
func TestBenchParts(t *testing.T) {
	w := serving(t)
	for name, flags := range map[string][]string{
		"merge": {"--shards", "4", "-k", "10"}, "map": {"--shards", "4"}, "embed": nil, "store": {"-n", "500", "--dims", "8"}, "ingest": {"-n", "200", "--dims", "8"},
	} {
		report := filepath.Join(t.TempDir(), "r.json")
		done := w.run(t, append([]string{"bench", name, "--rounds", "2", "--json", report}, flags...)...)
		r, err := bench.Read(report)
		if done.code != exitOK || err != nil || len(r.Rows) != 1 || len(r.Rows[0].Figures[0].Rounds) != 2 {
			t.Errorf("%s: exit %d, %+v, %v: %s", name, done.code, r, err, done.errOut)
		}
	}
	if done := w.run(t, "search", "--collection", "bench-1", "x"); done.code != exitFailure {
		t.Error("there is a collection of the benchmark")
	}
	if done := w.run(t, "bench", "goals"); done.code != exitOK || !strings.Contains(done.out, "G10") || !strings.Contains(done.out, "recorded on") {
		t.Errorf("goals: exit %d, %s", done.code, done.out)
	}
}

func TestBenchRelay_onlyWhatThereIs(t *testing.T) {
	if done := (world{}).run(t, "bench", "relay", "--only", "apache"); done.code != exitUsage && done.code != exitFailure || done.errOut == "" {
		t.Errorf("exit %d, %s", done.code, done.errOut)
	}
}

func TestBenchChat(t *testing.T) {
	w := serving(t) // whose model quotes
	report := filepath.Join(t.TempDir(), "r.json")
	if done := w.run(t, "bench", "chat"); done.code != exitUsage || !strings.Contains(done.errOut, "--model") {
		t.Errorf("no model: exit %d, %s", done.code, done.errOut)
	}
	done := w.run(t, "bench", "chat", "--model", "none", "--json", report)
	if _, err := os.Stat(report); done.code != exitFailure || !strings.Contains(done.errOut, "the first call of http://") || err == nil {
		t.Errorf("no such model: exit %d, %s", done.code, done.errOut)
	}
}

// A server whose certificate nobody knows, and that wants to be shown one, is loaded with both named by flags.
func TestBench_overTLS(t *testing.T) {
	sys, err := config.Local(t.TempDir()).Build(t.Context(), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", sys.Handler)
	mux.HandleFunc("/v1/chat/completions", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"choices": [{"message": {"role": "assistant", "content": "yes"}}], "usage": {"prompt_tokens": 2, "completion_tokens": 1}}`)
	})
	server := httptest.NewUnstartedServer(mux)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of the calls that show none
	server.StartTLS()
	t.Cleanup(func() {
		server.Close()
		if err := sys.Close(); err != nil {
			t.Error(err)
		}
	})
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t, map[string]string{
		"cert.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
		"key.pem":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"p.jsonl":  `{"id": "a", "text": "a cat"}` + "\n",
	})
	cert := filepath.Join(dir, "cert.pem")
	both := []string{"--cacert", cert, "--cert", cert, "--key", filepath.Join(dir, "key.pem")}
	w := world{env: map[string]string{"LANEWISE_URL": server.URL}}
	w.run(t, append([]string{"ingest", filepath.Join(dir, "p.jsonl")}, both...)...).want(t, exitOK)
	for name, flags := range map[string][]string{
		"search": {"--rounds", "1", "--duration", "100ms", "--warmup", "0"},
		"chat":   {"--rounds", "1", "--duration", "100ms", "--warmup", "0", "--model", "m", "--whole"},
		"ingest": {"--rounds", "1", "-n", "20", "--dims", "4"},
	} {
		report := filepath.Join(t.TempDir(), "r.json")
		command := append([]string{"bench", name, "--json", report}, flags...)
		if done := w.run(t, command...); done.code != exitFailure || !strings.Contains(done.errOut, "certificate") {
			t.Errorf("%s without flags: exit %d, %s", name, done.code, done.errOut)
		}
		done := w.run(t, append(command, both...)...)
		if r, err := bench.Read(report); err != nil || len(r.Rows) != 1 { // a machine that is too busy to keep to the rate says so, and exits with 1
			t.Errorf("%s: exit %d, %v, %s", name, done.code, err, done.errOut)
		}
		w.run(t, append(command, "--cacert", "none.pem")...).want(t, exitUsage, "--cacert")
	}
}

// Ctrl-C in the middle shows what there is.
func TestBenchSearch_interrupted(t *testing.T) {
	w, dir := drawn(t)
	out := filepath.Join(dir, "out.json")
	ctx, interrupt := context.WithCancelCause(t.Context())
	printed := &strings.Builder{}
	progress, tell := io.Pipe()
	go func() { // the round has begun
		_, _ = progress.Read(make([]byte, 1))
		interrupt(errInterrupted)
		_, _ = io.Copy(io.Discard, progress)
	}()
	a := &app{in: strings.NewReader(""), out: printed, err: tell, env: func(k string) string { return w.env[k] }}
	code := run(ctx, a, []string{"bench", "search", "--duration", "1h", "--warmup", "0", "--json", out})
	_ = tell.Close()
	r, err := bench.Read(out)
	if code != exitFailure || err != nil || !r.Cut || !strings.Contains(printed.String(), "CUT") {
		t.Errorf("exit %d, %v: %s", code, err, printed)
	}
}
