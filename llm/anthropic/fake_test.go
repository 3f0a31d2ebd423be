package anthropic_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/lanewise/lanewise/llm/anthropic"
)

// fake stands for the real server: it holds requests to the rules of the API's
// documentation, and answers with what the test has it answer.
type fake struct {
	tb     testing.TB
	answer http.HandlerFunc

	mu   sync.Mutex
	body string // of the last request
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	f.mu.Lock()
	f.body = string(data)
	f.mu.Unlock()
	var q call
	switch {
	case err != nil || json.Unmarshal(data, &q) != nil:
		refuse(w, 400, "invalid_request_error", "the body is not JSON")
	case r.Method != http.MethodPost || r.URL.Path != "/v1/messages":
		refuse(w, 404, "not_found_error", r.Method+" "+r.URL.Path)
	case r.Header.Get("X-Api-Key") != key || r.Header.Get("Authorization") != "":
		refuse(w, 401, "authentication_error", "invalid x-api-key")
	case r.Header.Get("Anthropic-Version") != "2023-06-01":
		refuse(w, 400, "invalid_request_error", "anthropic-version: header is required")
	case q.fault() != "":
		f.tb.Errorf("a call that the server would refuse: %s\n%s", q.fault(), data)
		refuse(w, 400, "invalid_request_error", q.fault())
	default:
		f.answer(w, r)
	}
}

// sent is the body of the last request.
func (f *fake) sent() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.body
}

const key = "sk-ant-secret"

// refuse answers as the server words its errors.
func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Request-Id", "req_1")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"type":"error","error":{"type":%q,"message":%q},"request_id":"req_1"}`, kind, message)
}

// call is what the documentation says of a request.
type call struct {
	Model     string
	MaxTokens int `json:"max_tokens"`
	System    []struct{ Type, Text string }
	Messages  []struct {
		Role    string
		Content []part
	}
	Tools []struct {
		Name        string
		InputSchema struct{ Type string } `json:"input_schema"`
	}
	Temperature float64
}

type part struct {
	Type, Text, ID, Name string
	ToolUseID            string          `json:"tool_use_id"`
	Input                json.RawMessage `json:"input"`
	Source               struct{ Type, Data, URL, MediaType string }
}

// fault says by which rule the server would refuse the call.
func (q call) fault() string {
	switch {
	case q.Model == "":
		return "model: field required"
	case q.MaxTokens < 1:
		return "max_tokens: must be at least 1"
	case len(q.Messages) == 0:
		return "messages: at least one message is required"
	case q.Messages[0].Role != "user":
		return "messages: first message must use the user role"
	case q.Temperature < 0 || q.Temperature > 1:
		return "temperature: range 0..1"
	}
	for _, s := range q.System {
		if s.Type != "text" || s.Text == "" {
			return "system: text content blocks must be non-empty"
		}
	}
	for _, t := range q.Tools {
		if t.Name == "" || t.InputSchema.Type != "object" {
			return "tools: name and input_schema of an object are required"
		}
	}
	return q.turns()
}

// turns checks the messages against each other: roles in turn, and every tool use
// answered by the message behind it.
func (q call) turns() string {
	asked := map[string]bool{}
	for i, m := range q.Messages {
		if i > 0 && q.Messages[i-1].Role == m.Role || m.Role != "user" && m.Role != "assistant" || len(m.Content) == 0 {
			return fmt.Sprintf("messages.%d: roles must alternate, and content must not be empty", i)
		}
		next := map[string]bool{}
		for j, c := range m.Content {
			where := fmt.Sprintf("messages.%d.content.%d", i, j)
			switch {
			case c.Type == "text" && strings.TrimSpace(c.Text) == "":
				return where + ": text content blocks must be non-empty"
			case c.Type == "tool_result" && !asked[c.ToolUseID]:
				return where + ": unexpected tool_use_id " + c.ToolUseID
			case c.Type == "tool_use" && (c.ID == "" || c.Name == "" || !strings.HasPrefix(string(c.Input), "{")):
				return where + ": tool_use needs an id, a name and an object"
			case c.Type == "image" && c.Source.Type != "url" && c.Source.Type != "base64":
				return where + ": source"
			}
			delete(asked, c.ToolUseID)
			if c.Type == "tool_use" {
				next[c.ID] = true
			}
		}
		if len(asked) > 0 {
			return fmt.Sprintf("messages.%d: tool_use ids without tool_result blocks", i)
		}
		asked = next
	}
	return ""
}

// serve returns a provider on a fake that answers with handler.
func serve(tb testing.TB, c anthropic.Config, handler http.HandlerFunc) (*anthropic.Provider, *fake) {
	tb.Helper()
	f := &fake{tb: tb, answer: handler}
	s := httptest.NewServer(f)
	tb.Cleanup(s.Close)
	c.URL, c.Model, c.Key = s.URL, "claude", key
	p, err := anthropic.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = p.Close() })
	return p, f
}

// events answers with a stream of server-sent events.
func events(stream string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_, _ = io.WriteString(w, stream)
	}
}

// ev is an event as the server writes it: named by its type.
func ev(kind, fields string) string {
	if fields != "" {
		fields = "," + fields
	}
	return fmt.Sprintf("event: %s\ndata: {\"type\":%q%s}\n\n", kind, kind, fields)
}

// Parts of streams.
var (
	start = ev("message_start", `"message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-1","content":[],"stop_reason":null,"usage":{"input_tokens":5,"cache_read_input_tokens":100,"cache_creation_input_tokens":20,"output_tokens":1}}`)
	open  = ev("content_block_start", `"index":0,"content_block":{"type":"text","text":""}`)
	ping  = ev("ping", "")
	hello = ev("content_block_delta", `"index":0,"delta":{"type":"text_delta","text":"Hello"}`)
	world = ev("content_block_delta", `"index":0,"delta":{"type":"text_delta","text":" wörld"}`)
	shut  = ev("content_block_stop", `"index":0`)
	turn  = ev("message_delta", `"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":7}`)
	stop  = ev("message_stop", "")
	whole = start + open + ping + hello + world + shut + turn + stop
)
