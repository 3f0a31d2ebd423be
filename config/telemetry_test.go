package config

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

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
	s := &System{log: discard(nil)}
	if err := s.follow(LLM{Upstreams: []LLMUpstream{up, {Name: "b", Kind: kindExtract}}}, lanes); err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // the test has what it wants
	foreign := func(lane string) float64 { return lanes[lane].Snapshot().Members[0].Foreign }
	eventually(t, "reports", func() bool { return foreign("one") > 0 && foreign("two") > 0 })
	if got := foreign("three"); got != 0 {
		t.Errorf("an upstream without a page has %v calls", got)
	}
}
