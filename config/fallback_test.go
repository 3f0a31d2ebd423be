package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/models"
)

// said is a server that answers every completion in the same way, and counts them.
type said struct {
	*httptest.Server
	calls atomic.Int64
}

// says starts a server of which every answer has a status and a body; status 0: it streams the body as its one word.
func says(t *testing.T, status int, body string) *said {
	t.Helper()
	s := &said{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		if status != 0 {
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, `data: {"model": "real", "choices": [{"index": 0, "delta": {"content": %q}, "finish_reason": "stop"}]}`+"\n\n"+
			`data: {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 400}}}`+"\n\ndata: [DONE]\n\n", body)
	}))
	t.Cleanup(s.Close)
	return s
}

// generator builds what the llm part of a file describes.
func generator(t *testing.T, text string) *models.Set {
	t.Helper()
	c, err := parse("f.yaml", []byte(shard+text), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	s := newSystem(&Config{}, Options{})
	t.Cleanup(func() { shut(t, s) })
	if err := s.openQuotas(c.Resolved().Quotas); err != nil {
		t.Fatal(err)
	}
	g, err := s.openGenerator(c.Resolved().LLM, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// told is a whole answer.
func told(ctx context.Context, g llm.Provider, p llm.Prompt) (text string, choice llm.Choice, usage llm.Usage, err error) {
	if p.Messages == nil {
		p.Messages = []llm.Message{{Role: llm.User, Content: "Who are you?"}}
	}
	stream, err := g.Generate(ctx, p)
	if err != nil {
		return "", choice, usage, err
	}
	defer stream.Close() //nolint:errcheck // read to its end
	choice = stream.(llm.Chosen).Choice()
	for {
		c, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return text, choice, usage, nil
		} else if err != nil {
			return text, choice, usage, err
		}
		text += c.Content
		if c.Usage != nil {
			usage = *c.Usage
		}
	}
}

// threeModels is three models on three servers: the first stands on one that may fail, and each of the others stands in for a part of its failures.
func threeModels(first, busy, large string) string {
	return fmt.Sprintf(`llm:
  upstreams:
    - {name: first, kind: openai, url: %q, model: m}
    - {name: busy, kind: openai, url: %q, model: m}
    - {name: large, kind: openai, url: %q, model: m}
  models:
    - name: small
      aliases: [default]
      upstreams: [{name: first}]
      context: 2000
      fallbacks: [{model: busy, on: [rate, unavailable]}, {model: large, on: [context, refused]}]
    - {name: busy, upstreams: [{name: busy}]}
    - {name: large, upstreams: [{name: large}], context: 32000, cost: {prompt: 10, completion: 30, cached: 1}}
`, first, busy, large)
}

// What servers really say leads to the model that is named for it.
func TestModels_fallBackByWhatServersSay(t *testing.T) {
	busy, large := says(t, 0, "I am busy."), says(t, 0, "I am large.")
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, c := range map[string]struct {
		status int
		body   string
		want   string // the model that answers
	}{
		"it answers":         {0, "I am small.", "small"},
		"rate limit":         {429, `{"error": {"code": "rate_limit_exceeded", "message": "slow down"}}`, "busy"},
		"overloaded":         {529, `{"type": "error", "error": {"type": "overloaded_error", "message": "later"}}`, "busy"},
		"empty account":      {429, `{"error": {"code": "insufficient_quota", "message": "pay"}}`, "large"},
		"revoked key":        {401, `{"error": {"code": "invalid_api_key", "message": "no"}}`, "large"},
		"context of OpenAI":  {400, `{"error": {"code": "context_length_exceeded", "message": "This model's maximum context length is 1000 tokens."}}`, "large"},
		"context of vLLM":    {400, `{"object": "error", "type": "BadRequestError", "code": 400, "message": "This model's maximum context length is 1000 tokens. However, you requested 1500."}`, "large"},
		"broken":             {500, "oops", "busy"},
		"gateway":            {502, "<html>", "busy"},
		"no such model":      {404, `{"error": {"code": "model_not_found", "message": "m"}}`, "busy"},
		"nobody there":       {-1, "", "busy"},
		"a bad request":      {400, `{"error": {"message": "temperature must be a number"}}`, ""},
		"an error in stream": {200, "event: error\ndata: {\"error\": {\"message\": \"out of memory\"}}\n\n", "busy"},
	} {
		url := gone.URL
		if c.status >= 0 {
			url = says(t, c.status, c.body).URL
		}
		g := generator(t, threeModels(url+"/v1", busy.URL+"/v1", large.URL+"/v1"))
		ctx := balance.WithAllowance(t.Context(), 8)
		text, choice, _, err := told(ctx, g, llm.Prompt{Model: "default"})
		if choice.Model != c.want || (err == nil) != (c.want != "") || err == nil && text != "I am "+c.want+"." {
			t.Errorf("%s: %q by %+v, %v; want %s", name, text, choice, err, c.want)
		}
		if c.want == "" && fault.Of(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A prompt that is too long does not reach the small model at all, and costs what the large one's does.
func TestModels_longPromptsAndCosts(t *testing.T) {
	first, large := says(t, 0, "I am small."), says(t, 0, "I am large.")
	g := generator(t, threeModels(first.URL+"/v1", first.URL+"/v1", large.URL+"/v1"))
	long := []llm.Message{{Role: llm.User, Content: strings.Repeat("word ", 3000)}}
	text, choice, usage, err := told(t.Context(), g, llm.Prompt{Messages: long})
	if err != nil || text != "I am large." || choice.Model != "large" || first.calls.Load() != 0 {
		t.Errorf("%q by %+v, %v; the small one was asked %d times", text, choice, err, first.calls.Load())
	}
	if want := (600*10 + 400*1 + 10*30) / 1e6; math.Abs(usage.Cost-want) > 1e-9 {
		t.Errorf("cost %v, want %v", usage.Cost, want)
	}
	if _, _, usage, err := told(t.Context(), g, llm.Prompt{}); err != nil || usage.Cost != 0 {
		t.Errorf("the small one has no price, but costs %v, %v", usage.Cost, err)
	}
}

// A request has one allowance of extra attempts: for members of a pool and for other models together.
func TestModels_fallbacksAreInTheAllowance(t *testing.T) {
	down, up := says(t, 500, "oops"), says(t, 0, "I am busy.")
	g := generator(t, threeModels(down.URL+"/v1", up.URL+"/v1", up.URL+"/v1"))
	for extra, want := range map[int]bool{0: false, 1: true} {
		_, choice, _, err := told(balance.WithAllowance(t.Context(), extra), g, llm.Prompt{})
		if (err == nil) != want || want && choice.Model != "busy" || !want && !errors.Is(err, fault.Unavailable) {
			t.Errorf("%d extra attempts: %+v, %v", extra, choice, err)
		}
	}
}

// While a model is told to wait, the one that stands in answers at once, and nobody waits.
func TestModels_nobodyWaitsWhereAnotherCanAnswer(t *testing.T) {
	full, up := says(t, 429, "{}"), says(t, 0, "I am busy.")
	g := generator(t, threeModels(full.URL+"/v1", up.URL+"/v1", up.URL+"/v1"))
	ctx, cancel := context.WithCancel(t.Context()) // without a deadline, which would forbid to wait
	defer time.AfterFunc(time.Minute, cancel).Stop()
	defer cancel()
	for range 3 {
		if _, choice, _, err := told(ctx, g, llm.Prompt{}); choice.Model != "busy" || err != nil {
			t.Fatalf("%+v, %v", choice, err)
		}
	}
	if n := full.calls.Load(); n != 1 {
		t.Errorf("the full one was asked %d times, want once", n)
	}
}

// The members of a pool stand in for each other before any other model does.
func TestModels_poolBeforeFallback(t *testing.T) {
	down, second, other := says(t, 503, "oops"), says(t, 0, "second"), says(t, 0, "other")
	g := generator(t, fmt.Sprintf(`llm:
  upstreams:
    - {name: a, kind: openai, url: "%s/v1", model: m}
    - {name: b, kind: openai, url: "%s/v1", model: m}
    - {name: c, kind: openai, url: "%s/v1", model: m}
  models:
    - {name: one, upstreams: [{name: a}, {name: b, tier: 1}], fallbacks: [{model: two}]}
    - {name: two, upstreams: [{name: c}]}
  default: one
`, down.URL, second.URL, other.URL))
	if text, choice, _, err := told(t.Context(), g, llm.Prompt{}); text != "second" || choice.Model != "one" || err != nil {
		t.Errorf("%q by %+v, %v", text, choice, err)
	}
}

// serverOf builds a whole server and returns its URL.
func serverOf(t *testing.T, text string, o Options) string {
	t.Helper()
	dir := t.TempDir()
	c, err := parse(dir+"/f.yaml", []byte(shard+text), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Build(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler)
	t.Cleanup(func() {
		server.Close()
		shut(t, s)
	})
	return server.URL
}

// answered is the answer to a request.
type answered struct {
	status int
	header http.Header
	body   string
}

// post sends a body as a tenant.
func post(t *testing.T, url, tenant, body string) answered {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Lanewise-Tenant", tenant)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	return answered{resp.StatusCode, resp.Header, string(data)}
}

// A call that is passed on goes through models, fallbacks, prices and allowances, and its answer says so.
func TestModels_throughTheServer(t *testing.T) {
	busy, large := says(t, 429, "{}"), says(t, 0, "I am large.")
	var served ledger
	url := serverOf(t, threeModels(busy.URL+"/v1", busy.URL+"/v1", large.URL+"/v1")+"  tenants: {own: [{tenant: acme, tokens_per_minute: 60}]}\n", Options{Served: served.add}) + "/v1/chat/completions"
	long := strings.Repeat("word ", 2500)
	body := func(model string) string {
		return fmt.Sprintf(`{"model": %q, "stream": true, "stream_options": {"include_usage": true}, "messages": [{"role": "user", "content": %q}]}`, model, long)
	}
	got := post(t, url, "acme", body("default"))
	if got.status != http.StatusOK || got.header.Get("X-Lanewise-Model") != "large" || !strings.Contains(got.body, "I am large.") || !strings.Contains(got.body, `"cost":0.0067`) {
		t.Errorf("%+v", got)
	}
	got = post(t, url, "acme", body("default")) // it has 60 tokens a minute
	if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "allowance") {
		t.Errorf("%+v", got)
	}
	if got = post(t, url, "other", body("large")); got.status != http.StatusOK {
		t.Errorf("another tenant: %+v", got)
	}
	if list := served.all(); len(list) != 2 || list[0].Tenant != "acme" || list[0].Model != "large" || len(list[0].Passed) != 1 || math.Abs(list[0].Usage.Cost-0.0067) > 1e-9 {
		t.Errorf("told of %+v", list)
	}
	if got = post(t, url, "other", body("small-ish")); got.status != http.StatusNotFound || !strings.Contains(got.body, "model_not_found") {
		t.Errorf("an unknown model: %+v", got)
	}
}

// ledger is what a server was asked to do.
type ledger struct {
	mu   sync.Mutex
	list []models.Served
}

func (l *ledger) add(s models.Served) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, s)
}

func (l *ledger) all() []models.Served {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}
