package openai_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/openai"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var question = llm.Prompt{Messages: []llm.Message{{Role: llm.User, Content: "why?"}}}

// serve returns a provider on a server that answers with handler.
func serve(tb testing.TB, c openai.Config, handler http.HandlerFunc) *openai.Provider {
	tb.Helper()
	s := httptest.NewServer(handler)
	tb.Cleanup(s.Close)
	c.URL, c.Model = s.URL, "m"
	p, err := openai.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = p.Close() })
	return p
}

// events answers with a stream of server-sent events.
func events(stream string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_, _ = io.WriteString(w, stream)
	}
}

// read returns the chunks of an answer to question, and what it ended with.
func read(tb testing.TB, p *openai.Provider) ([]llm.Chunk, error) {
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

// Parts of streams.
const (
	role   = `data: {"model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}` + "\n\n"
	hello  = `data: {"model":"m-1","choices":[{"index":0,"delta":{"content":"Hello"}}]}` + "\n\n"
	world  = `data: {"model":"m-1","choices":[{"index":0,"delta":{"content":" wörld"}}]}` + "\n\n"
	stop   = `data: {"model":"m-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	usage  = `data: {"model":"m-1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}` + "\n\n"
	done   = "data: [DONE]\n\n"
	broken = `data: {"choices":[{"delta":{"content":"Hel` + "\n\n"
)

var (
	reported  = &llm.Usage{PromptTokens: 9, CompletionTokens: 2}
	estimated = &llm.Usage{PromptTokens: 1, CompletionTokens: 5, Estimated: true}
	last      = llm.Chunk{Model: "m-1", Usage: reported, Finish: "stop"}
	guessed   = llm.Chunk{Model: "m-1", Usage: estimated, Finish: "stop"}
)

func TestGenerate_streams(t *testing.T) {
	words := []llm.Chunk{{Content: "Hello"}, {Content: " wörld"}}
	whole := append(words[:2:2], last)
	guess := append(words[:2:2], guessed)
	for _, c := range []struct {
		name, stream string
		want         []llm.Chunk
		end          error
	}{
		{"as OpenAI", role + hello + world + stop + usage + done, whole, io.EOF},
		{"CRLF", strings.ReplaceAll(role+hello+world+stop+usage+done, "\n", "\r\n"), whole, io.EOF},
		{"comments", ": waiting\n\n" + hello + ": ping\n\n" + world + stop + usage + done, whole, io.EOF},
		{"no DONE", role + hello + world + stop + usage, whole, io.EOF},
		{"no DONE, no usage", role + hello + world + stop, guess, io.EOF},
		{"no usage", role + hello + world + stop + done, guess, io.EOF},
		{"no finish reason, DONE", role + hello + world + done, guess, io.EOF},
		{"usage on the finish chunk", hello + world + strings.Replace(stop, `}]}`, `}],"usage":{"prompt_tokens":9,"completion_tokens":2}}`, 1) + done, whole, io.EOF},
		{"usage without choices", hello + world + stop + `data: {"usage":{"prompt_tokens":9,"completion_tokens":2}}` + "\n\n" + done, whole, io.EOF},
		{"usage before the finish", hello + world + usage + stop + done, whole, io.EOF},
		{"words with the finish reason", hello + strings.Replace(stop, `"delta":{}`, `"delta":{"content":" wörld"}`, 1) + usage, append(words[:2:2], last), io.EOF},
		{"data over several lines", "data: {\"model\":\"m-1\",\ndata: \"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n" + world + stop + usage, whole, io.EOF},
		{"other choices", `data: {"choices":[{"index":1,"delta":{"content":"x"}}]}` + "\n\n" + hello + world + stop + usage, whole, io.EOF},
		{"empty data", "data:\n\n" + hello + world + stop + usage, whole, io.EOF},
		{"null error", strings.Replace(hello, `{"model"`, `{"error":null,"model"`, 1) + world + stop + usage, whole, io.EOF},
		{"a refusal", strings.Replace(hello, `"content"`, `"refusal"`, 1) + world + stop + usage, whole, io.EOF},
		{"an empty answer", role + stop + usage + done, []llm.Chunk{last}, io.EOF},
		{"absurd usage", hello + stop + strings.ReplaceAll(usage, `_tokens":`, `_tokens":-`), []llm.Chunk{{Content: "Hello"}, {Model: "m-1", Usage: &llm.Usage{}, Finish: "stop"}}, io.EOF},
		{"a cached prompt", hello + world + stop + strings.Replace(usage, `"usage":{`, `"usage":{"prompt_tokens_details":{"cached_tokens":8},`, 1) + done,
			append(words[:2:2], llm.Chunk{Model: "m-1", Usage: &llm.Usage{PromptTokens: 9, CompletionTokens: 2, CachedTokens: 8}, Finish: "stop"}), io.EOF},
		{"more cached than prompt", hello + world + stop + strings.Replace(usage, `"usage":{`, `"usage":{"prompt_tokens_details":{"cached_tokens":800},`, 1) + done,
			append(words[:2:2], llm.Chunk{Model: "m-1", Usage: &llm.Usage{PromptTokens: 9, CompletionTokens: 2, CachedTokens: 9}, Finish: "stop"}), io.EOF},
		{"broken off behind the finish", hello + world + stop + usage + "data: {", whole, io.EOF},

		{"nothing", "", nil, fault.Unavailable},
		{"DONE alone", done, nil, fault.Unavailable},
		{"only a role", role, nil, fault.Unavailable},
		{"cut off between chunks", role + hello, words[:1], fault.Unavailable},
		{"cut off within a chunk", hello + strings.TrimSuffix(broken, "\n\n"), words[:1], fault.Unavailable},
		{"no JSON", hello + broken, words[:1], fault.Unavailable},
		{"an error", hello + `data: {"error":{"message":"out of memory","code":500}}` + "\n\n", words[:1], fault.Unavailable},
		{"an error at once", `data: {"error":{"message":"slow down","code":"rate_limit_exceeded"}}` + "\n\n" + done, nil, fault.Overloaded},
		{"an error event", hello + "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n", words[:1], fault.Overloaded},
		{"a flat error", `data: {"object":"error","message":"too long","type":"BadRequestError","code":400}` + "\n\n", nil, fault.Invalid},
		{"an endless line", hello + "data: " + strings.Repeat("x", 5000), words[:1], fault.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := read(t, serve(t, openai.Config{MaxEvent: 4096}, events(c.stream)))
			if diff := cmp.Diff(c.want, got); diff != "" || !errors.Is(err, c.end) {
				t.Errorf("ended with %v, want %v\n%s", err, c.end, diff)
			}
		})
	}
}

// TestGenerate_splitBytes sends a stream byte by byte, so that characters and
// line ends arrive in pieces.
func TestGenerate_splitBytes(t *testing.T) {
	p := serve(t, openai.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		flush := http.NewResponseController(w)
		for _, b := range []byte(hello + world + stop + usage + done) {
			_, _ = w.Write([]byte{b})
			_ = flush.Flush()
		}
	})
	got, err := read(t, p)
	if diff := cmp.Diff([]llm.Chunk{{Content: "Hello"}, {Content: " wörld"}, last}, got); diff != "" || !errors.Is(err, io.EOF) {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestGenerate_wholeAnswer(t *testing.T) {
	for _, c := range []struct {
		body string
		want []llm.Chunk
		end  error
	}{
		{`{"model":"m-1","choices":[{"message":{"content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2}}`,
			[]llm.Chunk{{Content: "Hello"}, last}, io.EOF},
		{`{"model":"m-1","choices":[{"message":{"content":"Hello"}}],"usage":{"prompt_tokens":9,"completion_tokens":2}}`,
			[]llm.Chunk{{Content: "Hello"}, last}, io.EOF},
		{`{"error":{"message":"loading","code":503}}`, nil, fault.Unavailable},
		{`{"choices":[]}`, nil, fault.Unavailable},
		{`{"choices":[{"mess`, nil, fault.Unavailable},
	} {
		got, err := read(t, serve(t, openai.Config{}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, c.body)
		}))
		if diff := cmp.Diff(c.want, got); diff != "" || !errors.Is(err, c.end) {
			t.Errorf("%s: ended with %v, want %v\n%s", c.body, err, c.end, diff)
		}
	}
}

func TestGenerate_sends(t *testing.T) {
	prompt := llm.Prompt{MaxTokens: 7, Messages: []llm.Message{{Role: llm.System, Content: "s"}, {Role: llm.User, Content: "u"}}}
	other := prompt
	other.Model, other.MaxTokens = "m-2", 0
	messages := `"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}],"stream":true`
	for _, c := range []struct {
		config openai.Config
		prompt llm.Prompt
		want   string
	}{
		{openai.Config{}, prompt, `{"model":"m",` + messages + `,"stream_options":{"include_usage":true},"max_tokens":7}`},
		{openai.Config{}, other, `{"model":"m-2",` + messages + `,"stream_options":{"include_usage":true}}`},
		{openai.Config{NoUsage: true, LimitField: "max_completion_tokens"}, prompt, `{"model":"m",` + messages + `,"max_completion_tokens":7}`},
	} {
		var got string
		p := serve(t, c.config, func(w http.ResponseWriter, r *http.Request) {
			data, _ := io.ReadAll(r.Body)
			got = string(data)
			events(hello+stop)(w, r)
		})
		s, err := p.Generate(t.Context(), c.prompt)
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
		if got != c.want {
			t.Errorf("sent %s\nwant %s", got, c.want)
		}
	}
}

func TestGenerate_refused(t *testing.T) {
	p := serve(t, openai.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	})
	if _, err := read(t, p); !errors.Is(err, fault.Refused) {
		t.Errorf("error %v", err)
	}
	if _, err := p.Generate(t.Context(), llm.Prompt{}); fault.Field(err) != "/messages" {
		t.Errorf("no messages: %v", err)
	}
}

func TestNew_refuses(t *testing.T) {
	for field, c := range map[string]openai.Config{
		"/model":       {URL: "http://a"},
		"/url":         {Model: "m", URL: "a"},
		"/limit_field": {Model: "m", URL: "http://a", LimitField: "length"},
		"/max_event":   {Model: "m", URL: "http://a", MaxEvent: -1},
	} {
		if _, err := openai.New(c); !errors.Is(err, fault.Invalid) || fault.Field(err) != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// hanging answers with the first words, and then with nothing until the client leaves.
func hanging(left chan<- struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, hello)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(left)
	}
}

func TestClose_cancelsUpstream(t *testing.T) {
	left := make(chan struct{})
	s, err := serve(t, openai.Config{}, hanging(left)).Generate(t.Context(), question)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := s.Next(); err != nil || c.Content != "Hello" {
		t.Fatalf("first chunk %+v, %v", c, err)
	}
	ended := make(chan error)
	go func() {
		_, err := s.Next()
		ended <- err
	}()
	_ = s.Close()
	<-left
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Next ended with %v", err)
	}
	_ = s.Close() // again
}

func TestGenerate_contextGovernsTheStream(t *testing.T) {
	left := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	s, err := serve(t, openai.Config{}, hanging(left)).Generate(ctx, question)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // never fails
	_, _ = s.Next()
	cancel()
	<-left
	if _, err := s.Next(); !errors.Is(err, context.Canceled) || fault.Of(err) != "" {
		t.Errorf("error %v, class %q", err, fault.Of(err))
	}
}

// TestClose_keepsConnection holds that a complete answer does not cost its connection.
func TestClose_keepsConnection(t *testing.T) {
	seen := map[string]bool{}
	p := serve(t, openai.Config{}, func(w http.ResponseWriter, r *http.Request) {
		seen[r.RemoteAddr] = true
		events(hello+stop+usage+done)(w, r)
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

// TestClose_serverHoldsTheBody holds that a server that goes on after its answer
// does not hold up the client.
func TestClose_serverHoldsTheBody(t *testing.T) {
	p := serve(t, openai.Config{}, func(w http.ResponseWriter, r *http.Request) {
		events(hello+stop+usage+done)(w, r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // for ever, if the client waits too
	})
	if _, err := read(t, p); !errors.Is(err, io.EOF) {
		t.Errorf("ended with %v", err)
	}
}

// FuzzStream holds that no stream makes a panic, an endless answer or content
// that JSON does not hold.
func FuzzStream(f *testing.F) {
	for _, s := range []string{hello + stop + usage + done, role + hello + broken, "event: error\ndata: {}\n\n"} {
		f.Add([]byte(s))
	}
	var stream []byte
	p := serve(f, openai.Config{MaxEvent: 1024}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(stream) })
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

func BenchmarkNext(b *testing.B) {
	p := serve(b, openai.Config{}, events(strings.Repeat(hello, 1000)+stop+done))
	for b.Loop() {
		if chunks, err := read(b, p); len(chunks) != 1001 || !errors.Is(err, io.EOF) {
			b.Fatal(len(chunks), err)
		}
	}
}

func Example() {
	// Stands for vLLM, llama.cpp, Ollama or a hosted model.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, word := range []string{"Take", " lane", " 3."} {
			chunk, _ := json.Marshal(map[string]any{"choices": []any{map[string]any{"delta": map[string]string{"content": word}}}})
			_, _ = fmt.Fprintf(w, "data: %s\n\n", chunk)
		}
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	}))
	defer server.Close()

	p, err := openai.New(openai.Config{URL: server.URL, Model: "qwen"})
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
	// "Take"
	// " lane"
	// " 3."
	// ""stop
}
