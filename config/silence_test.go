package config

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestTimeouts_ofStreams: the times that a file gives to streams are those of its lanes. The engine would be
// silent for longer than the test may take.
func TestTimeouts_ofStreams(t *testing.T) {
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) //nolint:errcheck // the engine's own business
		if strings.Contains(string(body), "begin") {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, `data: {"choices": [{"index": 0, "delta": {"content": "so far"}}]}`+"\n\n")
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	}))
	t.Cleanup(engine.Close)
	const upstream = `
llm:
  upstreams:
    - {name: a, kind: openai, url: "`
	file := upstream + engine.URL + `", model: m}
timeouts: `
	call := func(times, text string) answered {
		url := serverOf(t, file+times+"\n", Options{})
		return post(t, url+"/v1/chat/completions", "", `{"model": "m", "stream": true, "messages": [{"role": "user", "content": "`+text+`"}]}`)
	}
	if got := call("{first_content: 50ms}", "wait"); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "silent for too long") {
		t.Errorf("before the first content: %d %s", got.status, got.body)
	}
	if got := call("{silence: 50ms}", "begin"); got.status != http.StatusOK || !strings.Contains(got.body, "so far") || !strings.Contains(got.body, "silent for too long") {
		t.Errorf("behind it: %d %s", got.status, got.body)
	}
}
