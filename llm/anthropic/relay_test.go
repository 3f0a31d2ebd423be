package anthropic_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/anthropic"
	"github.com/lanewise/lanewise/llm/relay"
)

// parse reads a call as a client sends it.
func parse(tb testing.TB, body string) *relay.Call {
	tb.Helper()
	c, err := relay.Parse(relay.Chat, []byte(body))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// relayed returns everything that a client would read, without the time.
func relayed(tb testing.TB, r relay.Relayer, c *relay.Call) (string, error) {
	tb.Helper()
	reply, err := r.Relay(tb.Context(), c)
	if err != nil {
		return "", err
	}
	created := regexp.MustCompile(`"created":\d+`)
	if reply.Stream == nil {
		return created.ReplaceAllString(string(reply.Body), `"created":0`), nil
	}
	defer reply.Stream.Close() //nolint:errcheck // never fails
	var text strings.Builder
	for {
		e, err := reply.Stream.Next()
		if err != nil {
			if _, again := reply.Stream.Next(); !errors.Is(again, err) {
				tb.Errorf("a stream that ended with %v goes on with %v", err, again)
			}
			return created.ReplaceAllString(text.String(), `"created":0`), err
		}
		text.Write(e.Raw)
	}
}

// ask is a call with one question and more members.
func ask(more string) string {
	return `{"model":"m","messages":[{"role":"user","content":"why?"}]` + more + `}`
}

const (
	asked  = `"messages":[{"role":"user","content":[{"type":"text","text":"why?"}]}],"max_tokens":4096`
	answer = `{"id":"msg_1","type":"message","role":"assistant","model":"claude-1","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":5,"cache_read_input_tokens":100,"cache_creation_input_tokens":20,"output_tokens":7}}`
)

// TestRelay_translates holds what is sent for a call: everything that both sides
// have words for.
func TestRelay_translates(t *testing.T) {
	weather := `{"type":"function","function":{"name":"weather","description":"of a place","parameters":{"type":"object","properties":{"at":{"type":"string"}}},"strict":true}}`
	tools := `,"tools":[` + weather + `,{"type":"function","function":{"name":"now"}}]`
	sentTools := `"tools":[{"name":"weather","description":"of a place","input_schema":{"type":"object","properties":{"at":{"type":"string"}}}},{"name":"now","input_schema":{"type":"object","properties":{}}}]`
	for _, c := range []struct{ name, body, want string }{
		{"a question", ask(""), `{"model":"m",` + asked + `}`},
		{"its model", `{"messages":[{"role":"user","content":"why?"}]}`, `{"model":"claude",` + asked + `}`},
		{"limits", ask(`,"max_tokens":5,"stop":"END","temperature":0.5,"top_p":0.9,"top_k":3,"user":"u1","seed":1,"n":1,"logprobs":false,"presence_penalty":0.0,"response_format":{"type":"text"},"metadata":{"a":"b"}`),
			`{"model":"m",` + strings.Replace(asked, "4096", "5", 1) + `,"stop_sequences":["END"],"temperature":0.5,"top_p":0.9,"top_k":3,"metadata":{"user_id":"u1"}}`},
		{"the newer limit, a high temperature", ask(`,"max_completion_tokens":6,"stop":["a","b"],"temperature":2,"top_p":null`),
			`{"model":"m",` + strings.Replace(asked, "4096", "6", 1) + `,"stop_sequences":["a","b"],"temperature":1}`},
		{"no limits", ask(`,"max_tokens":null,"stop":null,"temperature":null,"tools":[],"tool_choice":"auto","parallel_tool_calls":true`), `{"model":"m",` + asked + `}`},
		{"roles", `{"model":"m","messages":[{"role":"system","content":"a"},{"role":"developer","content":[{"type":"text","text":"b"}]},{"role":"user","content":"c"},{"role":"user","content":"d"},{"role":"assistant","content":null,"refusal":"no"},{"role":"user","content":[{"type":"text","text":"e"},{"type":"text","text":" "}]}]}`,
			`{"model":"m","system":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"messages":[{"role":"user","content":[{"type":"text","text":"c"},{"type":"text","text":"d"}]},{"role":"assistant","content":[{"type":"text","text":"no"}]},{"role":"user","content":[{"type":"text","text":"e"}]}],"max_tokens":4096}`},
		{"images", `{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a/b.png","detail":"low"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,QUJD"}},{"type":"text","text":"what?"}]}]}`,
			`{"model":"m","messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://a/b.png"}},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"QUJD"}},{"type":"text","text":"what?"}]}],"max_tokens":4096}`},
		{"tools", ask(tools), `{"model":"m",` + asked + `,` + sentTools + `}`},
		{"no tool", ask(tools + `,"tool_choice":"none","parallel_tool_calls":false`), `{"model":"m",` + asked + `,` + sentTools + `,"tool_choice":{"type":"none"}}`},
		{"any tool", ask(tools + `,"tool_choice":"required"`), `{"model":"m",` + asked + `,` + sentTools + `,"tool_choice":{"type":"any"}}`},
		{"one tool at a time", ask(tools + `,"parallel_tool_calls":false`), `{"model":"m",` + asked + `,` + sentTools + `,"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}`},
		{"this tool", ask(tools + `,"tool_choice":{"type":"function","function":{"name":"now"}}`), `{"model":"m",` + asked + `,` + sentTools + `,"tool_choice":{"type":"tool","name":"now"}}`},
		{"tool results", `{"model":"m","messages":[{"role":"user","content":"weather?"},{"role":"assistant","content":"let me see","tool_calls":[{"id":"t1","type":"function","function":{"name":"weather","arguments":"{\"at\":\"Bern\"}"}},{"id":"t2","type":"function","function":{"name":"now","arguments":""}}]},{"role":"tool","tool_call_id":"t1","content":"sun"},{"role":"tool","tool_call_id":"t2","content":""},{"role":"user","content":"so?"}]` + tools + `}`,
			`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"weather?"}]},{"role":"assistant","content":[{"type":"text","text":"let me see"},{"type":"tool_use","id":"t1","name":"weather","input":{"at":"Bern"}},{"type":"tool_use","id":"t2","name":"now","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"sun"}]},{"type":"tool_result","tool_use_id":"t2"},{"type":"text","text":"so?"}]}],"max_tokens":4096,` + sentTools + `}`},
		{"a stream", ask(`,"stream":true,"stream_options":{"include_usage":true}`), `{"model":"m",` + asked + `,"stream":true}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			call := parse(t, c.body)
			handler := document(answer)
			if call.Stream {
				handler = events(whole)
			}
			p, f := serve(t, anthropic.Config{}, handler)
			if _, err := relayed(t, p, call); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, f.sent()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRelay_refuses holds that what cannot be said is refused by its field, and
// the server is not asked.
func TestRelay_refuses(t *testing.T) {
	p, f := serve(t, anthropic.Config{}, nil)
	for field, body := range map[string]string{
		"/n":                                  ask(`,"n":2`),
		"/logprobs":                           ask(`,"logprobs":true`),
		"/logit_bias":                         ask(`,"logit_bias":{"5":1}`),
		"/presence_penalty":                   ask(`,"presence_penalty":0.5`),
		"/functions":                          ask(`,"functions":[{"name":"a"}]`),
		"/response_format":                    ask(`,"response_format":{"type":"json_object"}`),
		"/max_tokens":                         ask(`,"max_tokens":0`),
		"/stop":                               ask(`,"stop":5`),
		"/user":                               ask(`,"user":5`),
		"/tools/0/type":                       ask(`,"tools":[{"type":"custom"}]`),
		"/tool_choice":                        ask(`,"tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":"some"`),
		"/messages":                           `{"messages":[{"role":"system","content":"s"}]}`,
		"/messages/0/role":                    `{"messages":[{"role":"function","content":"s"}]}`,
		"/messages/0/content":                 `{"messages":[{"role":"user","content":5}]}`,
		"/messages/0/content/1/type":          `{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"input_audio"}]}]}`,
		"/messages/0/content/0/image_url/url": `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"ftp://a"}}]}]}`,
		"/messages/0/tool_call_id":            `{"messages":[{"role":"tool","content":"s"}]}`,
		"/messages/0/tool_calls/0/function/arguments": `{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"[1]"}}]}]}`,
	} {
		if _, err := relayed(t, p, parse(t, body)); !errors.Is(err, fault.Invalid) || fault.Field(err) != field {
			t.Errorf("%s: %v, field %q", body, err, fault.Field(err))
		}
	}
	plain, err := relay.Parse(relay.Text, []byte(`{"prompt":"once"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Relay(t.Context(), plain); !errors.Is(err, fault.Invalid) {
		t.Errorf("a plain completion: %v", err)
	}
	if f.sent() != "" {
		t.Errorf("sent %s", f.sent())
	}
}

// TestRelay_whole holds what a client reads of whole answers.
func TestRelay_whole(t *testing.T) {
	head := `{"id":"msg_1","object":"chat.completion","created":0,"model":"claude-1","choices":[{"index":0,"message":`
	tail := `,"usage":{"prompt_tokens":125,"completion_tokens":7,"total_tokens":132,"prompt_tokens_details":{"cached_tokens":100}}}`
	text := `[{"type":"text","text":"Hi"}]`
	for _, c := range []struct{ name, content, stop, want string }{
		{"a text", text, "end_turn", `{"role":"assistant","content":"Hi"},"logprobs":null,"finish_reason":"stop"}]`},
		{"several texts", `[{"type":"text","text":"H"},{"type":"text","text":"i"}]`, "max_tokens", `{"role":"assistant","content":"Hi"},"logprobs":null,"finish_reason":"length"}]`},
		{"nothing", `[]`, "refusal", `{"role":"assistant","content":""},"logprobs":null,"finish_reason":"content_filter"}]`},
		{"thoughts", `[{"type":"thinking","thinking":"hm","signature":"x"},{"type":"redacted_thinking","data":"x"},{"type":"text","text":"Hi"}]`, "stop_sequence", `{"role":"assistant","content":"Hi","reasoning_content":"hm"},"logprobs":null,"finish_reason":"stop"}]`},
		{"tools", `[{"type":"tool_use","id":"t1","name":"weather","input":{"at": "Bern"}},{"type":"tool_use","id":"t2","name":"now","input":{}}]`, "tool_use",
			`{"role":"assistant","tool_calls":[{"id":"t1","type":"function","function":{"name":"weather","arguments":"{\"at\": \"Bern\"}"}},{"id":"t2","type":"function","function":{"name":"now","arguments":"{}"}}]},"logprobs":null,"finish_reason":"tool_calls"}]`},
	} {
		p, _ := serve(t, anthropic.Config{}, document(strings.NewReplacer(text, c.content, "end_turn", c.stop).Replace(answer)))
		got, err := relayed(t, p, parse(t, ask("")))
		if diff := cmp.Diff(head+c.want+tail, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", c.name, err, diff)
		}
	}
	p, _ := serve(t, anthropic.Config{}, document(answer))
	reply, err := p.Relay(t.Context(), parse(t, ask("")))
	if err != nil || reply.Usage == nil || *reply.Usage != (relay.Usage{PromptTokens: 125, CompletionTokens: 7, CachedTokens: 100}) {
		t.Errorf("%+v, %v", reply, err)
	}
	for name, handler := range map[string]http.HandlerFunc{
		"a stream": events(whole), "an error": document(`{"type":"error","error":{"type":"api_error","message":"m"}}`), "no end": document(`{"type":"message"}`),
	} {
		p, _ := serve(t, anthropic.Config{}, handler)
		if _, err := p.Relay(t.Context(), parse(t, ask(""))); !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// chunk is one of OpenAI's, with a delta and a finish reason.
func chunk(delta, finish string) string {
	return `data: {"id":"msg_1","object":"chat.completion.chunk","created":0,"model":"claude-1","choices":[{"index":0,"delta":` + delta + `,"logprobs":null,"finish_reason":` + finish + "}]}\n\n"
}

const (
	cRole  = `{"role":"assistant","content":""}`
	cUsage = `data: {"id":"msg_1","object":"chat.completion.chunk","created":0,"model":"claude-1","choices":[],"usage":{"prompt_tokens":125,"completion_tokens":7,"total_tokens":132,"prompt_tokens_details":{"cached_tokens":100}}}` + "\n\n"
	cDone  = "data: [DONE]\n\n"
)

// TestRelay_streams holds what a client reads of a stream.
func TestRelay_streams(t *testing.T) {
	end := chunk(`{}`, `"stop"`) + cUsage + cDone
	role := chunk(cRole, `null`)
	said := role + chunk(`{"content":"Hello"}`, `null`) + chunk(`{"content":" wörld"}`, `null`)
	use := func(at, id, name string) string {
		return ev("content_block_start", `"index":`+at+`,"content_block":{"type":"tool_use","id":"`+id+`","name":"`+name+`","input":{}}`)
	}
	part := func(text string) string {
		quoted, _ := json.Marshal(text)
		return ev("content_block_delta", `"index":1,"delta":{"type":"input_json_delta","partial_json":`+string(quoted)+`}`)
	}
	asks := strings.Replace(turn, "end_turn", "tool_use", 1)
	for _, c := range []struct {
		name, stream, want string
		end                error
	}{
		{"words", start + open + hello + world + shut + turn + stop, said + end, io.EOF},
		{"a ping", start + ping + open + hello + world + turn + stop, role + ": ping\n\n" + said[len(role):] + end, io.EOF},
		{"in CRLF", strings.ReplaceAll(start+open+hello+world+shut+turn+stop, "\n", "\r\n"), said + end, io.EOF},
		{"thoughts", start + ev("content_block_delta", `"index":0,"delta":{"type":"thinking_delta","thinking":"hm"}`) + ev("content_block_delta", `"index":0,"delta":{"type":"signature_delta","signature":"x"}`) + turn + stop,
			role + chunk(`{"reasoning_content":"hm"}`, `null`) + end, io.EOF},
		{"tools", start + open + shut + use("1", "t1", "weather") + part("") + part(`{"at":`) + part(` "Bern"}`) + ev("content_block_stop", `"index":1`) +
			use("2", "t2", "now") + part("") + ev("content_block_stop", `"index":2`) + asks + stop,
			role + chunk(`{"tool_calls":[{"index":0,"id":"t1","type":"function","function":{"name":"weather","arguments":""}}]}`, `null`) +
				chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"{\"at\":"}}]}`, `null`) + chunk(`{"tool_calls":[{"index":0,"function":{"arguments":" \"Bern\"}"}}]}`, `null`) +
				chunk(`{"tool_calls":[{"index":1,"id":"t2","type":"function","function":{"name":"now","arguments":""}}]}`, `null`) + chunk(`{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}`, `null`) +
				chunk(`{}`, `"tool_calls"`) + cUsage + cDone, io.EOF},
		{"without the last event", start + open + hello + world + shut + turn, said + end, io.EOF},
		{"broken off", start + open + hello + world, said, fault.Unavailable},
		{"an error", start + open + hello + world + ev("error", `"error":{"type":"overloaded_error","message":"Overloaded"}`), said, fault.Overloaded},
		{"no JSON", start + open + hello + world + "data: {\n\n", said, fault.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := serve(t, anthropic.Config{}, events(c.stream))
			got, err := relayed(t, p, parse(t, ask(`,"stream":true`)))
			if diff := cmp.Diff(c.want, got); diff != "" || !errors.Is(err, c.end) {
				t.Errorf("ended with %v, want %v\n%s", err, c.end, diff)
			}
		})
	}
	p, _ := serve(t, anthropic.Config{}, document(answer)) // a gateway that does not stream
	got, err := relayed(t, p, parse(t, ask(`,"stream":true`)))
	if diff := cmp.Diff(role+chunk(`{"content":"Hi"}`, `null`)+end, got); diff != "" || !errors.Is(err, io.EOF) {
		t.Errorf("one document: %v\n%s", err, diff)
	}
}

// TestRelay_throughALane holds that the lane fails over before the first words,
// leaves out the usage that was not asked for, and is left without load.
func TestRelay_throughALane(t *testing.T) {
	bad, _ := serve(t, anthropic.Config{}, events(start+open+ping+ev("error", `"error":{"type":"overloaded_error","message":"Overloaded"}`)))
	good, _ := serve(t, anthropic.Config{}, events(whole))
	g, err := llm.New(llm.Config{Upstreams: []llm.Upstream{{Name: "bad", Provider: bad}, {Name: "good", Provider: good, Tier: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	want := chunk(cRole, `null`) + ": ping\n\n" + chunk(`{"content":"Hello"}`, `null`) + chunk(`{"content":" wörld"}`, `null`) + chunk(`{}`, `"stop"`)
	for options, end := range map[string]string{"": cDone, `,"stream_options":{"include_usage":true}`: cUsage + cDone} {
		got, err := relayed(t, g, parse(t, ask(`,"stream":true`+options)))
		if diff := cmp.Diff(want+end, got); diff != "" || !errors.Is(err, io.EOF) {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	_ = g.Close()
	for _, m := range g.Snapshot().Members {
		if m.Inflight != 0 || m.Load != 0 {
			t.Errorf("member %s is left with %d attempts of load %d", m.Name, m.Inflight, m.Load)
		}
	}
}

func TestRelay_closeCancels(t *testing.T) {
	left := make(chan struct{})
	p, _ := serve(t, anthropic.Config{}, hanging(left))
	reply, err := p.Relay(t.Context(), parse(t, ask(`,"stream":true`)))
	if err != nil {
		t.Fatal(err)
	}
	if e, err := reply.Stream.Next(); err != nil || e.Says {
		t.Errorf("%s, %v: want the role", e.Raw, err)
	}
	_ = reply.Stream.Close()
	<-left
}

// FuzzRelay holds that no body makes a panic, and every call that is made follows
// the API's rules, as far as the fake knows them, or comes from one that OpenAI
// would refuse too.
func FuzzRelay(f *testing.F) {
	for _, s := range []string{ask(`,"n":2`), ask(`,"tools":[{"type":"function","function":{"name":"a"}}]`), `{"messages":[{"role":"tool","tool_call_id":"a","content":[]}]}`} {
		f.Add([]byte(s))
	}
	p, err := anthropic.New(anthropic.Config{URL: "http://127.0.0.1:1", Model: "m"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := relay.Parse(relay.Chat, body)
		if err != nil {
			return
		}
		if _, err := p.Relay(t.Context(), c); !errors.Is(err, fault.Invalid) && !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", body, err)
		}
	})
}
