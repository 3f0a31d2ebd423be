package config

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/llm"
)

// TestFollow holds that a lane learns from an upstream's page what others have it do.
func TestFollow(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "vllm:num_requests_running{model_name=\"m\"} 7\n")
	}))
	defer server.Close()
	up := LLMUpstream{Name: "a", Kind: kindOpenAI, URL: server.URL, Model: "m", Metrics: server.URL + "/metrics"}
	provider, err := up.open(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer provider.Close() //nolint:errcheck // never fails
	lanes := learners{}
	for name, upstream := range map[string]string{"one": "a", "two": "a", "three": "b"} {
		lane, err := llm.New(llm.Config{Name: name, Upstreams: []llm.Upstream{{Name: upstream, Provider: provider}}})
		if err != nil {
			t.Fatal(err)
		}
		defer lane.Close() //nolint:errcheck // never fails
		lanes[name] = lane
	}
	s := newSystem(&Config{}, Options{})
	if err := s.follow(LLM{Upstreams: []LLMUpstream{up, {Name: "b", Kind: kindExtract}}}.pages(), lanes); err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // the test has what it wants
	foreign := func(lane string) float64 { return lanes[lane].Snapshot().Members[0].Foreign }
	eventually(t, "reports", func() bool { return foreign("one") > 0 && foreign("two") > 0 })
	if got := foreign("three"); got != 0 {
		t.Errorf("an upstream without a page has %v calls", got)
	}
}

// TestFollow_embedders holds the same of the lanes that embed, with the gauge of
// text-embeddings-inference.
func TestFollow_embedders(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		_, _ = fmt.Fprint(w, "te_queue_size 7\n")
	}))
	defer server.Close()
	up := EmbedUpstream{Name: "a", Kind: kindTEI, URL: server.URL, Model: "m", Dims: 4, Metrics: server.URL + "/metrics"}
	other := up
	other.Name, other.Metrics = "b", ""
	s := newSystem(&Config{}, Options{})
	lanes, err := s.openEmbedders(t.Context(), Embed{Upstreams: []EmbedUpstream{up, other}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()                                                         //nolint:errcheck // the test has what it wants
	members := lanes[0].(interface{ Snapshot() balance.Snapshot }).Snapshot //nolint:forcetypeassert // it is a lane
	eventually(t, "reports", func() bool { return members().Members[0].Foreign > 0 })
	if got := members().Members[1].Foreign; got != 0 {
		t.Errorf("an upstream without a page has %v texts", got)
	}
}
