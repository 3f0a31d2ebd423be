package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

// TestStatus_everyClass goes through a handler with an error of each class.
func TestStatus_everyClass(t *testing.T) {
	down := fault.New(fault.Unavailable, "down")
	partial := &router.PartialError{
		Report: search.Report{ShardsAsked: 2, ShardsAnswered: 1, Missing: []search.Missing{{Shard: "s1", Reason: search.Failed}}},
		Shards: []*router.ShardError{{Shard: "s1", Reason: search.Failed, Err: fault.New(fault.Invalid, "odd")}},
	}
	for name, c := range map[string]struct {
		err        error
		status     int
		class      string
		retryAfter string
	}{
		"invalid":                     {fault.BadField("/k", "bad"), 400, "invalid", ""},
		"unauthorized":                {fault.New(fault.Unauthorized, "who"), 401, "unauthorized", ""},
		"forbidden":                   {fault.New(fault.Forbidden, "no"), 403, "forbidden", ""},
		"not found":                   {fault.New(fault.NotFound, "none"), 404, "not_found", ""},
		"conflict":                    {fault.New(fault.Conflict, "else"), 409, "conflict", ""},
		"overloaded":                  {fault.Busy(1500*time.Millisecond, "full"), 429, "overloaded", "2"},
		"refused":                     {fault.New(fault.Refused, "their key"), 502, "refused", ""},
		"unavailable":                 {down, 503, "unavailable", ""},
		"unavailable, with a wait":    {&fault.Error{Class: fault.Unavailable, RetryAfter: time.Second}, 503, "unavailable", "1"},
		"deadline":                    {context.DeadlineExceeded, 504, "timeout", ""},
		"deadline inside unavailable": {fault.Wrap(fault.Unavailable, "ask", context.DeadlineExceeded), 504, "unavailable", ""},
		"partial, over what it wraps": {partial, 503, "partial", ""},
		"joined, the bad query wins":  {errors.Join(down, fault.BadField("/k", "bad")), 400, "invalid", ""},
		"wrapped":                     {fmt.Errorf("search: %w", fault.New(fault.NotFound, "none")), 404, "not_found", ""},
		"write without all replicas":  {&router.WriteError{Points: map[string][]string{"a": {"s0/r1"}}}, 503, "unavailable", ""},
		"cancelled by the server":     {context.Canceled, 503, "", ""},
		"a defect":                    {errors.New("secret dsn"), 500, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := do(failing(t, c.err), newRequest("POST", "/v1/search", anySearch))
			var p wire.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatal(err)
			}
			if w.Code != c.status || p.Status != c.status || p.Class != c.class || w.Header().Get("Retry-After") != c.retryAfter {
				t.Errorf("%d %+v, Retry-After %q", w.Code, p, w.Header().Get("Retry-After"))
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type %q", got)
			}
			if c.status == 500 && strings.Contains(w.Body.String(), "secret") {
				t.Errorf("the defect's text went out: %s", w.Body)
			}
			if c.class == "partial" && (p.Report == nil || len(p.Report.Missing) != 1) {
				t.Errorf("no report: %s", w.Body)
			}
			if name == "write without all replicas" && len(p.Replicas["a"]) != 1 {
				t.Errorf("no replicas: %s", w.Body)
			}
			if name == "invalid" && p.Field != "/k" {
				t.Errorf("field %q", p.Field)
			}
		})
	}
}

// TestStatus_tableIsComplete: a class that fault gets later needs a row here.
func TestStatus_tableIsComplete(t *testing.T) {
	for _, class := range []fault.Class{
		fault.Invalid, fault.Unauthorized, fault.Forbidden, fault.NotFound, fault.Conflict,
		fault.Overloaded, fault.Refused, fault.Unavailable, fault.Partial,
	} {
		if got := classify(fault.New(class, "x")); got == http.StatusInternalServerError {
			t.Errorf("%s has no status", class)
		}
	}
}

func TestPanic_becomes500WithoutItsStack(t *testing.T) {
	var log bytes.Buffer
	s := faked(t, func(context.Context, router.Request) (router.Response, error) { panic("boom secret") })
	s.log = slog.New(slog.NewJSONHandler(&log, nil))
	w := do(s, newRequest("POST", "/v1/search", anySearch))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "boom") || strings.Contains(w.Body.String(), ".go:") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "boom secret") || !strings.Contains(log.String(), "problem_test.go") {
		t.Errorf("the log has no stack: %s", log.String())
	}
}

// TestPanic_afterTheFirstByte cuts the connection, so that half an answer is
// not taken for a whole one.
func TestPanic_afterTheFirstByte(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil)})
	s.mux.Handle("GET /half", s.serve(route{path: "/half", handle: func(w *recorder, _ *http.Request) error {
		_, _ = w.Write([]byte("half"))
		panic("boom")
	}}))
	defer func() {
		if cause, _ := recover().(error); !errors.Is(cause, http.ErrAbortHandler) {
			t.Errorf("recovered %v, want http.ErrAbortHandler", cause)
		}
	}()
	do(s, newRequest("GET", "/half", ""))
}

func TestClientGone_isLoggedAndNotAnswered(t *testing.T) {
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	s := faked(t, func(ctx context.Context, _ router.Request) (router.Response, error) {
		cancel()
		return router.Response{}, ctx.Err()
	})
	s.log = slog.New(slog.NewJSONHandler(&log, nil))
	w := do(s, newRequest("POST", "/v1/search", anySearch).WithContext(ctx))
	if w.Code != statusClientGone || w.Body.Len() != 0 || !strings.Contains(log.String(), `"status":499`) {
		t.Errorf("answer %d %q, log %s", w.Code, w.Body, log.String())
	}
}

func TestUnknown_is404Or405(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil)})
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"POST", "/", 405, "GET"},
		{"GET", "/v1/nothing", 404, ""},
		{"GET", "/v1/search", 405, "POST"},
		{"PATCH", "/v1/collections/docs", 405, "GET, PUT, DELETE"},
		{"POST", "/healthz", 405, "GET"},
		{"POST", "/v1/replica/search", 404, ""}, // this server has no store
	} {
		w := do(s, newRequest(c.method, c.path, ""))
		if w.Code != c.status || w.Header().Get("Allow") != c.allow || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d, Allow %q: %s", c.method, c.path, w.Code, w.Header().Get("Allow"), w.Body)
		}
	}
}

func TestNew_namesWhatIsWrong(t *testing.T) {
	_, err := New(Config{MaxBody: -1, Keys: []string{"a", ""}})
	for _, want := range []string{"router or store", "max_body", "keys[1]"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %q", err, want)
		}
	}
}

func TestReady_failsAndRecovers(t *testing.T) {
	var err error
	s := mustServer(t, Config{Router: newRouter(t, nil), Ready: func(context.Context) error { return err }})
	if w := do(s, newRequest("GET", "/readyz", "")); w.Code != 200 {
		t.Errorf("ready: %d", w.Code)
	}
	err = fault.New(fault.Unavailable, "going down")
	if w := do(s, newRequest("GET", "/readyz", "")); w.Code != 503 || !strings.Contains(w.Body.String(), "going down") {
		t.Errorf("not ready: %d %s", w.Code, w.Body)
	}
	if w := do(s, httptest.NewRequest("GET", "/healthz", nil)); w.Code != 200 || w.Body.String() != "ok\n" {
		t.Errorf("health: %d %s", w.Code, w.Body)
	}
}

// Who asks for what the configuration does not have is told what is missing, as clients of that API read it.
func TestUnknown_saysWhatTheConfigurationLacks(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil)})
	for path, want := range map[string]string{
		"/v1/chat/completions": `{"error":{"message":"there is no /v1/chat/completions here: the configuration has no llm upstream of kind openai"`,
		"/v1/embeddings":       `{"error":{"message":"there is no /v1/embeddings here: the configuration has no embed upstream"`,
		"/v1/nothing":          `"detail":"there is no /v1/nothing here; /docs lists the endpoints"`,
	} {
		if w := do(s, newRequest("POST", path, `{}`)); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestWelcome_showsThePage(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil)})
	if w := do(s, newRequest("GET", "/", "")); w.Code != http.StatusFound || w.Header().Get("Location") != "ui/" {
		t.Errorf("GET /: %d to %q", w.Code, w.Header().Get("Location"))
	}
}
