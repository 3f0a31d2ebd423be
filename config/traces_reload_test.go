package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A request that is under way when another configuration takes its place, and its lane with it, ends with all of its spans; and so
// does one after that.
func TestTraces_acrossAReload(t *testing.T) {
	collector := newCollector(t)
	arrived, released := make(chan struct{}, 1), make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if bytes.Contains(body, []byte("hold this")) {
			arrived <- struct{}{}
			<-released
		}
		var b struct{ Input []string }
		_ = json.Unmarshal(body, &b)
		rows := make([]string, len(b.Input))
		for i := range rows {
			rows[i] = fmt.Sprintf(`{"index": %d, "embedding": [1, 2]}`, i)
		}
		_, _ = io.WriteString(w, `{"data": [`+strings.Join(rows, ",")+`], "usage": {"prompt_tokens": 5}}`)
	}))
	t.Cleanup(web.Close)
	dir := t.TempDir()
	c := func(cache Size) *Config {
		c := Local(dir)
		c.Embed = Embed{Cache: cache, Upstreams: []EmbedUpstream{{Name: "e", Kind: kindOpenAI, URL: web.URL, Model: "m", Dims: 2}}}
		c.Traces.Endpoint, c.Timeouts.Search, c.Hedge.Off = collector.URL, 60e9, true
		return c
	}
	l, err := c(1<<20).Live(t.Context(), Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	remember(t, l.System().Router)
	ask := func(trace, text string) int {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://127.0.0.1/v1/search", strings.NewReader(`{"collection": "c", "mode": "dense", "text": "`+text+`"}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
		w := httptest.NewRecorder()
		l.ServeHTTP(w, r)
		return w.Code
	}
	during, later := strings.Repeat("1a", 16), strings.Repeat("2b", 16)
	ended := make(chan int, 1)
	go func() { ended <- ask(during, "hold this") }()
	<-arrived
	if err := l.Reload(t.Context(), c(2<<20)); err != nil {
		t.Fatal(err)
	}
	if status := ask(later, "and that"); status != 200 {
		t.Errorf("after the reload: %d", status)
	}
	close(released)
	if status := <-ended; status != 200 {
		t.Errorf("across the reload: %d", status)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want := drawn(collector.of(later), "00f067aa0ba902b7", "")
	if got := drawn(collector.of(during), "00f067aa0ba902b7", ""); got != want || !strings.Contains(got, "embed") {
		t.Errorf("across the reload:\n%s\nafter it:\n%s", got, want)
	}
}
