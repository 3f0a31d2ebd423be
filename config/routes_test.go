package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lanewise/lanewise/fault"
)

// twoSubjects are semantic routes between two models and two collections.
func twoSubjects(small, large string) string {
	return fmt.Sprintf(`llm:
  floor: -1
  upstreams:
    - {name: a, kind: openai, url: "%s/v1", model: m}
    - {name: b, kind: openai, url: "%s/v1", model: m}
  models:
    - {name: small, upstreams: [{name: a}]}
    - {name: large, upstreams: [{name: b}]}
  routes:
    - name: cooking
      examples: ["How long do I boil an egg?", "a recipe for tomato soup", "bake bread in the oven"]
      threshold: 0.45
      model: large
      collection: recipes
    - name: go
      examples: ["How do I read a file line by line in Go?", "sort a slice of structs", "what does the compiler say"]
      threshold: 0.45
      model: small
`, small, large)
}

// put sends a body and wants success.
func put(t *testing.T, url, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body) //nolint:errcheck // the test has failed
		t.Fatalf("PUT %s: %s: %s", url, resp.Status, text)
	}
}

// With the embedding model that is built in, questions and calls go to the model for their subject.
func TestRoutes_throughTheServer(t *testing.T) {
	small, large := says(t, 0, "I am small."), says(t, 0, "I am large.")
	url := serverOf(t, twoSubjects(small.URL, large.URL), Options{})
	for name, text := range map[string]string{"docs": "Scanner reads a file line by line.", "recipes": "Boil the soup for an hour."} {
		put(t, url+"/v1/collections/"+name, `{"dims": 256, "metric": "cosine", "space": "static-256"}`)
		put(t, url+"/v1/collections/"+name+"/points", fmt.Sprintf(`{"points": [{"id": "in %s", "text": %q}]}`, name, text))
	}
	for question, want := range map[string]struct{ route, model, id string }{
		"How long must tomato soup boil?":        {"cooking", "large", "in recipes"},
		"How can I read a file line by line?":    {"go", "small", "in docs"},
		"Who won the football cup in Argentina?": {"", "small", "in docs"},
	} {
		got := post(t, url+"/v1/answer", "", fmt.Sprintf(`{"collection": "docs", "question": %q, "model": "auto", "mode": "dense", "explain": true}`, question))
		var answer struct {
			Answer  string
			Explain struct {
				Routing struct {
					Route  string
					Scores []struct{ Route string }
				}
			}
		}
		if err := json.Unmarshal([]byte(got.body), &answer); err != nil || answer.Answer != "I am "+want.model+"." || answer.Explain.Routing.Route != want.route || len(answer.Explain.Routing.Scores) != 2 {
			t.Errorf("%s: %v, %s", question, err, got.body)
		}
		got = post(t, url+"/v1/chat/completions", "", fmt.Sprintf(`{"model": "auto", "stream": true, "messages": [{"role": "system", "content": "soup"}, {"role": "user", "content": %q}]}`, question))
		if got.header.Get("X-Lanewise-Model") != want.model || got.header.Get("X-Lanewise-Route-Score") == "" {
			t.Errorf("%s: relayed to %v", question, got.header)
		}
	}
	if resp, err := http.Get(url + "/v1/models/auto"); err != nil || resp.StatusCode != http.StatusOK { //nolint:noctx // a test
		t.Errorf("auto is not listed: %v", err)
	} else {
		_ = resp.Body.Close()
	}
}

// embedder is a server of /v1/embeddings that remembers what it was asked for.
func embedder(t *testing.T) (url string, texts func() []string) {
	t.Helper()
	var mu sync.Mutex
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Input []string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		type row struct {
			Index     int       `json:"index"`
			Embedding []float64 `json:"embedding"`
		}
		var data []row
		for i, text := range body.Input {
			data = append(data, row{i, []float64{float64(1 + strings.Count(text, "a")), float64(1 + strings.Count(text, "b"))}})
		}
		mu.Lock()
		seen = append(seen, body.Input...)
		mu.Unlock()
		_ = json.NewEncoder(w).Encode(map[string]any{"data": data, "usage": map[string]int{"prompt_tokens": 1}})
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

// An answer whose model is left to the routes costs no embedding call more than one whose model is named.
func TestRoutes_costNoEmbeddingOfTheirOwn(t *testing.T) {
	vectors, texts := embedder(t)
	model := says(t, 0, "yes")
	url := serverOf(t, fmt.Sprintf(`embed: {upstreams: [{kind: openai, url: "%s/v1", model: e, dims: 2}]}
llm:
  upstreams: [{name: a, kind: openai, url: "%s/v1", model: m}]
  routes: [{name: r, examples: ["aaa"], model: m}]
`, vectors, model.URL), Options{})
	put(t, url+"/v1/collections/docs", `{"dims": 2, "metric": "cosine", "space": "e-2-raw"}`)
	put(t, url+"/v1/collections/docs/points", `{"points": [{"id": "x", "text": "abab"}]}`)
	for _, question := range []string{"aab?", "abb?"} {
		if got := post(t, url+"/v1/answer", "", fmt.Sprintf(`{"collection": "docs", "question": %q, "model": "auto", "mode": "dense"}`, question)); got.status != http.StatusOK {
			t.Fatalf("%+v", got)
		}
		n := 0
		for _, text := range texts() {
			if text == question {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%q was embedded %d times, want once: %q", question, n, texts())
		}
	}
}

// The text that a route is chosen by counts for whose request it is, and the routes' examples for nobody.
func TestRoutes_countTheTokensTheyRead(t *testing.T) {
	small, large := says(t, 0, "I am small."), says(t, 0, "I am large.")
	url := serverOf(t, twoSubjects(small.URL, large.URL)+"tenants: {limits: {tokens_per_minute: 1000000}}\n", Options{})
	const question = "How can I read a file line by line?"
	for _, model := range []string{"auto", "small"} { // the same one
		body := fmt.Sprintf(`{"model": %q, "stream": true, "messages": [{"role": "user", "content": %q}]}`, model, question)
		if got := post(t, url+"/v1/chat/completions", "asks-"+model, body); got.status != http.StatusOK || got.header.Get("X-Lanewise-Model") != "small" {
			t.Fatalf("%s: %+v", model, got)
		}
	}
	if got := post(t, url+"/v1/embeddings", "embeds", fmt.Sprintf(`{"model": "static", "input": %q}`, question)); got.status != http.StatusOK {
		t.Fatalf("%+v", got)
	}
	used := usedBy(t, url)
	if used["embeds"] < 1 || used["asks-auto"] != used["asks-small"]+used["embeds"] {
		t.Errorf("%v, want what the model read and the question once more", used)
	}
}

// usedBy tells how many tokens each tenant has used today.
func usedBy(t *testing.T, url string) map[string]int64 {
	t.Helper()
	resp, err := http.Get(url + "/v1/admin/usage") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	var told struct {
		Tenants []struct {
			Name string
			Day  struct{ Tokens int64 }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&told); err != nil {
		t.Fatal(err)
	}
	used := map[string]int64{}
	for _, tenant := range told.Tenants {
		used[tenant.Name] = tenant.Day.Tokens
	}
	return used
}

func TestBuildRoutes(t *testing.T) {
	c, err := parse("f.yaml", []byte(shard+twoSubjects("http://127.0.0.1:1", "http://127.0.0.1:1")), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.BuildRoutes(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, s)
	got, err := s.Routes.Pick(t.Context(), "boil an egg")
	if err != nil || got.Route != "cooking" || got.Target.Collection != "recipes" || s.Router != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Local(t.TempDir()).BuildRoutes(context.Background(), Options{}); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "llm.routes") {
		t.Errorf("without routes: %v", err)
	}
}
