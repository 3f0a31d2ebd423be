package config

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// engine is a model server that shows what it runs as vLLM does. Where it frees, it
// stops with its client; else it goes on until quit.
func engine(t *testing.T, frees bool) string {
	t.Helper()
	var running atomic.Int64
	quit := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{model_name=\"m\"} %d\n", running.Load())
	})
	mux.HandleFunc("/v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		running.Add(1)
		defer running.Add(-1)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, `data: {"choices": [{"index": 0, "delta": {"content": "one"}}]}`+"\n\n")
		_ = http.NewResponseController(w).Flush()
		if frees {
			select {
			case <-r.Context().Done():
			case <-quit:
			}
			return
		}
		<-quit
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(quit) }) // before the server waits for its calls
	return server.URL
}

func TestMetrics_showWhatBecomesOfCancelledCalls(t *testing.T) {
	for _, frees := range []bool{true, false} {
		t.Run(fmt.Sprint(frees), func(t *testing.T) {
			var log locked
			url := engine(t, frees)
			s := newSystem(&Config{}, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			_, err := s.openGenerator(LLM{Upstreams: []LLMUpstream{
				{Name: "vllm", Kind: kindOpenAI, URL: url + "/v1", Model: "m", Metrics: url + "/metrics"},
				{Name: "billed", Kind: kindOpenAI, URL: "http://127.0.0.1:1/v1", Model: "m"},
			}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			lane := s.generators["m"]
			eventually(t, "a measurement", func() bool { return lane.Snapshot().Members[0].Measured })
			if m := lane.Snapshot().Members; m[0].Aborts != frees || m[1].Aborts || m[1].Measured {
				t.Errorf("%+v, want one that was measured as %v and one that was left alone", m, frees)
			}
			shut(t, s)
		})
	}
}

func TestMetrics_thatCannotBeReadLeaveTheDeclaration(t *testing.T) {
	var log locked
	s := newSystem(&Config{}, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	_, err := s.openGenerator(LLM{Upstreams: []LLMUpstream{
		{Name: "gone", Kind: kindOpenAI, URL: "http://127.0.0.1:1/v1", Model: "m", Metrics: "http://127.0.0.1:1/metrics"},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a word in the log", func() bool { return len(log.String()) > 0 })
	if m := s.generators["m"].Snapshot().Members[0]; m.Measured || m.Aborts {
		t.Errorf("%+v: nothing was measured", m)
	}
	begun := time.Now()
	shut(t, s)
	if took := time.Since(begun); took > measureEvery/2 {
		t.Errorf("the next try was waited for: %v", took)
	}
}

func TestMetrics_contradictionsAreNamed(t *testing.T) {
	const head = "shards: [{name: s0, replicas: [{path: s0}]}]\nllm: {upstreams: [{"
	for text, want := range map[string]string{
		`kind: openai, url: "http://a/v1", model: m, aborts: true, metrics: "http://a/metrics"}]}`:                  "llm.upstreams[0].metrics: contradicts aborts",
		`kind: openai, url: "http://a/v1", model: m, quota: {tokens_per_minute: 5}, metrics: "http://a/metrics"}]}`: "llm.upstreams[0].metrics: contradicts quota",
		`kind: openai, url: "http://a/v1", model: m, metrics: metrics}]}`:                                           "llm.upstreams[0].metrics: \"metrics\" is not a URL",
		`kind: extract, metrics: "http://a/metrics"}]}`:                                                             "llm.upstreams[0].metrics: has no meaning",
	} {
		refuses(t, head+text, want)
	}
}
