package anthropic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/anthropic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var question = llm.Prompt{Messages: []llm.Message{{Role: llm.User, Content: "why?"}}}

// read returns the chunks of an answer to question, and what it ended with.
func read(tb testing.TB, p *anthropic.Provider) ([]llm.Chunk, error) {
	tb.Helper()
	s, err := p.Generate(tb.Context(), question)
	if err != nil {
		return nil, err
	}
	defer s.Close() //nolint:errcheck // never fails
	var chunks []llm.Chunk
	for {
		c, err := s.Next()
		if err != nil {
			if _, again := s.Next(); !errors.Is(again, err) {
				tb.Errorf("Next ended with %v, then with %v", err, again)
			}
			return chunks, err
		}
		chunks = append(chunks, c)
	}
}

var (
	words    = []llm.Chunk{{Content: "Hello"}, {Content: " wörld"}}
	reported = &llm.Usage{PromptTokens: 125, CompletionTokens: 7, CachedTokens: 100}
	last     = llm.Chunk{Model: "claude-1", Usage: reported, Finish: "stop"}
)

// ended is an answer whose last chunk has a reason.
func ended(finish string) []llm.Chunk {
	return append(words[:2:2], llm.Chunk{Model: "claude-1", Usage: reported, Finish: finish})
}

func TestGenerate_streams(t *testing.T) {
	overloaded := ev("error", `"error":{"type":"overloaded_error","message":"Overloaded"}`)
	reason := func(stop string) string { return strings.ReplaceAll(whole, "end_turn", stop) }
	for _, c := range []struct {
		name, stream string
		want         []llm.Chunk
		end          error
	}{
		{"as documented", whole, ended("stop"), io.EOF},
		{"CRLF", strings.ReplaceAll(whole, "\n", "\r\n"), ended("stop"), io.EOF},
		{"unknown events and blocks", start + ev("news", `"what":1`) + open + hello + ev("content_block_delta", `"index":0,"delta":{"type":"new_delta"}`) + world + turn + stop, ended("stop"), io.EOF},
		{"thoughts first", start + ev("content_block_start", `"index":0,"content_block":{"type":"thinking","thinking":"","signature":""}`) +
			ev("content_block_delta", `"index":0,"delta":{"type":"thinking_delta","thinking":"hm"}`) + shut + open + hello + world + turn + stop, ended("stop"), io.EOF},
		{"a server's tool", start + ev("content_block_start", `"index":0,"content_block":{"type":"web_search_tool_result","tool_use_id":"x","content":[{"type":"web_search_result"}]}`) + hello + world + turn + stop, ended("stop"), io.EOF},
		{"text in the start of a block", start + ev("content_block_start", `"index":0,"content_block":{"type":"text","text":"Hello"}`) + world + turn + stop, ended("stop"), io.EOF},
		{"usage at the end", start + hello + world + strings.Replace(turn, `"output_tokens":7`, `"output_tokens":7,"input_tokens":5`, 1) + stop, ended("stop"), io.EOF},
		{"max_tokens", reason("max_tokens"), ended("length"), io.EOF},
		{"the window", reason("model_context_window_exceeded"), ended("length"), io.EOF},
		{"stop_sequence", reason("stop_sequence"), ended("stop"), io.EOF},
		{"refusal", reason("refusal"), ended("content_filter"), io.EOF},
		{"tool_use", reason("tool_use"), ended("tool_calls"), io.EOF},
		{"an unknown reason", reason("bored"), ended("stop"), io.EOF},
		{"an empty answer", start + turn + stop, []llm.Chunk{last}, io.EOF},
		{"cut off behind the reason", start + hello + world + turn, ended("stop"), io.EOF},
		{"no usage", open + hello + strings.Replace(turn, `"output_tokens":7`, ``, 1) + stop,
			[]llm.Chunk{{Content: "Hello"}, {Model: "claude", Usage: &llm.Usage{PromptTokens: 1, CompletionTokens: 2, Estimated: true}, Finish: "stop"}}, io.EOF},
		{"absurd usage", strings.NewReplacer(`tokens":5`, `tokens":-5`, `tokens":100`, `tokens":-1`, `tokens":20`, `tokens":-2`, `tokens":7`, `tokens":-7`).Replace(start + hello + turn + stop),
			[]llm.Chunk{{Content: "Hello"}, {Model: "claude-1", Usage: &llm.Usage{}, Finish: "stop"}}, io.EOF},

		{"nothing", "", nil, fault.Unavailable},
		{"an end without a reason", start + hello + stop, words[:1], fault.Unavailable},
		{"cut off between events", start + open + hello, words[:1], fault.Unavailable},
		{"cut off within an event", start + open + hello + `data: {"type":"content_bl`, words[:1], fault.Unavailable},
		{"an error at once", overloaded, nil, fault.Overloaded},
		{"an error event", start + open + hello + overloaded, words[:1], fault.Overloaded},
		{"an error of the server", start + hello + ev("error", `"error":{"type":"api_error","message":"Internal server error"}`), words[:1], fault.Unavailable},
		{"an endless line", start + hello + "data: " + strings.Repeat("x", 5000), words[:1], fault.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := serve(t, anthropic.Config{MaxEvent: 4096}, events(c.stream))
			got, err := read(t, p)
			if diff := cmp.Diff(c.want, got); diff != "" || !errors.Is(err, c.end) {
				t.Errorf("ended with %v, want %v\n%s", err, c.end, diff)
			}
		})
	}
}

// TestGenerate_splitBytes sends a stream byte by byte, so that characters and
// line ends arrive in pieces.
func TestGenerate_splitBytes(t *testing.T) {
	p, _ := serve(t, anthropic.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		flush := http.NewResponseController(w)
		for _, b := range []byte(whole) {
			_, _ = w.Write([]byte{b})
			_ = flush.Flush()
		}
	})
	got, err := read(t, p)
	if diff := cmp.Diff(ended("stop"), got); diff != "" || !errors.Is(err, io.EOF) {
		t.Errorf("%v\n%s", err, diff)
	}
}

// document answers with one JSON document.
func document(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}
}

func TestGenerate_wholeAnswer(t *testing.T) {
	for _, c := range []struct {
		body string
		want []llm.Chunk
		end  error
	}{
		{`{"id":"msg_1","type":"message","role":"assistant","model":"claude-1","content":[{"type":"text","text":"Hello"},{"type":"text","text":" wörld"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":5,"cache_read_input_tokens":100,"cache_creation_input_tokens":20,"output_tokens":7}}`,
			ended("stop"), io.EOF},
		{`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, nil, fault.Overloaded},
		{`{"type":"message","content":[]}`, nil, fault.Unavailable},
		{`{"type":"mess`, nil, fault.Unavailable},
	} {
		p, _ := serve(t, anthropic.Config{}, document(c.body))
		got, err := read(t, p)
		if diff := cmp.Diff(c.want, got); diff != "" || !errors.Is(err, c.end) {
			t.Errorf("%s: ended with %v, want %v\n%s", c.body, err, c.end, diff)
		}
	}
}

func TestGenerate_sends(t *testing.T) {
	conversation := llm.Prompt{MaxTokens: 7, Messages: []llm.Message{
		{Role: llm.System, Content: "be brief"}, {Role: llm.User, Content: "a"}, {Role: llm.User, Content: "b"},
		{Role: llm.Assistant, Content: "c"}, {Role: llm.Assistant, Content: " "}, {Role: llm.System, Content: "and kind"}, {Role: llm.User, Content: "d"},
	}}
	other := conversation
	other.Model, other.MaxTokens = "claude-2", 0
	messages := `"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"role":"assistant","content":[{"type":"text","text":"c"}]},{"role":"user","content":[{"type":"text","text":"d"}]}],`
	for _, c := range []struct {
		config anthropic.Config
		prompt llm.Prompt
		want   string
	}{
		{anthropic.Config{}, conversation, `{"model":"claude","system":[{"type":"text","text":"be brief"},{"type":"text","text":"and kind"}],` + messages + `"max_tokens":7,"stream":true}`},
		{anthropic.Config{MaxTokens: 99, Cache: true}, other, `{"model":"claude-2","system":[{"type":"text","text":"be brief"},{"type":"text","text":"and kind","cache_control":{"type":"ephemeral"}}],` + messages + `"max_tokens":99,"stream":true}`},
		{anthropic.Config{Cache: true}, question, `{"model":"claude","messages":[{"role":"user","content":[{"type":"text","text":"why?"}]}],"max_tokens":4096,"stream":true}`},
	} {
		p, f := serve(t, c.config, events(whole))
		s, err := p.Generate(t.Context(), c.prompt)
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
		if got := f.sent(); got != c.want {
			t.Errorf("sent %s\nwant %s", got, c.want)
		}
	}
}

func TestGenerate_errors(t *testing.T) {
	soon := time.Now().Add(time.Hour * 24).UTC().Format(time.RFC3339)
	for _, c := range []struct {
		status        int
		kind, message string
		header        map[string]string
		want          fault.Class
		wait          time.Duration
	}{
		{400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", nil, fault.Invalid, 0},
		{400, "invalid_request_error", "Your credit balance is too low to access the API.", nil, fault.Refused, 0},
		{401, "authentication_error", "invalid x-api-key", nil, fault.Refused, 0},
		{403, "permission_error", "not yours", nil, fault.Refused, 0},
		{404, "not_found_error", "model: claude", nil, fault.Unavailable, 0},
		{413, "request_too_large", "Request exceeds the maximum allowed number of bytes.", nil, fault.Invalid, 0},
		{429, "rate_limit_error", "slow down", map[string]string{"Retry-After": "3"}, fault.Overloaded, 3 * time.Second},
		{429, "rate_limit_error", "slow down", map[string]string{"Anthropic-Ratelimit-Input-Tokens-Remaining": "0", "Anthropic-Ratelimit-Input-Tokens-Reset": soon}, fault.Overloaded, time.Hour},
		{500, "api_error", "Internal server error", nil, fault.Unavailable, 0},
		{504, "timeout_error", "too long", nil, fault.Unavailable, 0},
		{529, "overloaded_error", "Overloaded", nil, fault.Overloaded, 0},
	} {
		p, _ := serve(t, anthropic.Config{}, func(w http.ResponseWriter, _ *http.Request) {
			for k, v := range c.header {
				w.Header().Set(k, v)
			}
			refuse(w, c.status, c.kind, c.message)
		})
		_, err := read(t, p)
		if fault.Of(err) != c.want || fault.RetryAfter(err) != c.wait || !strings.Contains(err.Error(), c.message) || strings.Contains(err.Error(), key) {
			t.Errorf("%d %s: %v, class %q, wait %v", c.status, c.kind, err, fault.Of(err), fault.RetryAfter(err))
		}
	}
	p, _ := serve(t, anthropic.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, 400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")
	})
	var long *fault.WindowError
	if _, err := read(t, p); !errors.As(err, &long) || long.Limit != 200000 {
		t.Errorf("a prompt that is too long: %v", err)
	}
	if _, err := p.Generate(t.Context(), llm.Prompt{Messages: []llm.Message{{Role: llm.System, Content: "s"}}}); fault.Field(err) != "/messages" {
		t.Errorf("a system prompt alone: %v", err)
	}
}

func TestNew_refuses(t *testing.T) {
	for field, c := range map[string]anthropic.Config{
		"/model":      {},
		"/url":        {Model: "m", URL: "a"},
		"/max_tokens": {Model: "m", MaxTokens: -1},
		"/max_event":  {Model: "m", MaxEvent: -1},
	} {
		if _, err := anthropic.New(c); !errors.Is(err, fault.Invalid) || fault.Field(err) != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := anthropic.New(anthropic.Config{Model: "m"}); err != nil {
		t.Errorf("defaults: %v", err)
	}
}

// hanging answers with the first words, and then with nothing until the client leaves.
func hanging(left chan<- struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, start+open+hello)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(left)
	}
}

func TestClose_cancelsUpstream(t *testing.T) {
	left := make(chan struct{})
	p, _ := serve(t, anthropic.Config{}, hanging(left))
	s, err := p.Generate(t.Context(), question)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := s.Next(); err != nil || c.Content != "Hello" {
		t.Fatalf("first chunk %+v, %v", c, err)
	}
	waits := make(chan error)
	go func() {
		_, err := s.Next()
		waits <- err
	}()
	_ = s.Close()
	<-left
	if err := <-waits; !errors.Is(err, context.Canceled) {
		t.Errorf("Next ended with %v", err)
	}
	_ = s.Close() // again
}

// TestClose_keepsConnection holds that a complete answer does not cost its connection.
func TestClose_keepsConnection(t *testing.T) {
	seen := map[string]bool{}
	p, _ := serve(t, anthropic.Config{}, func(w http.ResponseWriter, r *http.Request) {
		seen[r.RemoteAddr] = true
		events(whole)(w, r)
	})
	for range 3 {
		if _, err := read(t, p); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	if len(seen) != 1 {
		t.Errorf("3 answers took %d connections", len(seen))
	}
}

// TestLane_failsOver holds that a server that fails after its first events, but
// before its first words, is left for another.
func TestLane_failsOver(t *testing.T) {
	first, _ := serve(t, anthropic.Config{}, events(start+open+ping+ev("error", `"error":{"type":"overloaded_error","message":"Overloaded"}`)))
	second, _ := serve(t, anthropic.Config{}, events(whole))
	g, err := llm.New(llm.Config{Upstreams: []llm.Upstream{{Name: "first", Provider: first}, {Name: "second", Provider: second, Tier: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close() //nolint:errcheck // never fails
	s, err := g.Generate(t.Context(), question)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // never fails
	if c, err := s.Next(); err != nil || c.Content != "Hello" {
		t.Errorf("first chunk %+v, %v", c, err)
	}
}

// FuzzStream holds that no stream makes a panic, an endless answer or content
// that is empty.
func FuzzStream(f *testing.F) {
	for _, s := range []string{whole, start + hello, "event: error\ndata: {}\n\n", turn + stop} {
		f.Add([]byte(s))
	}
	var stream []byte
	p, _ := serve(f, anthropic.Config{MaxEvent: 1024}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(stream) })
	f.Fuzz(func(t *testing.T, data []byte) {
		stream = data
		chunks, err := read(t, p)
		if err == nil || errors.Is(err, io.EOF) != (len(chunks) > 0 && chunks[len(chunks)-1].Finish != "") {
			t.Errorf("%d chunks, ended with %v", len(chunks), err)
		}
		for _, c := range chunks {
			if c.Content == "" && c.Finish == "" {
				t.Errorf("chunk %+v says nothing", c)
			}
		}
	})
}

func Example() {
	// Stands for Anthropic's server.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, event := range []string{
			`{"type":"message_start","message":{"model":"claude","usage":{"input_tokens":3}}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Take lane 3."}}`,
			`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}`,
			`{"type":"message_stop"}`,
		} {
			_, _ = fmt.Fprintf(w, "data: %s\n\n", event)
		}
	}))
	defer server.Close()

	p, err := anthropic.New(anthropic.Config{URL: server.URL, Key: "sk-ant-0", Model: "claude"})
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := p.Generate(context.Background(), llm.Prompt{Messages: []llm.Message{{Role: llm.User, Content: "Which lane?"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close() //nolint:errcheck // never fails
	for {
		c, err := s.Next()
		if err != nil {
			break
		}
		fmt.Printf("%q%s\n", c.Content, c.Finish)
	}
	// Output:
	// "Take lane 3."
	// ""stop
}
