package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/models"
	"github.com/lanewise/lanewise/search/wire"
)

// eventsOf cuts a stream into its events.
func eventsOf(t *testing.T, body string) (names []string, data []string) {
	t.Helper()
	for block := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		name, rest, ok := strings.Cut(block, "\n")
		if !ok || !strings.HasPrefix(name, "event: ") || !strings.HasPrefix(rest, "data: ") || strings.Contains(rest, "\n") {
			t.Fatalf("not an event: %q", block)
		}
		names, data = append(names, name[len("event: "):]), append(data, rest[len("data: "):])
	}
	return names, data
}

func TestAnswer_streamEndsWithAnErrorEvent(t *testing.T) {
	g := &script{lines: []string{"It is "}, err: fault.New(fault.Unavailable, "upstream died"), closed: make(chan struct{})}
	s := mustServer(t, Config{Router: newRouter(t, g)})
	w := do(s, newRequest("POST", "/v1/answer", `{"collection": "docs", "question": "a?", "stream": true}`))
	names, data := eventsOf(t, w.Body.String())
	if got := strings.Join(names, " "); w.Code != 200 || got != "sources delta error" {
		t.Fatalf("%d, events %s", w.Code, got)
	}
	var p wire.Problem
	if err := json.Unmarshal([]byte(data[2]), &p); err != nil || p.Status != 503 || p.Class != "unavailable" {
		t.Errorf("problem %+v, %v", p, err)
	}
	<-g.closed
}

func TestAnswer_errorBeforeTheFirstWordIsAStatus(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil)}) // no generator
	for _, stream := range []string{"true", "false"} {
		w := do(s, newRequest("POST", "/v1/answer", `{"collection": "docs", "question": "a?", "stream": `+stream+`}`))
		if w.Code != http.StatusBadRequest || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("stream %s: %d %s", stream, w.Code, w.Body)
		}
	}
}

func TestAnswer_wholeAnswerFailsAsAWhole(t *testing.T) {
	g := &script{lines: []string{"It is "}, err: fault.New(fault.Unavailable, "upstream died")}
	s := mustServer(t, Config{Router: newRouter(t, g)})
	if w := do(s, newRequest("POST", "/v1/answer", `{"collection": "docs", "question": "a?"}`)); w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestAnswer_sourcesArriveBeforeTheWords goes over a real socket: the model
// holds its answer back until the client has the sources and has left. The
// stream is closed then, or the test does not end.
func TestAnswer_sourcesArriveBeforeTheWords(t *testing.T) {
	g := &script{hold: make(chan struct{}), closed: make(chan struct{})}
	server := httptest.NewServer(mustServer(t, Config{Router: newRouter(t, g)}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", server.URL+"/v1/answer",
		strings.NewReader(`{"collection": "docs", "question": "a?", "stream": true}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	if err != nil || line != "event: sources\n" {
		t.Fatalf("first line %q, %v", line, err)
	}
	<-g.hold
	cancel()
	<-g.closed
	http.DefaultClient.CloseIdleConnections()
}

// TestAnswer_deadlineEndsTheStream: a client that states its patience gets an
// event when it is over, not a silent end.
func TestAnswer_deadlineEndsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where a busy machine does not use the time up
		g := &script{lines: []string{"It "}, hold: make(chan struct{})}
		r := newRequest("POST", "/v1/answer", `{"collection": "docs", "question": "a?", "stream": true}`)
		r.Header.Set(wire.TimeoutHeader, "50")
		names, data := eventsOf(t, do(mustServer(t, Config{Router: newRouter(t, g)}), r).Body.String())
		if last := len(names) - 1; names[last] != "error" || !strings.Contains(data[last], `"status":504`) {
			t.Errorf("events %v: %v", names, data)
		}
	})
}

// refusing is a model that cannot answer.
type refusing struct{ err error }

func (r refusing) Generate(context.Context, llm.Prompt) (llm.Stream, error) { return nil, r.err }

// chosen makes a set of two models: one that is down, and "small", which stands in
// for it and has room for one passage.
func chosen(t *testing.T, g llm.Provider) *models.Set {
	t.Helper()
	lane, err := llm.New(llm.Config{Upstreams: []llm.Upstream{{Name: "gpu-1", Provider: g, Model: "m-7b"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lane.Close(); err != nil {
			t.Error(err)
		}
	})
	set, err := models.New(models.Config{Models: []models.Model{
		{Name: "large", Provider: refusing{fault.New(fault.Unavailable, "down")}, Fallbacks: []models.Fallback{{Model: "small"}}},
		{Name: "small", Provider: lane, Window: llm.Window{Context: 220, Output: 50}, Price: llm.Price{Prompt: 1, Completion: 2}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

var shardAttempt = regexp.MustCompile(`\{"lane":"shards"[^}]*\},`)

// TestGolden_explainedAnswer shows every field that an answer can fill.
func TestGolden_explainedAnswer(t *testing.T) {
	g := &script{lines: []string{"It is one [1],", " not [2] or [9]."}}
	s := mustServer(t, Config{Router: newRouter(t, chosen(t, g))})
	w := do(s, newRequest("POST", "/v1/answer", `{"collection": "docs", "question": "a?", "k": 3, "explain": true, "max_tokens": 100, "context_order": "stable",
		"turns": [{"role": "user", "content": "aa"}, {"role": "assistant", "content": "`+strings.Repeat("long ", 100)+`"}]}`))
	if n := len(shardAttempt.FindAll(w.Body.Bytes(), -1)); n != 2 {
		t.Errorf("%d attempts on shards", n)
	}
	w.Body = bytes.NewBuffer(shardAttempt.ReplaceAll(w.Body.Bytes(), nil)) // they end in any order
	golden(t, "explained-answer", w)
	for name, want := range map[string]string{headerUpstream: "gpu-1", headerModel: "small", headerWhy: "affinity", headerAttempts: "1", headerCost: "0.000024"} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestAnswer_passesEveryFieldOn: what the body says is what the model is asked.
func TestAnswer_passesEveryFieldOn(t *testing.T) {
	seen := &noting{}
	s := mustServer(t, Config{Router: newRouter(t, seen)})
	r := newRequest("POST", "/v1/answer", `{"collection": "docs", "question": "a?", "model": "m", "max_tokens": 7, "context_order": "stable",
		"prompt": "default", "turns": [{"role": "user", "content": "aa"}]}`)
	r.Header.Set(headerSession, "from the header")
	if w := do(s, r); w.Code != 200 || seen.prompt.Session != "from the header" {
		t.Errorf("%d %s: %+v", w.Code, w.Body, seen.prompt)
	}
	do(s, newRequest("POST", "/v1/answer", `{"collection": "docs", "question": "a?", "session": "s", "model": "m", "max_tokens": 7}`))
	if p := seen.prompt; p.Session != "s" || p.Model != "m" || p.MaxTokens != 7 || p.Question != "a?" {
		t.Errorf("prompt %+v", p)
	}
	for body, field := range map[string]string{
		`"max_tokens": -1`:             "/max_tokens",
		`"context_order": "random"`:    "/context_order",
		`"prompt": "none"`:             "/prompt",
		`"turns": [{"role": "model"}]`: "/turns/0/role",
	} {
		w := do(s, newRequest("POST", "/v1/answer", `{"collection": "docs", "question": "a?", `+body+`}`))
		var p wire.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 400 || p.Field != field {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}

// noting is a model that notes what it is asked.
type noting struct {
	script
	prompt llm.Prompt
}

func (n *noting) Generate(ctx context.Context, p llm.Prompt) (llm.Stream, error) {
	n.prompt = p
	n.lines = []string{"so"}
	return n.script.Generate(ctx, p)
}

// TestAnswer_aModelThatFailsAtOnceIsAnEvent: the sources are out by then.
func TestAnswer_aModelThatFailsAtOnceIsAnEvent(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, refusing{fault.Busy(time.Second, "full")})})
	w := do(s, newRequest("POST", "/v1/answer", `{"collection": "docs", "question": "a?", "stream": true}`))
	names, data := eventsOf(t, w.Body.String())
	if got := strings.Join(names, " "); got != "sources error" || !strings.Contains(data[1], `"status":503`) && !strings.Contains(data[1], `"status":429`) {
		t.Errorf("events %s: %s", got, data)
	}
	if w := do(s, newRequest("POST", "/v1/answer", `{"collection": "docs", "question": "a?"}`)); w.Code < 400 || w.Header().Get("Retry-After") == "" {
		t.Errorf("whole: %d %s", w.Code, w.Body)
	}
}

// The sources of a streamed answer are told as a search tells them.
func TestAnswer_streamNamesTheLegs(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, &script{lines: []string{"It is."}})})
	w := do(s, newRequest("POST", "/v1/answer", `{"collection": "docs", "question": "bab", "explain": true, "stream": true}`))
	_, data := eventsOf(t, w.Body.String())
	var sources wire.SearchResponse
	if err := json.Unmarshal([]byte(data[0]), &sources); err != nil || len(sources.Hits) == 0 {
		t.Fatalf("%v, sources %s", err, data[0])
	}
	for _, h := range sources.Hits {
		for leg := range h.Legs {
			if leg != "dense" && leg != "lexical" {
				t.Errorf("hit %s has a leg %q", h.ID, leg)
			}
		}
	}
}
