package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
)

// living runs a configuration that can be exchanged, and closes it with the test.
func living(t *testing.T, c *Config, log io.Writer) *Live {
	t.Helper()
	l, err := c.Live(t.Context(), Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// ask sends a request and returns the status and the body.
func askLive(t *testing.T, l *Live, method, path, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr = "127.0.0.1:4000"
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// vectors serves embeddings and counts the calls.
func vectors(t *testing.T) (url string, calls *atomic.Int64) {
	t.Helper()
	calls = new(atomic.Int64)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b struct {
			Input []string `json:"input"`
		}
		_ = json.NewDecoder(r.Body).Decode(&b)
		calls.Add(1)
		rows := make([]string, len(b.Input))
		for i, text := range b.Input {
			rows[i] = fmt.Sprintf(`{"index": %d, "embedding": [1, %d]}`, i, strings.Count(text, "cat"))
		}
		_, _ = io.WriteString(w, `{"data": [`+strings.Join(rows, ",")+`], "usage": {"prompt_tokens": 5}}`)
	}))
	t.Cleanup(web.Close)
	return web.URL, calls
}

// TestReload_keepsWhatStaysAndExchangesTheRest: the stores and the lanes that are the same go on, with their caches, and others are new.
func TestReload_keepsWhatStaysAndExchangesTheRest(t *testing.T) {
	url, calls := vectors(t)
	dir := t.TempDir()
	c := func(model string, k string) *Config {
		c := Local(dir)
		c.Embed.Upstreams = []EmbedUpstream{{Kind: kindOpenAI, URL: url, Model: model, Dims: 2}}
		c.LLM.Prompts = []Prompt{{Name: "p", System: k}}
		return c
	}
	l := living(t, c("m", "one"), io.Discard)
	remember(t, l.System().Router)
	before, engine := l.System().embedders[0], l.System().store
	asked := calls.Load()
	if err := l.Reload(t.Context(), c("m", "two")); err != nil {
		t.Fatal(err)
	}
	if l.System().embedders[0] != before || l.System().store != engine {
		t.Error("the lane that stayed is another one")
	}
	if status, body := askLive(t, l, "POST", "/v1/search", `{"collection": "c", "text": "cat"}`); status != 200 || !strings.Contains(body, `"id":"cat"`) {
		t.Errorf("after a reload: %d %s", status, body)
	}
	if got := calls.Load(); got > asked+1 {
		t.Errorf("%d calls for one text", got-asked)
	}
	if err := l.Reload(t.Context(), c("another", "two")); err != nil {
		t.Fatal(err)
	}
	if l.System().embedders[0] == before {
		t.Error("the lane of another model is the one of before")
	}
	if _, err := before.Embed(t.Context(), embed.Batch{Texts: []string{"x"}}); err == nil {
		t.Error("the lane that left is still open")
	}
}

// TestReload_aBadOneChangesNothing, and says why: in its error, in the log, in /readyz?verbose and in the metrics.
func TestReload_aBadOneChangesNothing(t *testing.T) {
	dir := t.TempDir()
	log := &locked{}
	l := living(t, Local(dir), log)
	system := l.System()
	for _, bad := range []struct {
		change func(c *Config)
		want   string
		class  fault.Class
	}{
		{func(c *Config) { c.Listen = "127.0.0.1:1" }, "listen: a change takes a restart", fault.Invalid},
		{func(c *Config) { c.Map += "2"; c.Hedge.Off = true }, "map, hedge: a change takes a restart", fault.Invalid},
		{func(c *Config) { c.Limits.Searches = 3 }, "limits (but for body", fault.Invalid},
		{func(c *Config) { c.Embed.Long = "short" }, "embed.long: is neither", fault.Invalid},
		{func(c *Config) {
			c.Shards = append(c.Shards, Shard{Name: "s1", Replicas: []Replica{{Path: dir + "/s1"}}})
		}, "lanewise plan", fault.Conflict},
		{func(c *Config) {
			c.Shards[0].Replicas = append(c.Shards[0].Replicas, Replica{Name: "r1", Path: dir + "/x"})
		}, "a local folder is opened at the start", fault.Invalid},
		{func(c *Config) {
			c.Embed.Upstreams = []EmbedUpstream{{Name: "next", Kind: kindOpenAI, URL: "http://127.0.0.1:1/v1", Model: "m", Dims: 2}}
		}, "1 of 1 answers do not fit; next: ", fault.Unavailable},
	} {
		c := Local(dir)
		bad.change(c)
		err := l.Reload(t.Context(), c)
		if err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("got %v, want %s", err, bad.want)
		}
		if bad.class != fault.Invalid && !errors.Is(err, bad.class) {
			t.Errorf("%v is not %v", err, bad.class)
		}
		if l.System() != system {
			t.Fatalf("%s: another system is in force", bad.want)
		}
		if status, body := askLive(t, l, "GET", "/readyz?verbose", ""); status != 200 || !strings.Contains(body, "not reloaded: ") || !strings.Contains(body, bad.want) {
			t.Errorf("/readyz?verbose: %d %s", status, body)
		}
		if !strings.Contains(log.String(), bad.want) {
			t.Errorf("the log does not say %s", bad.want)
		}
	}
	if _, body := askLive(t, l, "GET", "/metrics", ""); !strings.Contains(body, `lanewise_config_reloads_total{result="error"} 7`) {
		t.Errorf("metrics: %s", body)
	}
	if err := l.Reload(t.Context(), Local(dir)); err != nil {
		t.Fatal(err)
	}
	if _, body := askLive(t, l, "GET", "/readyz?verbose", ""); strings.Contains(body, "not reloaded") {
		t.Errorf("after a good one: %s", body)
	}
}

// TestReload_requestsEndOnWhatTheyBeganWith: a request that is under way keeps its configuration open; then it is closed.
func TestReload_requestsEndOnWhatTheyBeganWith(t *testing.T) {
	dir := t.TempDir()
	l := living(t, Local(dir), io.Discard)
	first := l.enter()
	other := Local(dir)
	other.Embed.Cache = 1 << 20
	if err := l.Reload(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	lane := first.system.embedders[0]
	if _, err := lane.Embed(t.Context(), embed.Batch{Texts: []string{"x"}}); err != nil {
		t.Errorf("its lane is closed already: %v", err)
	}
	l.leave(first)
	if _, err := lane.Embed(t.Context(), embed.Batch{Texts: []string{"y"}}); err == nil {
		t.Error("its lane is open, and nobody uses it")
	}
}

// TestReload_replicas: a replica comes and another one leaves, and what was written stays.
func TestReload_replicas(t *testing.T) {
	var urls []string
	for range 2 {
		urls = append(urls, host(t, build(t, &Config{Store: t.TempDir()})))
	}
	c := func(urls ...string) *Config {
		c := &Config{Shards: []Shard{{Name: "s0"}}}
		for i, url := range urls {
			c.Shards[0].Replicas = append(c.Shards[0].Replicas, Replica{Name: fmt.Sprint("r", i), URL: url})
		}
		return c
	}
	l := living(t, c(urls[0]), io.Discard)
	remember(t, l.System().Router)
	if err := l.Reload(t.Context(), c(urls...)); err != nil {
		t.Fatal(err)
	}
	if got := l.System().Router.Replicas(); len(got) != 2 || !got[0].Reads || got[1].Reads {
		t.Errorf("replicas %+v, want the new one not to be read yet", got)
	}
	if err := l.Reload(t.Context(), c(urls[0], "http://127.0.0.1:1")); err == nil || len(l.System().Router.Replicas()) != 2 {
		t.Errorf("a replica that is not there: %v, %+v", err, l.System().Router.Replicas())
	}
	if err := l.Reload(t.Context(), c(urls[0])); err != nil {
		t.Fatal(err)
	}
	if got := l.System().Router.Replicas(); len(got) != 1 {
		t.Errorf("replicas %+v", got)
	}
}

// TestReload_manyUnderLoadLoseNothing: while requests are made the configuration is exchanged again and again, and
// nothing is left of those before. LANEWISE_RELOADS says how often; scripts/full does it 1,000 times.
func TestReload_manyUnderLoadLoseNothing(t *testing.T) {
	reloads := 25
	if text := os.Getenv("LANEWISE_RELOADS"); text != "" {
		if _, err := fmt.Sscan(text, &reloads); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	c := func(n int) *Config {
		c := Local(dir)
		c.Embed.Cache = Size(1<<20 + n%3) // another lane each time
		c.Timeouts.Search = 60e9          // a busy machine is no reason to lose one
		return c
	}
	l := living(t, c(0), io.Discard)
	remember(t, l.System().Router)
	exchange := func(n int) {
		for i := range n {
			if err := l.Reload(t.Context(), c(i+1)); err != nil {
				t.Fatalf("reload %d: %v", i, err)
			}
		}
	}
	exchange(5)
	files, routines, heap := open(t), runtime.NumGoroutine(), heapInUse()
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var answered atomic.Int64
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				status, body := askLive(t, l, "POST", "/v1/search", `{"collection": "c", "text": "a cat", "k": 1}`)
				if status != 200 || !strings.Contains(body, `"id":"cat"`) {
					t.Errorf("%d %s", status, body)
				}
				answered.Add(1)
			}
		})
	}
	exchange(reloads)
	stop()
	load.Wait()
	if answered.Load() == 0 {
		t.Error("nothing was asked meanwhile")
	}
	eventually(t, "the end of what the earlier configurations had", func() bool { return open(t) <= files && runtime.NumGoroutine() <= routines })
	t.Logf("%d reloads, %d answers; before and after %d and %d goroutines, %d and %d files, heap of %d and %d KiB",
		reloads, answered.Load(), routines, runtime.NumGoroutine(), files, open(t), heap>>10, heapInUse()>>10)
}

// heapInUse is what is reachable, in bytes.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // what a pool held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// open counts the open files of this process, where that can be seen.
func open(t *testing.T) int {
	t.Helper()
	all, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestServe_saysThatItEnds: after the signal /readyz fails, and clients are told to use their connections no more.
func TestServe_saysThatItEnds(t *testing.T) {
	l := living(t, Local(t.TempDir()), io.Discard)
	if status, _ := askLive(t, l, "GET", "/readyz", ""); status != 200 {
		t.Errorf("before: %d", status)
	}
	server := httptest.NewServer(l)
	defer server.Close()
	closes := func() bool {
		res, err := server.Client().Get(server.URL + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		return res.Body.Close() == nil && res.Close
	}
	if closes() {
		t.Error("before: the connection is closed")
	}
	l.End()
	if !closes() {
		t.Error("after: the connection is kept")
	}
	if status, body := askLive(t, l, "GET", "/readyz", ""); status != 503 || !strings.Contains(body, "the server ends") {
		t.Errorf("after: %d %s", status, body)
	}
}
