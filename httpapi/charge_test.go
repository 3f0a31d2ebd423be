package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/access/meter"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/llm/relay"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

func newMeter(t *testing.T, c meter.Config) *meter.Meter {
	t.Helper()
	m, err := meter.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// metered serves everything, to keys of which the secrets are the names.
func metered(t *testing.T, c meter.Config, keys ...access.Key) *server {
	t.Helper()
	r := newRouter(t, &script{lines: []string{"one [1]"}})
	return mustServer(t, Config{
		Router: r, Store: r, Embedders: []embed.Provider{letters{}}, Models: &parrot{}, Access: gateOf(t, keys...), Meter: newMeter(t, c),
	})
}

// as sends a request with a key.
func as(s *server, key, method, path, body string) *httptest.ResponseRecorder {
	r := newRequest(method, path, body)
	r.RemoteAddr = "127.0.0.1:4000"
	r.Header.Set("Authorization", "Bearer "+key)
	return do(s, r)
}

// Every operation that needs a key counts as one request of it, however it ends.
func TestCharge_everyOperationOnce(t *testing.T) {
	s := metered(t, meter.Config{}, access.Key{Name: "all", Scopes: access.All, Limits: access.Limits{RequestsPerMinute: 6}}) // one at a time
	fill := strings.NewReplacer("{collection}", "docs", "{id}", "one", "{alias}", "live", "{model}", "letters")
	for id, op := range operations(t, s) {
		for _, a := range attempts()[id][:1] {
			s.meter = newMeter(t, meter.Config{})
			first, second := as(s, "all", op[0], fill.Replace(op[1]), a.body), as(s, "all", op[0], fill.Replace(op[1]), a.body)
			open := strings.HasPrefix(id, "healthz") || id == "readyz" || id == "openapi" || id == "docs"
			if first.Code == http.StatusTooManyRequests || (second.Code == http.StatusTooManyRequests) == open {
				t.Errorf("%s: %d, then %d %s", id, first.Code, second.Code, second.Body)
			}
		}
	}
	s.meter = newMeter(t, meter.Config{})
	if w := as(s, "all", "POST", "/v1/search", `{`); w.Code != 400 {
		t.Error(w.Code)
	}
	if w := as(s, "all", "POST", "/v1/search", anySearch); w.Code != 429 {
		t.Errorf("a request that cannot be read costs nothing: %d", w.Code)
	}
}

// Tokens are reserved by an estimate and settled with what the model reports, for the key and the tenant.
func TestCharge_tokensOfModels(t *testing.T) {
	s := metered(t, meter.Config{Tenants: access.Limits{TokensPerDay: 1000}}, access.Key{Name: "k", Scopes: access.All, Limits: access.Limits{TokensPerDay: 100_000}})
	s.models.(*parrot).usage = &relay.Usage{PromptTokens: 30, CompletionTokens: 12}
	chat := func(tenant, limit string) *httptest.ResponseRecorder {
		r := newRequest("POST", "/v1/chat/completions", `{"model": "gpt", "max_tokens": `+limit+`, "messages": [{"role": "user", "content": "a"}]}`)
		r.Header.Set("X-Api-Key", "k")
		r.Header.Set(headerTenant, tenant)
		return do(s, r)
	}
	if w := chat("acme", "500"); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	w := chat("acme", "990") // 42 are used
	var body openAIError
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != 429 || body.Error.Type != "insufficient_quota" || *body.Error.Code != "insufficient_quota" {
		t.Errorf("%v %d %s", err, w.Code, w.Body)
	}
	if wait, err := strconv.Atoi(w.Header().Get("Retry-After")); err != nil || wait < 1 || wait > 24*3600 {
		t.Errorf("Retry-After is %q", w.Header().Get("Retry-After"))
	}
	if w := chat("other", "900"); w.Code != 200 {
		t.Errorf("another tenant pays, too: %d %s", w.Code, w.Body)
	}
	if w := as(s, "k", "POST", "/v1/answer", `{"collection": "docs", "question": "a?", "tenant": "acme", "k": 4}`); w.Code != 429 || !strings.Contains(w.Body.String(), `"class":"overloaded"`) {
		t.Errorf("an answer of 4 passages: %d %s", w.Code, w.Body)
	}
	if w := as(s, "k", "POST", "/v1/search", `{"collection": "docs", "text": "a", "tenant": "acme"}`); w.Code != 200 {
		t.Errorf("a search: %d %s", w.Code, w.Body)
	}
	if got := s.meter.Standings(meter.Key, 9)[0].Day.Tokens; got != 84 {
		t.Errorf("the key has used %d tokens", got)
	}
}

func TestCharge_embeddingsAndAnswers(t *testing.T) {
	s := metered(t, meter.Config{}, access.Key{Name: "k", Scopes: access.All, Limits: access.Limits{TokensPerDay: 100_000}})
	used := func() int64 { return s.meter.Standings(meter.Key, 1)[0].Day.Tokens }
	if w := as(s, "k", "POST", "/v1/answer", `{"collection": "docs", "question": "aab?", "stream": true}`); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	if got := used(); got != 21 { // as script reports
		t.Errorf("an answer used %d tokens", got)
	}
	if w := as(s, "k", "POST", "/v1/embeddings", `{"model": "letters", "input": "`+strings.Repeat("a", 500_000)+`"}`); w.Code != 429 {
		t.Errorf("texts of 125,000 tokens: %d", w.Code)
	}
}

// counted is letters that tell how many tokens they have read: one a letter.
type counted struct{ letters }

func (c counted) Embed(ctx context.Context, b embed.Batch) (embed.Vectors, error) {
	v, err := c.letters.Embed(ctx, b)
	v.Tokens = len(strings.Join(b.Texts, ""))
	return v, err
}

// The texts that searches and writes have embedded count, for the key and for each tenant.
func TestCharge_textsOfSearchesAndWrites(t *testing.T) {
	limits := access.Limits{TokensPerDay: 100}
	s := metered(t, meter.Config{Tenants: limits}, access.Key{Name: "k", Scopes: access.All, Limits: limits})
	r, err := router.New(router.Config{Embedders: []embed.Provider{counted{}}, Shards: []router.Shard{{Name: "s0", Replicas: []router.Replica{{Name: "r0", Store: newStore(t)}}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if _, err := r.CreateCollection(t.Context(), search.Collection{Name: "docs"}); err != nil {
		t.Fatal(err)
	}
	s.router, s.retrieve = r, r.Retrieve
	for i, step := range []struct {
		method, path, body string
		key, acme          int64 // used afterwards
	}{
		{"PUT", "/v1/collections/docs/points", `{"tenant": "acme", "points": [{"id": "a", "text": "aaab"}, {"id": "b", "text": "bb"}, {"id": "c", "vector": [1, 2]}]}`, 6, 6},
		{"POST", "/v1/search", `{"collection": "docs", "tenant": "acme", "text": "aab"}`, 9, 9},
		{"POST", "/v1/search", `{"collection": "docs", "tenant": "acme", "vector": [1, 0]}`, 9, 9},
		{"POST", "/v1/search/batch", `{"queries": [{"collection": "docs", "tenant": "acme", "text": "aaaaaaaa"}, {"collection": "docs", "tenant": "other", "text": "bbbbbbbb"}]}`, 25, 17},
	} {
		if w := as(s, "k", step.method, step.path, step.body); w.Code != 200 {
			t.Fatalf("step %d: %d %s", i, w.Code, w.Body)
		}
		if got := s.meter.Standings(meter.Key, 1)[0].Day.Tokens; got != step.key {
			t.Errorf("step %d: the key has used %d tokens, want %d", i, got, step.key)
		}
		if got := s.meter.Standings(meter.Tenant, 1)[0].Day.Tokens; got != step.acme {
			t.Errorf("step %d: the tenant has used %d tokens, want %d", i, got, step.acme)
		}
	}
	long := strings.Repeat("a", 4*76) // about 76 tokens, and 75 are left
	if w := as(s, "k", "POST", "/v1/search", `{"collection": "docs", "text": "`+long+`"}`); w.Code != 429 {
		t.Errorf("a text that there is no room for: %d", w.Code)
	}
	if w := as(s, "k", "PUT", "/v1/collections/docs/points", `{"points": [{"id": "d", "text": "`+long+`"}]}`); w.Code != 429 {
		t.Errorf("a point that there is no room for: %d", w.Code)
	}
}

// A batch takes one request of each of its tenants, or fails as a whole.
func TestCharge_batches(t *testing.T) {
	s := metered(t, meter.Config{Tenants: access.Limits{RequestsPerMinute: 12}}, access.Key{Name: "k", Scopes: access.All, Limits: access.Limits{RequestsPerMinute: 12}}) // two at once
	batch := `{"queries": [{"collection": "docs", "text": "a", "tenant": "x"}, {"collection": "docs", "text": "b", "tenant": "x"}, {"collection": "docs", "text": "b", "tenant": "y"}]}`
	for i, want := range []int{200, 200, 429} {
		if w := as(s, "k", "POST", "/v1/search/batch", batch); w.Code != want {
			t.Errorf("batch %d: %d %s", i, w.Code, w.Body)
		}
	}
}

// A stream whose client leaves before the model reports its use is charged as estimated.
func TestCharge_aStreamThatIsLeft(t *testing.T) {
	m := newMeter(t, meter.Config{})
	s := &server{meter: m}
	w := &recorder{}
	r := newRequest("POST", "/v1/chat/completions", "")
	r = r.WithContext(access.With(r.Context(), access.Caller{Name: "k", Limits: access.Limits{TokensPerDay: 1000}}))
	if err := s.charge(w, r, nil, 300); err != nil {
		t.Fatal(err)
	}
	w.event.Upstream = "a"
	s.settle(w, r)
	if got := m.Standings(meter.Key, 1)[0].Day.Tokens; got != 300 {
		t.Errorf("%d tokens are charged", got)
	}
}

func TestUsage_listsKeysAndTenants(t *testing.T) {
	s := metered(t, meter.Config{Tenants: access.Limits{TokensPerDay: 1000}}, access.Key{Name: "k", Scopes: access.All, Limits: access.Limits{CostPerMonth: 5}})
	as(s, "k", "POST", "/v1/search", `{"collection": "docs", "text": "a", "tenant": "acme"}`)
	w := as(s, "k", "GET", "/v1/admin/usage", "")
	for _, want := range []string{`"keys":[{"name":"k","limits":{"cost_per_month":5}`, `"tenants":[{"name":"acme","limits":{"tokens_per_day":1000}`, `"running":1`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s lacks %s", w.Body, want)
		}
	}
}
