package config

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/lanewise/lanewise/llm"
)

// TestLLMUpstream_open holds that the kinds call their servers as configured.
func TestLLMUpstream_open(t *testing.T) {
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/v1/messages" {
			_, _ = io.WriteString(w, `{"type":"message","model":"m","content":[{"type":"text","text":"yes"}],"stop_reason":"end_turn","usage":{}}`)
			return
		}
		_, _ = io.WriteString(w, `{"choices":[{"message":{"content":"yes"}}]}`)
	}))
	defer server.Close()
	for _, c := range []struct {
		upstream   LLMUpstream
		path, auth string
	}{
		{LLMUpstream{Kind: kindOpenAI, Model: "m", KeyHeader: "api-key"}, "/v1/chat/completions", "api-key"},
		{LLMUpstream{Kind: kindAzure, Deployment: "d", APIVersion: "v"}, "/openai/deployments/d/chat/completions?api-version=v", "api-key"},
		{LLMUpstream{Kind: kindAnthropic, Model: "m", MaxTokens: 9, CachePrompt: true}, "/v1/messages", "x-api-key"},
	} {
		c.upstream.URL, c.upstream.Key = server.URL, "secret"
		p, err := c.upstream.open(nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := p.Generate(t.Context(), llm.Prompt{Messages: []llm.Message{{Role: llm.User, Content: "?"}}})
		if err != nil {
			t.Fatal(err)
		}
		chunk, err := s.Next()
		if err != nil && !errors.Is(err, io.EOF) || chunk.Content != "yes" || got.URL.String() != c.path || got.Header.Get(c.auth) != "secret" {
			t.Errorf("%s: %+v, %v from %s with %v", c.upstream.Kind, chunk, err, got.URL, got.Header)
		}
		_ = s.Close()
		_ = p.Close()
	}
}
