package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/fault"
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
	g := &script{lines: []string{"It "}, hold: make(chan struct{})}
	r := newRequest("POST", "/v1/answer", `{"collection": "docs", "question": "a?", "stream": true}`)
	r.Header.Set(wire.TimeoutHeader, "50")
	names, data := eventsOf(t, do(mustServer(t, Config{Router: newRouter(t, g)}), r).Body.String())
	if last := len(names) - 1; names[last] != "error" || !strings.Contains(data[last], `"status":504`) {
		t.Errorf("events %v: %v", names, data)
	}
}
