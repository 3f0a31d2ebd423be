package relay_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm/relay"
)

const hello = `"messages":[{"role":"user","content":"hello there"}]`

// TestBytes_changesOnlyWhatItMust holds where a body is spliced, and that every other
// byte of it stays.
func TestBytes_changesOnlyWhatItMust(t *testing.T) {
	const ask = `"stream_options":{"include_usage":true}`
	for _, c := range []struct{ name, body, want string }{
		{"another model", `{ "model" : "a", ` + hello + `}`, `{ "model" : "m", ` + hello + `}`},
		{"the same model", `{"model":"m",` + hello + `}`, `{"model":"m",` + hello + `}`},
		{"no model", `{` + hello + `}`, `{"model":"m",` + hello + `}`},
		{"a model with an escape", `{"model":"a\"b",` + hello + `}`, `{"model":"m",` + hello + `}`},
		{"not streamed", `{"model":"m","stream_options":null,` + hello + `}`, `{"model":"m","stream_options":null,` + hello + `}`},
		{"streamed", `{"model":"m","stream":true,` + hello + `}`, `{` + ask + `,"model":"m","stream":true,` + hello + `}`},
		{"asks already", `{"model":"m","stream":true,` + ask + `,` + hello + `}`, `{"model":"m","stream":true,` + ask + `,` + hello + `}`},
		{"asks not to", `{"stream_options":{"x":1,"include_usage" : false},"model":"a","stream":true,` + hello + `}`,
			`{"stream_options":{"x":1,"include_usage" : true},"model":"m","stream":true,` + hello + `}`},
		{"other options", `{"model":"a","stream_options":{ "x":[1]},"stream":true,` + hello + `}`,
			`{"model":"m","stream_options":{"include_usage":true, "x":[1]},"stream":true,` + hello + `}`},
		{"no options", `{"model":"a","stream_options":{ },"stream":true,` + hello + `}`,
			`{"model":"m","stream_options":{"include_usage":true },"stream":true,` + hello + `}`},
		{"null", `{"model":"a","stream_options":null,"stream":true,` + hello + `}`,
			`{"model":"m",` + ask + `,"stream":true,` + hello + `}`},
		{"the rest as it is", "{\"model\":\"a\",\n\t\"temperature\":1.50,\"x\":{\"model\":\"in there\"},\"y\":\"\\u0041\\\"}\", " + hello + "}\n",
			"{\"model\":\"m\",\n\t\"temperature\":1.50,\"x\":{\"model\":\"in there\"},\"y\":\"\\u0041\\\"}\", " + hello + "}\n"},
	} {
		call, err := relay.Parse(relay.Chat, []byte(c.body))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		call.Model = ""
		if got := string(call.Bytes(relay.Splice{Model: "m", Usage: true})); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.name, got, c.want)
		}
		if !json.Valid(call.Bytes(relay.Splice{Model: "m\n\"\\", Usage: true})) {
			t.Errorf("%s: %s is no JSON", c.name, call.Bytes(relay.Splice{Model: "m\n\"\\", Usage: true}))
		}
		if string(call.Body()) != c.body {
			t.Errorf("%s: the client's bytes were written to", c.name)
		}
	}
}

func TestParse_refuses(t *testing.T) {
	for _, c := range []struct{ body, field, says string }{
		{`[]`, "", "object"}, {``, "", "object"}, {`{`, "", "no JSON"}, {`{"model":"a",` + hello, "", "no JSON"},
		{`{"a":[}],` + hello + `}`, "", "no JSON"}, {`{` + hello + `}{}`, "", "follows"}, {`{` + hello + `,}`, "", "no JSON"},
		{`{"model":"a"}`, "/messages", "missing"}, {`{"messages":[]}`, "/messages", "empty"}, {`{"messages":"x"}`, "/messages", "list"},
		{`{"messages":["x"]}`, "/messages", "objects"},
		{`{"model":1,` + hello + `}`, "/model", "string"},
		{`{"model":"a","model":"b",` + hello + `}`, "/model", "twice"},
		{`{"model":"a","mod\u0065l":"b",` + hello + `}`, "/model", "twice"},
		{`{"Model":"b",` + hello + `}`, "/model", "written"},
		{`{"stream":"yes",` + hello + `}`, "/stream", "true or false"},
		{`{"stream":true,"stream":false,` + hello + `}`, "/stream", "twice"},
		{`{"n":"x",` + hello + `}`, "/n", "number"}, {`{"max_tokens":1.5,` + hello + `}`, "/max_tokens", "number"},
		{`{"stream_options":[],` + hello + `}`, "/stream_options", "object"},
		{`{"stream_options":{"include_usage":true,"include_usage":false},` + hello + `}`, "/stream_options", "twice"},
		{`{"x":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + `,` + hello + `}`, "", "no JSON"},
	} {
		_, err := relay.Parse(relay.Chat, []byte(c.body))
		if !errors.Is(err, fault.Invalid) || fault.Field(err) != c.field || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.60s: %v, want one about %q that says %q", c.body, err, c.field, c.says)
		}
	}
	if _, err := relay.Parse(relay.Text, []byte(`{`+hello+`}`)); fault.Field(err) != "/prompt" {
		t.Errorf("%v, want one about the prompt", err)
	}
}

func TestParse_reads(t *testing.T) {
	type facts struct {
		Model                  string
		Stream, Usage, Tools   bool
		Prompt, Limit, Answers int
	}
	for _, c := range []struct {
		endpoint relay.Endpoint
		body     string
		want     facts
	}{
		{relay.Chat, `{"model":"a",` + hello + `}`, facts{Model: "a", Prompt: 7, Answers: 1}},
		{relay.Chat, `{"model":"a\u0062",` + hello + `,"n":3,"max_tokens":10,"max_completion_tokens":2e1,"stream":true,"stream_options":{"include_usage":true}}`,
			facts{Model: "ab", Stream: true, Usage: true, Prompt: 7, Limit: 20, Answers: 3}},
		{relay.Chat, `{"messages":[{"content":[{"type":"text","text":"hello there"},{"type":"image_url","image_url":{"url":"data:` + strings.Repeat("A", 50_000) + `"}}],"role":"user"}]}`,
			facts{Prompt: 1007, Answers: 1}},
		{relay.Chat, `{"messages":[{"content":"中文 text","role":"user"}],"tools":[{"a":1}],"n":null,"stream":null}`, facts{Prompt: 10, Tools: true, Answers: 1}},
		{relay.Text, `{"prompt":"hello there"}`, facts{Prompt: 3, Answers: 1}},
		{relay.Text, `{"prompt":[1,2,3,4],"best_of":2}`, facts{Prompt: 4, Answers: 2}},
		{relay.Text, `{"prompt":["aaaa","bbbb"]}`, facts{Prompt: 4, Answers: 1}},
	} {
		call, err := relay.Parse(c.endpoint, []byte(c.body))
		if err != nil {
			t.Errorf("%.80s: %v", c.body, err)
			continue
		}
		got := facts{call.Model, call.Stream, call.Usage, call.Tools, call.PromptTokens, call.MaxTokens, call.Answers}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%.80s: %s", c.body, diff)
		}
	}
}

// TestParse_prefix holds which calls have the same one: the turns of a conversation,
// and questions behind the same long instructions.
func TestParse_prefix(t *testing.T) {
	prefix := func(messages string) uint64 {
		call, err := relay.Parse(relay.Chat, []byte(`{"messages":[`+messages+`]}`))
		if err != nil {
			t.Fatal(err)
		}
		return call.Prefix
	}
	say := func(role, text string) string { return fmt.Sprintf(`{"role":%q,"content":%q}`, role, text) }
	short, long := say("system", "Be brief."), say("system", strings.Repeat("A rule. ", 1000))
	if prefix(short+","+say("user", "a")) != prefix(short+","+say("user", "a")+","+say("assistant", "b")+","+say("user", "c")) {
		t.Error("the second turn of a conversation has another prefix")
	}
	if prefix(short+","+say("user", "a")) == prefix(short+","+say("user", "b")) {
		t.Error("two short conversations have the same prefix")
	}
	if prefix(long+","+say("user", "a")) != prefix(long+","+say("user", "b")) {
		t.Error("two questions behind the same long instructions have other prefixes")
	}
}

func TestLookAt(t *testing.T) {
	for _, c := range []struct {
		data string
		ok   bool
		want relay.Look
	}{
		{`[DONE]`, true, relay.Look{Done: true}},
		{` [DONE] `, true, relay.Look{Done: true}},
		{`{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`, true, relay.Look{Choices: true}},
		{`{"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[]}}]}`, true, relay.Look{Choices: true}},
		{`{"choices":[{"delta":{"content":"a\"b"}}],"usage":null}`, true, relay.Look{Choices: true, Says: true, Content: []byte(`a\"b`)}},
		{`{"choices":[{"delta":{"reasoning_content":"hm"}}]}`, true, relay.Look{Choices: true, Says: true}},
		{`{"choices":[{"delta":{"refusal":"no"}}]}`, true, relay.Look{Choices: true, Says: true}},
		{`{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}`, true, relay.Look{Choices: true, Says: true}},
		{`{"choices":[{"text":"t","finish_reason":"length"}]}`, true, relay.Look{Choices: true, Says: true, Ends: true, Content: []byte("t")}},
		{`{"choices":[{"message":{"role":"assistant","content":"t"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":2}}}`, true,
			relay.Look{Choices: true, Says: true, Ends: true, Content: []byte("t"), Counts: true, Usage: relay.Usage{PromptTokens: 3, CompletionTokens: 4, CachedTokens: 2}}},
		{`{"choices":[],"usage":{"prompt_tokens":-3,"completion_tokens":1e99,"prompt_tokens_details":null}}`, true,
			relay.Look{Counts: true, Usage: relay.Usage{CompletionTokens: 1 << 30}}},
		{`{"usage":{"prompt_tokens":"x"}}`, true, relay.Look{Counts: true}},
		{`{"error":{"message":"no"}}`, true, relay.Look{Error: true}},
		{`{"error":null,"choices":null}`, true, relay.Look{}},
		{`{"object":"error","message":"no"}`, true, relay.Look{Error: true}},
		{`{"choices":[1]}`, false, relay.Look{Choices: true}},
		{`{"choices":[`, false, relay.Look{}}, {``, false, relay.Look{}}, {`"x"`, false, relay.Look{}}, {`{} x`, false, relay.Look{}},
	} {
		got, ok := relay.LookAt([]byte(c.data))
		if ok != c.ok {
			t.Errorf("%s: %v, want %v", c.data, ok, c.ok)
		}
		if diff := cmp.Diff(c.want, got); ok && diff != "" {
			t.Errorf("%s: %s", c.data, diff)
		}
	}
}

func ExampleParse() {
	body := `{"model": "fast", "stream": true, "messages": [{"role": "user", "content": "Which lane?"}]}`
	call, err := relay.Parse(relay.Chat, []byte(body))
	if err != nil {
		fmt.Println(err)
		return
	}
	call.Model = "qwen3-8b" // what a chooser made of "fast"
	fmt.Printf("%s\n", call.Bytes(relay.Splice{}))
	// Output: {"model": "qwen3-8b", "stream": true, "messages": [{"role": "user", "content": "Which lane?"}]}
}
