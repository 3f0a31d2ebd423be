package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
)

// listener keeps the events of requests.
type listener struct{ events []Event }

type listening struct{}

func (l *listener) Begin(ctx context.Context, h http.Header) (context.Context, string) {
	return context.WithValue(ctx, listening{}, l), h.Get("Traceparent")
}

func (l *listener) End(ctx context.Context, e *Event) {
	if ctx.Value(listening{}) == l {
		l.events = append(l.events, *e)
	}
}

// logged returns the one line that a request writes.
func logged(t *testing.T, s *server, r *http.Request) map[string]any {
	t.Helper()
	var out bytes.Buffer
	s.log = slog.New(slog.NewJSONHandler(&out, nil))
	do(s, r)
	if n := strings.Count(out.String(), "\n"); n != 1 {
		t.Fatalf("%d lines: %s", n, out.String())
	}
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	return line
}

func TestEvent_tellsOfASearch(t *testing.T) {
	var l listener
	s := mustServer(t, Config{Router: newRouter(t, nil), Observer: &l})
	r := newRequest("POST", "/v1/search", `{"collection": "docs", "text": "a", "k": 2, "tenant": "acme"}`)
	r.Header.Set("Traceparent", "its-trace")
	line := logged(t, s, r)
	if len(l.events) != 1 {
		t.Fatalf("%d events", len(l.events))
	}
	e := l.events[0]
	if e.Route != "/v1/search" || e.Status != 200 || e.Class != "ok" || e.Collection != "docs" || e.K != 2 || e.Mode != "dense" || e.Tenant != "acme" ||
		e.Searches != 1 || e.Coverage != 1 || e.Attempts < 2 || len(e.Stages) < 2 || e.Took <= 0 || e.Bytes == 0 {
		t.Errorf("%+v", e)
	}
	stages, _ := line["stages_ms"].(map[string]any)
	if line["trace_id"] != "its-trace" || line["tenant"] != hashed("acme") || line["route"] != "/v1/search" || line["class"] != "ok" || line["k"] != 2.0 ||
		stages["search"] == nil || line["attempts"] == nil {
		t.Errorf("%v", line)
	}
}

func TestEvent_tellsOfABatchAsOne(t *testing.T) {
	var l listener
	s := mustServer(t, Config{Router: newRouter(t, nil), Observer: &l})
	do(s, newRequest("POST", "/v1/search/batch", `{"queries": [{"collection": "docs", "text": "a"}, {"collection": "docs", "text": "b"}, {"collection": "none", "text": "b"}]}`))
	if len(l.events) != 1 || l.events[0].Searches != 3 || l.events[0].Collection != "docs" || len(l.events[0].Stages) < 2 {
		t.Errorf("%+v", l.events)
	}
}

func TestEvent_tellsOfAnAnswer(t *testing.T) {
	for _, stream := range []string{"true", "false"} {
		var l listener
		s := mustServer(t, Config{Router: newRouter(t, &script{lines: []string{"It is ", "one [1]"}}), Observer: &l})
		line := logged(t, s, newRequest("POST", "/v1/answer", `{"collection": "docs", "question": "a?", "stream": `+stream+`}`))
		e := l.events[0]
		if e.Model != "script" || e.Usage.PromptTokens != 20 || e.Usage.CompletionTokens != 2 || e.Searches != 1 || e.Collection != "docs" {
			t.Errorf("stream %s: %+v", stream, e)
		}
		if stages, _ := line["stages_ms"].(map[string]any); stages["generate"] == nil || stages["first_token"] == nil || line["prompt_tokens"] != 20.0 {
			t.Errorf("stream %s: %v", stream, line)
		}
	}
}

func TestEvent_tellsClassesApart(t *testing.T) {
	for want, err := range map[string]error{
		"unavailable": fault.New(fault.Unavailable, "down"),
		"timeout":     context.DeadlineExceeded,
		"cancelled":   context.Canceled,
		"error":       errors.New("a defect"),
		"ok":          nil,
	} {
		var l listener
		s := failing(t, err)
		s.observer = &l
		do(s, newRequest("POST", "/v1/search", anySearch))
		if len(l.events) != 1 || l.events[0].Class != want || !errors.Is(l.events[0].Err, err) {
			t.Errorf("%v: %+v", err, l.events)
		}
	}
}

// TestEvent_namesNoEndpointOfClients: what clients make up is no label and no name.
func TestEvent_namesNoEndpointOfClients(t *testing.T) {
	var l listener
	s := mustServer(t, Config{Router: newRouter(t, nil), Observer: &l})
	do(s, newRequest("BREW", "/v1/made/up", ""))
	if e := l.events[0]; e.Route != "/" || e.Method != "other" || e.Status != 404 || e.Class != "invalid" {
		t.Errorf("%+v", e)
	}
}

func TestLog_namesTenantsAsItShould(t *testing.T) {
	const search = `{"collection": "docs", "text": "a", "tenant": "acme"}`
	for want, f := range map[string]func(string) string{
		hashed("acme"): nil,
		"acme":         func(tenant string) string { return tenant },
		"":             func(string) string { return "" },
	} {
		s := mustServer(t, Config{Router: newRouter(t, nil), LogTenant: f})
		line := logged(t, s, newRequest("POST", "/v1/search", search))
		if got, _ := line["tenant"].(string); got != want {
			t.Errorf("tenant %q, want %q", got, want)
		}
	}
}

// TestLog_holdsNoKeys sends a key wherever a client could.
func TestLog_holdsNoKeys(t *testing.T) {
	const key = "sk-verysecret0123456789"
	var out bytes.Buffer
	s := mustServer(t, Config{Router: newRouter(t, &script{lines: []string{"x"}}), Models: &parrot{}})
	s.log = slog.New(slog.NewJSONHandler(&out, nil))
	fill := strings.NewReplacer("{collection}", key, "{id}", key, "{alias}", key, "{model}", key)
	for _, rt := range append(s.routes(), route{method: "GET", path: "/" + key}) {
		for _, body := range []string{"", `{"` + key + `": 1}`, `{"collection": "` + key + `", "text": "` + key + `", "tenant": "` + key + `", "model": "` + key + `"}`, key} {
			r := newRequest(rt.method, fill.Replace(rt.path)+"?q="+key, body)
			r.Header.Set("Authorization", "Bearer "+key)
			r.Header.Set("X-Api-Key", key)
			r.Header.Set("Content-Type", "application/json; a="+key)
			r.RemoteAddr = "127.0.0.1:4000"
			do(s, r)
		}
	}
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, key) {
			t.Errorf("the log shows the key: %s", line)
		}
	}
	if strings.Count(out.String(), "\n") < 30 {
		t.Errorf("only %s", out.String())
	}
}

func TestRepeats_thinOutFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p repeats
		lines, skipped := 0, 0
		fail := func(route string) {
			n, wanted := p.count(&Event{Start: time.Now(), Route: route, Status: 503, Class: "unavailable"})
			if wanted {
				lines, skipped = lines+1, skipped+n
			}
		}
		for range 1000 {
			fail("/v1/search")
		}
		if lines != repeatFirst+1000/repeatOneOf {
			t.Errorf("%d lines of 1000 failures", lines)
		}
		fail("/v1/answer") // of another kind
		if lines != repeatFirst+1000/repeatOneOf+1 {
			t.Error("another failure was not logged")
		}
		time.Sleep(repeatSpan)
		for range 3 {
			fail("/v1/search")
		}
		if lines != repeatFirst+1000/repeatOneOf+4 || lines-1+skipped != 1003 {
			t.Errorf("%d lines and %d skipped", lines, skipped)
		}
		for range 500 {
			if _, wanted := p.count(&Event{Start: time.Now(), Status: 200}); !wanted {
				t.Fatal("a success is skipped")
			}
		}
	})
}

func TestMetrics_areAnEndpoint(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil), Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "up 1\n") })})
	if w := do(s, newRequest("GET", "/metrics", "")); w.Code != 200 || w.Body.String() != "up 1\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := do(mustServer(t, Config{Router: newRouter(t, nil)}), newRequest("GET", "/metrics", "")); w.Code != 404 {
		t.Errorf("without metrics: %d", w.Code)
	}
}

func TestTopology_showsThePools(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil)})
	do(s, newRequest("POST", "/v1/search", anySearch))
	w := do(s, newRequest("GET", "/v1/topology", ""))
	var got topology
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
		t.Fatalf("%d %v %s", w.Code, err, w.Body)
	}
	if err := s.contract.validate(typeOf[topology](), w.Body.Bytes()); err != nil {
		t.Errorf("breaks the contract: %v", err)
	}
	if len(got.Pools) != 2 || got.Pools[0].Pool != "s0" || got.Pools[0].Calls == 0 || got.Epoch == 0 || len(got.Collections) != 1 || got.Admission.Limit == 0 {
		t.Fatalf("%s", w.Body)
	}
	if m := got.Pools[0].Members; len(m) != 1 || m[0].Name != "r0" || m[0].State != "healthy" || m[0].Good == 0 || m[0].Weight != 1 {
		t.Errorf("%+v", m)
	}
}

// TestEvent_keepsWhatWasFoundBesideAnError: a search with missing shards is partial.
func TestEvent_keepsWhatWasFoundBesideAnError(t *testing.T) {
	var l listener
	s := faked(t, func(context.Context, router.Request) (router.Response, error) {
		var res router.Response
		res.Report.ShardsAsked, res.Report.Coverage = 2, 0.5
		return res, &router.PartialError{Report: res.Report}
	})
	s.observer = &l
	do(s, newRequest("POST", "/v1/search", anySearch))
	if e := l.events[0]; e.Partial != 1 || e.Coverage != 0.5 || e.Class != "partial" {
		t.Errorf("%+v", e)
	}
}
