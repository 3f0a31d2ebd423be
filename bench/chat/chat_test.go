package chat_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/chat"
	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// body is what the fake engine was asked.
type body struct {
	Model     string `json:"model"`
	Stream    bool   `json:"stream"`
	MaxTokens int    `json:"max_tokens"`
	Messages  []struct {
		Role, Content string
	} `json:"messages"`
}

// engine is a fake of a model server: it answers with three tokens, a pause before each of them.
type engine struct {
	pause time.Duration
	fail  int // status; 0: it answers

	mu    sync.Mutex
	asked []body
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var b body
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil || r.URL.Path != "/v1/chat/completions" {
		http.Error(w, "bad", http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	e.asked = append(e.asked, b)
	e.mu.Unlock()
	const usage = `{"prompt_tokens": 100, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 80}}`
	switch {
	case e.fail != 0:
		w.WriteHeader(e.fail)
	case !b.Stream:
		<-time.After(3 * e.pause)
		fmt.Fprintf(w, `{"choices": [{"message": {"content": "a b c"}, "finish_reason": "stop"}], "usage": %s}`, usage)
	default:
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			<-time.After(e.pause)
			fmt.Fprintf(w, "data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": \"%d \"}}]}\n\n", i)
			_ = http.NewResponseController(w).Flush()
		}
		fmt.Fprintf(w, "data: {\"choices\": [{\"index\": 0, \"delta\": {}, \"finish_reason\": \"stop\"}], \"usage\": %s}\n\ndata: [DONE]\n\n", usage)
	}
}

func start(t *testing.T, e *engine) chat.Target {
	t.Helper()
	s := httptest.NewServer(e)
	t.Cleanup(s.Close)
	return chat.Target{URL: s.URL}
}

func load() bench.Load { return bench.Load{Rate: 50, Constant: true, Duration: 500 * time.Millisecond} }

func TestRun_streamed(t *testing.T) {
	e := &engine{pause: 10 * time.Millisecond}
	r, err := chat.Workload{Model: "m", Prompt: 50, Sigma: 1, Prefix: 30, Shared: 4, Output: 7}.Run(t.Context(), load(), start(t, e))
	if err != nil || r.Failed() > 0 || r.Latency.Count() == 0 {
		t.Fatalf("%d answers, %v, %v", r.Latency.Count(), r.Errors, err)
	}
	if r.Tokens != 3*r.Calls() || r.Cached*100 != r.Prompt*80 {
		t.Errorf("%d tokens of %d calls, %d of %d cached", r.Tokens, r.Calls(), r.Cached, r.Prompt)
	}
	// The engine pauses three times before an answer's end, once before its begin and twice in between: at least.
	// In between it is less where the first token is read late.
	if r.First.Quantile(0.01) < 10*time.Millisecond || r.Between.Max() < 9*time.Millisecond || r.Latency.Quantile(0.01) < 30*time.Millisecond {
		t.Errorf("first %s, between %s, whole %s", r.First.Quantile(0.01), r.Between.Max(), r.Latency.Quantile(0.01))
	}
	if g := r.Goodput(time.Minute).Median(); g <= 0 || r.Goodput(time.Nanosecond).Median() != 0 {
		t.Errorf("goodput %g", g)
	}
	beginnings, lengths := map[string]bool{}, map[int]bool{}
	for _, b := range e.asked {
		if len(b.Messages) != 2 || b.Messages[0].Role != "system" || b.MaxTokens != 7 || b.Model != "m" {
			t.Fatalf("asked %+v", b)
		}
		beginnings[b.Messages[0].Content] = true
		lengths[len(strings.Fields(b.Messages[1].Content))] = true
	}
	if len(beginnings) < 2 || len(beginnings) > 4 || len(lengths) < 5 {
		t.Errorf("%d shared beginnings and %d lengths of questions", len(beginnings), len(lengths))
	}
}

func TestRun_whole(t *testing.T) {
	e := &engine{pause: time.Millisecond}
	r, err := chat.Workload{Model: "m", Whole: true}.Run(t.Context(), load(), start(t, e))
	if err != nil || r.Failed() > 0 || r.Tokens != 3*r.Calls() || r.First.Count() != 0 || len(e.asked) == 0 || e.asked[0].Stream {
		t.Errorf("%d tokens, errors %v, %v", r.Tokens, r.Errors, err)
	}
}

func TestRun_errors(t *testing.T) {
	for status, class := range map[int]string{429: "overloaded", 500: "unavailable", 401: "refused"} {
		for _, whole := range []bool{true, false} {
			r, err := chat.Workload{Model: "m", Whole: whole}.Run(t.Context(), load(), start(t, &engine{fail: status}))
			if err != nil || r.Latency.Count() != 0 || r.Errors[class] == 0 {
				t.Errorf("%d: %v, %v", status, r.Errors, err)
			}
		}
	}
	r, err := chat.Workload{Model: "m", Timeout: time.Millisecond}.Run(t.Context(), load(), start(t, &engine{pause: 50 * time.Millisecond}))
	if err != nil || r.Errors["timeout"] != r.Calls() {
		t.Errorf("timeouts: %v of %d, %v", r.Errors, r.Calls(), err)
	}
}

func TestRun_refuses(t *testing.T) {
	for field, w := range map[string]chat.Workload{
		"/model": {}, "/prompt": {Model: "m", Prefix: -1}, "/sigma": {Model: "m", Sigma: 9},
	} {
		if err := w.Try(t.Context(), chat.Target{URL: "http://127.0.0.1:1"}); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := (chat.Workload{Model: "m"}).Try(t.Context(), chat.Target{URL: "http://127.0.0.1:1"}); !errors.Is(err, fault.Unavailable) {
		t.Errorf("nobody listens: %v", err)
	}
}

func ExampleWorkload() {
	engine := httptest.NewServer(&engine{})
	defer engine.Close()
	w := chat.Workload{Model: "any", Prefix: 100, Shared: 10}
	fmt.Println(w.Try(context.Background(), chat.Target{URL: engine.URL}))
	// Output: <nil>
}
