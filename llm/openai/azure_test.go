package openai_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/openai"
)

// TestGenerate_azure holds the form of a call to a deployment: its address, the
// version of the API and the header with the key.
func TestGenerate_azure(t *testing.T) {
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		events(hello+stop)(w, r)
	}))
	defer server.Close()
	for _, c := range []struct {
		config     openai.Config
		path, auth string
	}{
		{openai.Config{Deployment: "gpt"}, "/openai/deployments/gpt/chat/completions?api-version=2024-10-21", "api-key"},
		{openai.Config{URL: "/", Deployment: "gpt", APIVersion: "2025-01-01"}, "/openai/deployments/gpt/chat/completions?api-version=2025-01-01", "api-key"},
		{openai.Config{URL: "/gate/openai/?api-version=v9", Deployment: "gpt", KeyHeader: "Ocp-Apim-Subscription-Key"}, "/gate/openai/deployments/gpt/chat/completions?api-version=v9", "Ocp-Apim-Subscription-Key"},
		{openai.Config{URL: "/openai/v1", Model: "gpt", KeyHeader: "api-key"}, "/openai/v1/chat/completions", "api-key"},
	} {
		c.config.URL, c.config.Key = server.URL+c.config.URL, "secret"
		p, err := openai.New(c.config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := read(t, p); !errors.Is(err, io.EOF) {
			t.Errorf("ended with %v", err)
		}
		_ = p.Close()
		if got.URL.String() != c.path || got.Header.Get(c.auth) != "secret" || got.Header.Get("Authorization") != "" {
			t.Errorf("called %s with %v, want %s and the key in %s", got.URL, got.Header, c.path, c.auth)
		}
	}
}

func TestNew_refusesAzure(t *testing.T) {
	for field, c := range map[string]openai.Config{
		"/api_version": {URL: "https://a", Model: "m", APIVersion: "2024-10-21"},
		"/url":         {URL: "https://a/openai/deployments/x", Deployment: "gpt"},
	} {
		if _, err := openai.New(c); !errors.Is(err, fault.Invalid) || fault.Field(err) != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := openai.New(openai.Config{URL: "https://a\x7f", Deployment: "gpt"}); fault.Field(err) != "/url" {
		t.Errorf("an unreadable URL: %v", err)
	}
}

// TestGenerate_azureStream reads a stream as Azure sends it: the filter's findings
// on the prompt come first, without choices, and its findings on the answer with
// every chunk.
func TestGenerate_azureStream(t *testing.T) {
	safe := `"content_filter_results":{"hate":{"filtered":false,"severity":"safe"},"error":{"code":"content_filter_error","message":"not filtered"}}`
	stream := `data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,` + safe + `}]}` + "\n\n" +
		`data: {"model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n" +
		`data: {"model":"m-1","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null,` + safe + `}]}` + "\n\n" +
		`data: {"model":"m-1","choices":[{"index":0,"delta":{},"finish_reason":"content_filter",` + safe + `}]}` + "\n\n" + usage + done
	got, err := read(t, serve(t, openai.Config{Deployment: "gpt"}, events(stream)))
	want := []llm.Chunk{{Content: "Hello"}, {Model: "m-1", Usage: reported, Finish: "content_filter"}}
	if diff := cmp.Diff(want, got); diff != "" || !errors.Is(err, io.EOF) {
		t.Errorf("ended with %v\n%s", err, diff)
	}
}

func TestGenerate_azureErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		header map[string]string
		body   string
		want   fault.Class
		wait   time.Duration
		says   string
	}{
		{"content filter", 400, nil, `{"error":{"message":"The response was filtered due to the prompt triggering the content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true,"severity":"high"}}}}}`,
			fault.Invalid, 0, "content_filter"},
		{"rate", 429, map[string]string{"Retry-After-Ms": "1250", "Retry-After": "2"}, `{"error":{"code":"429","message":"Requests have exceeded call rate limit"}}`, fault.Overloaded, 1250 * time.Millisecond, "rate limit"},
		{"rate, by the limits alone", 429, map[string]string{"X-Ratelimit-Remaining-Tokens": "0", "X-Ratelimit-Reset-Tokens": "7"}, `{"error":{"code":"RateLimitReached","message":"slow down"}}`, fault.Overloaded, 7 * time.Second, "RateLimitReached"},
		{"a limit that it does not know", 429, map[string]string{"X-Ratelimit-Remaining-Requests": "-1", "X-Ratelimit-Reset-Requests": "0"}, ``, fault.Overloaded, 0, "429"},
		{"key", 401, nil, `{"statusCode":401,"message":"Access denied due to invalid subscription key or wrong API endpoint."}`, fault.Refused, 0, "Access denied"},
		{"deployment", 404, nil, `{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}`, fault.Unavailable, 0, "DeploymentNotFound"},
		{"too long", 400, nil, `{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`, fault.Invalid, 0, "context_length_exceeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := read(t, serve(t, openai.Config{Deployment: "gpt"}, func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			if !errors.Is(err, c.want) || fault.RetryAfter(err) != c.wait || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, class %q, wait %v", err, fault.Of(err), fault.RetryAfter(err))
			}
		})
	}
}
