package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm/relay"
)

// parrot answers every call with the same words, and keeps the last call.
type parrot struct {
	err    error // instead of an answer
	body   string
	usage  *relay.Usage
	events []relay.Event
	ends   error // behind the events; nil: io.EOF
	last   relay.Call
	closed bool
	next   int
}

func (p *parrot) Names() []string { return []string{"fast", "alias/of-it"} }

func (p *parrot) Relay(_ context.Context, c *relay.Call) (*relay.Reply, error) {
	p.last = *c
	route := relay.Route{Upstream: "gpu-0", Chosen: "fast", Why: "load", Attempts: 2, Queued: 1500 * time.Microsecond, First: 25 * time.Millisecond}
	switch {
	case p.err != nil:
		return nil, p.err
	case c.Stream:
		return &relay.Reply{Stream: p, Route: route}, nil
	}
	return &relay.Reply{Body: []byte(cmp.Or(p.body, `{"choices":[]}`)), Usage: p.usage, Route: route}, nil
}

func (p *parrot) Next() (relay.Event, error) {
	if p.next < len(p.events) {
		p.next++
		return p.events[p.next-1], nil
	}
	if p.ends != nil {
		return relay.Event{}, p.ends
	}
	return relay.Event{}, io.EOF
}

func (p *parrot) Close() error {
	p.closed = true
	return nil
}

const anyChat = `{"model":"fast","messages":[{"role":"user","content":"hi"}]}`

func streamed(body string) string { return `{"stream":true,` + body[1:] }

func TestRelay_whole(t *testing.T) {
	p := &parrot{body: `{"id": "x",  "choices":[], "usage":{"prompt_tokens":9} }`, usage: &relay.Usage{PromptTokens: 9, CachedTokens: 4}}
	w := do(mustServer(t, Config{Store: newStore(t), Models: p}), newRequest("POST", "/v1/chat/completions", anyChat))
	if w.Code != http.StatusOK || w.Body.String() != p.body {
		t.Errorf("%d %s, want the upstream's bytes", w.Code, w.Body)
	}
	got := map[string]string{}
	for name, values := range w.Header() {
		if strings.HasPrefix(name, "X-Lanewise-") {
			got[name] = values[0]
		}
	}
	want := map[string]string{
		headerUpstream: "gpu-0", headerModel: "fast", headerWhy: "load", headerAttempts: "2", headerQueued: "1.5", headerFirst: "25", headerCached: "4",
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestRelay_cost holds that a cost which is known stands in the usage, and that
// nothing else of an answer is changed for it.
func TestRelay_cost(t *testing.T) {
	const bill = `{"choices":[],"usage":{"prompt_tokens":9}}`
	look, _ := relay.LookAt([]byte(bill))
	look.Usage.Cost = 0.0125
	p := &parrot{body: `{ "usage": {}, "x":1.0}`, usage: &relay.Usage{Cost: 2}, events: []relay.Event{{Raw: []byte("data: " + bill + "\n\n"), Data: []byte(bill), Look: look}}}
	s := mustServer(t, Config{Store: newStore(t), Models: p})
	w := do(s, newRequest("POST", "/v1/chat/completions", anyChat))
	if want := `{ "usage": {"cost":2}, "x":1.0}`; w.Body.String() != want || w.Header().Get(headerCost) != "2" {
		t.Errorf("%s, cost %s, want %s", w.Body, w.Header().Get(headerCost), want)
	}
	w = do(s, newRequest("POST", "/v1/chat/completions", streamed(anyChat)))
	if want := "data: {\"choices\":[],\"usage\":{\"cost\":0.0125,\"prompt_tokens\":9}}\n\n"; w.Body.String() != want {
		t.Errorf("%s, want %s", w.Body, want)
	}
}

// TestRelay_stream holds what a client reads of a stream, however that ends.
func TestRelay_stream(t *testing.T) {
	event := func(text string) relay.Event { return relay.Event{Raw: []byte(text)} }
	for _, c := range []struct {
		name string
		ends error
		want string
	}{
		{"whole", nil, "data: a\n\n: ping\n\n"},
		{"breaks off", fault.New(fault.Unavailable, "gone"), "data: a\n\n: ping\n\n" + `data: {"error":{"message":"gone","type":"server_error","param":null,"code":"unavailable"}}` + "\n\n"},
		{"too much", fault.Busy(time.Second, "full"), "data: a\n\n: ping\n\n" + `data: {"error":{"message":"full","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}` + "\n\n"},
	} {
		p := &parrot{events: []relay.Event{event("data: a\n\n"), event(": ping\n\n")}, ends: c.ends}
		w := do(mustServer(t, Config{Store: newStore(t), Models: p}), newRequest("POST", "/v1/chat/completions", streamed(anyChat)))
		if w.Code != http.StatusOK || w.Body.String() != c.want || w.Header().Get("Content-Type") != "text/event-stream; charset=utf-8" {
			t.Errorf("%s: %d %s, want %s", c.name, w.Code, w.Body, c.want)
		}
		if !w.Flushed || !p.closed {
			t.Errorf("%s: flushed %v, closed %v", c.name, w.Flushed, p.closed)
		}
	}
}

// TestRelay_errors holds what clients of OpenAI's API read of an error.
func TestRelay_errors(t *testing.T) {
	for _, c := range []struct {
		err    error
		body   string
		status int
		says   string
		retry  string
	}{
		{nil, `{"model":"x"}`, 400, `"type":"invalid_request_error","param":"messages","code":"invalid"`, ""},
		{nil, `nothing`, 400, `"param":null`, ""},
		{&fault.WindowError{Limit: 8, Message: "too long"}, anyChat, 400, `"code":"context_length_exceeded"`, ""},
		{&fault.Error{Class: fault.Invalid, Code: "invalid_value", Message: "no"}, anyChat, 400, `"code":"invalid_value"`, ""},
		{&fault.Error{Class: fault.NotFound, Field: "/model", Message: "no"}, anyChat, 404, `"param":"model","code":"model_not_found"`, ""},
		{&fault.Error{Class: fault.Overloaded, Code: "tokens", RetryAfter: 1200 * time.Millisecond}, anyChat, 429, `"code":"rate_limit_exceeded"`, "2"},
		{&fault.Error{Class: fault.Refused, Code: "invalid_api_key", Message: "no"}, anyChat, 502, `"code":"refused"`, ""},
		{fault.New(fault.Unavailable, "down"), anyChat, 503, `"type":"server_error"`, ""},
		{context.DeadlineExceeded, anyChat, 504, `"type":"server_error"`, ""},
		{errors.New("a defect"), anyChat, 500, `"code":null`, ""},
	} {
		w := do(mustServer(t, Config{Store: newStore(t), Models: &parrot{err: c.err}}), newRequest("POST", "/v1/chat/completions", c.body))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) || w.Header().Get("Retry-After") != c.retry || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%v: %d %s, retry after %q; want %d %s, %q", c.err, w.Code, w.Body, w.Header().Get("Retry-After"), c.status, c.says, c.retry)
		}
	}
}

// TestRelay_reads holds what a call has of its request's headers.
func TestRelay_reads(t *testing.T) {
	p := &parrot{}
	s := mustServer(t, Config{Store: newStore(t), Models: p})
	r := newRequest("POST", "/v1/completions", `{"prompt":"x","prompt_cache_key":"k"}`)
	r.Header.Set(headerTenant, "acme")
	r.Header.Set(headerResume, "true")
	if w := do(s, r); w.Code != http.StatusOK || p.last.Tenant != "acme" || !p.last.Resume || p.last.Session != "k" || p.last.Endpoint != relay.Text {
		t.Errorf("%d, %+v", w.Code, p.last)
	}
	r = newRequest("POST", "/v1/completions", `{"prompt":"x","prompt_cache_key":"k"}`)
	r.Header.Set(headerSession, "s")
	if do(s, r); p.last.Session != "s" || p.last.Resume || p.last.Tenant != "" {
		t.Errorf("%+v", p.last)
	}
}

func TestModels(t *testing.T) {
	s := mustServer(t, Config{Store: newStore(t), Models: &parrot{}, Embedders: []embed.Provider{letters{}}})
	const one = `{"id":"alias/of-it","object":"model","created":0,"owned_by":"lanewise"}`
	for path, want := range map[string]string{
		"/v1/models/alias/of-it": one,
		"/v1/models": `{"object":"list","data":[` + one + `,{"id":"fast","object":"model","created":0,"owned_by":"lanewise"},` +
			`{"id":"letters","object":"model","created":0,"owned_by":"lanewise"}]}`,
	} {
		if w := do(s, newRequest("GET", path, "")); strings.TrimSpace(w.Body.String()) != want || w.Code != http.StatusOK {
			t.Errorf("%s: %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
	if w := do(s, newRequest("GET", "/v1/models/none", "")); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "model_not_found") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := do(mustServer(t, Config{Store: newStore(t)}), newRequest("POST", "/v1/chat/completions", anyChat)); w.Code != http.StatusNotFound {
		t.Errorf("a server without models: %d", w.Code)
	}
}
