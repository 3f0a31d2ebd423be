package config

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collect "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collected is a collector that keeps the spans which it is sent.
type collected struct {
	*httptest.Server
	mu      sync.Mutex
	all     []*otlp.Span
	headers http.Header
}

func newCollector(t *testing.T) *collected {
	t.Helper()
	c := &collected{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var batch collect.ExportTraceServiceRequest
		body, err := io.ReadAll(r.Body)
		if err := proto.Unmarshal(body, &batch); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
		}
		if err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.headers = r.Header.Clone()
		for _, resource := range batch.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				c.all = append(c.all, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// of returns the spans of one trace.
func (c *collected) of(trace string) []*otlp.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.all), func(s *otlp.Span) bool { return hex.EncodeToString(s.GetTraceId()) != trace })
}

// attribute is a span's attribute as a text.
func attribute(s *otlp.Span, name string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == name {
			if v := a.GetValue(); v.GetStringValue() != "" {
				return v.GetStringValue()
			}
			return fmt.Sprint(a.GetValue().GetIntValue())
		}
	}
	return ""
}

// drawn is the tree of spans below a parent: names, and of attempts their reasons and outcomes.
func drawn(all []*otlp.Span, parent, indent string) string {
	var lines []string
	for _, s := range all {
		if hex.EncodeToString(s.GetParentSpanId()) != parent {
			continue
		}
		line := indent + s.GetName()
		if reason := attribute(s, "lanewise.reason"); reason != "" {
			line = indent + attribute(s, "lanewise.lane") + ": " + reason + " " + attribute(s, "lanewise.outcome")
		}
		lines = append(lines, line+"\n"+drawn(all, hex.EncodeToString(s.GetSpanId()), indent+"  "))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// upstreams are servers that note the traceparent of every call.
type upstreams struct {
	mu     sync.Mutex
	parent map[string][]string // by path
}

func (u *upstreams) serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		u.mu.Lock()
		u.parent[r.URL.Path] = append(u.parent[r.URL.Path], r.Header.Get("Traceparent"))
		u.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// replica is a server of its own, which holds back the answers that it is told to until nobody waits for them.
func (u *upstreams) replica(t *testing.T, hold func() bool) Replica {
	t.Helper()
	sys := build(t, &Config{Store: t.TempDir()})
	return Replica{URL: u.serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/replica/search" && hold() {
			<-r.Context().Done()
			return
		}
		sys.Handler.ServeHTTP(w, r)
	})}
}

// embeds answers like an OpenAI-compatible server of embeddings.
func embeds(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	n := max(strings.Count(string(body), `"read a file"`)+strings.Count(string(body), "number"), 1)
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"index": %d, "embedding": [1, 0, 0, %d]}`, i, i)
	}
	_, _ = fmt.Fprintf(w, `{"model": "m", "data": [%s], "usage": {"prompt_tokens": %d, "total_tokens": %d}}`, strings.Join(rows, ","), n, n)
}

func writes(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, `data: {"model": "real", "choices": [{"index": 0, "delta": {"content": "Use a scanner [1]."}, "finish_reason": "stop"}]}`+"\n\n"+
		`data: {"choices": [], "usage": {"prompt_tokens": 70, "completion_tokens": 5}}`+"\n\ndata: [DONE]\n\n")
}

const (
	traceID    = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientSpan = "00f067aa0ba902b7"
	recorded   = "00-" + traceID + "-" + clientSpan + "-01"
	unrecorded = "00-" + traceID + "-" + clientSpan + "-00"
)

// traced asks a question, as part of a client's trace, of a router over two shards and models, of which the
// first search of the first shard is hedged. It returns what the upstreams and the log have seen.
func traced(t *testing.T, traces spans, traceparent string) (*upstreams, *bytes.Buffer) {
	t.Helper()
	seen := &upstreams{parent: map[string][]string{}}
	var once sync.Once
	first := func() (first bool) {
		once.Do(func() { first = true })
		return first
	}
	never := func() bool { return false }
	c := &Config{Traces: traces, Shards: []Shard{
		{Name: "s0", Replicas: []Replica{seen.replica(t, first), seen.replica(t, first)}},
		{Name: "s1", Replicas: []Replica{seen.replica(t, never)}},
	}}
	c.Embed.Upstreams = []EmbedUpstream{{Kind: "openai", URL: seen.serve(t, embeds), Model: "m", Dims: 4}}
	c.LLM.Upstreams = []LLMUpstream{{Kind: "openai", URL: seen.serve(t, writes), Model: "m"}}
	c.Rerank.Upstreams = []RerankUpstream{{Kind: kindTEI, URL: seen.serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		rows := make([]string, strings.Count(string(body), "number"))
		for i := range rows {
			rows[i] = fmt.Sprintf(`{"index": %d, "score": 0.5}`, i)
		}
		_, _ = io.WriteString(w, "["+strings.Join(rows, ",")+"]")
	})}}
	c.Timeouts.Search, c.Timeouts.Answer = time.Minute, time.Minute // on a busy machine, too
	var log bytes.Buffer
	sys, err := c.Build(t.Context(), Options{Log: slog.New(slog.NewJSONHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	asked := func(method, path, body string, headers ...string) string {
		r := httptest.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		if sys.Handler.ServeHTTP(w, r); w.Code != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		return w.Body.String()
	}
	asked("PUT", "/v1/collections/docs", `{}`)
	asked("PUT", "/v1/collections/docs/points", `{"points": [{"id": "a", "text": "number 1"}, {"id": "b", "text": "number 2"}, {"id": "c", "text": "number 3"}]}`)
	if got := asked("POST", "/v1/answer", `{"collection": "docs", "question": "read a file", "mode": "dense", "rerank": 3}`, "Traceparent", traceparent); !strings.Contains(got, "scanner [1]") {
		t.Fatalf("answered %s", got)
	}
	if err := sys.Close(); err != nil {
		t.Fatal(err)
	}
	return seen, &log
}

func TestTraces_areTheTreeOfARequest(t *testing.T) {
	c := newCollector(t)
	seen, log := traced(t, spans{Endpoint: c.URL, Headers: []header{{"X-Team", "search"}}}, recorded)
	all := c.of(traceID)
	want := `POST /v1/answer
  embed
    embed m-4-raw: first won
  generate
    llm: first won
  merge
  plan
  rerank
    rerank: first won
  scatter
    s0
      shards: first cancelled
      shards: hedge won
    s1
      shards: first won
`
	if got := drawn(all, clientSpan, ""); got != want {
		t.Errorf("got\n%s", got)
	}
	ids := map[string]string{} // of the spans of attempts
	for _, s := range all {
		if member := attribute(s, "lanewise.member"); member != "" {
			ids["00-"+traceID+"-"+hex.EncodeToString(s.GetSpanId())+"-01"] = member
		}
	}
	for path, calls := range map[string]int{"/v1/replica/search": 3, "/v1/embeddings": 1, "/rerank": 1, "/v1/chat/completions": 1} {
		n := 0
		for _, parent := range seen.parent[path] {
			if ids[parent] != "" {
				delete(ids, parent)
				n++
			}
		}
		if n != calls {
			t.Errorf("%d calls of %s name an attempt of the request: %q", n, path, seen.parent[path])
		}
	}
	if c.headers.Get("X-Team") != "search" || !strings.Contains(log.String(), `"trace_id":"`+traceID+`"`) {
		t.Errorf("headers %v, log %s", c.headers, log)
	}
	for _, s := range all {
		if s.GetName() == "generate" && (attribute(s, "gen_ai.usage.input_tokens") != "70" || attribute(s, "gen_ai.response.model") != "real") {
			t.Errorf("%v", s.GetAttributes())
		}
	}
}

// Who records nothing itself records what its client does, and no more.
func TestTraces_followTheClient(t *testing.T) {
	c := newCollector(t)
	traced(t, spans{Endpoint: c.URL, Ratio: -1}, recorded)
	if all, its := len(c.all), len(c.of(traceID)); all != its || its == 0 {
		t.Errorf("%d spans, %d of them of the client's trace", all, its)
	}
	c = newCollector(t)
	traced(t, spans{Endpoint: c.URL, Apart: true}, recorded)
	if its := len(c.of(traceID)); len(c.all) == 0 || its != 0 {
		t.Errorf("%d of %d spans are of the client's trace", its, len(c.all))
	}
}

// A request that is not recorded is still part of its client's trace for the upstreams. Without
// traces nobody hears of one.
func TestTraces_arePassedOnUnrecorded(t *testing.T) {
	c := newCollector(t)
	seen, log := traced(t, spans{Endpoint: c.URL, Ratio: -1}, unrecorded)
	if n := len(c.all); n != 0 {
		t.Errorf("%d spans", n)
	}
	for path, calls := range map[string]int{"/v1/replica/search": 3, "/v1/embeddings": 1, "/rerank": 1, "/v1/chat/completions": 1} {
		told := slices.DeleteFunc(slices.Clone(seen.parent[path]), func(p string) bool {
			return !strings.HasPrefix(p, "00-"+traceID) || !strings.HasSuffix(p, "-00")
		})
		if len(told) != calls {
			t.Errorf("%s was told %q", path, seen.parent[path])
		}
	}
	if !strings.Contains(log.String(), traceID) {
		t.Errorf("the log does not name the trace: %s", log)
	}
	seen, _ = traced(t, spans{}, recorded)
	for path, parents := range seen.parent {
		if strings.Join(parents, "") != "" {
			t.Errorf("%s was told %q without traces", path, parents)
		}
	}
}

func TestTraces_refuseNonsense(t *testing.T) {
	for text, want := range map[string]string{
		"{endpoint: 'collector:4318'}":                            "traces.endpoint: \"collector:4318\" is not a URL",
		"{endpoint: 'http://c', ratio: 2}":                        "traces.ratio: must be between 0 and 1, or -1",
		"{ratio: 0.1}":                                            "traces.endpoint: is missing",
		"{endpoint: 'http://c', headers: [{name: '', value: x}]}": "traces.headers[0].name: is missing",
	} {
		if _, err := parse("f.yaml", []byte(shard+"traces: "+text), noEnv); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
