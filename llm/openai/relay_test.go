package openai_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/openai"
	"github.com/lanewise/lanewise/llm/relay"
)

// asked is a call for a streamed answer, or a whole one.
func asked(tb testing.TB, stream, usage string) *relay.Call {
	tb.Helper()
	c, err := relay.Parse(relay.Chat, []byte(`{"model":"m","messages":[{"role":"user","content":"why?"}],"stream":`+stream+usage+`}`))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

const wantsUsage = `,"stream_options":{"include_usage":true}`

// relayed returns everything that a client would read of a stream.
func relayed(tb testing.TB, g relay.Relayer, c *relay.Call) (string, *relay.Reply, error) {
	tb.Helper()
	reply, err := g.Relay(tb.Context(), c)
	if err != nil {
		return "", nil, err
	}
	if reply.Stream == nil {
		return string(reply.Body), reply, nil
	}
	defer reply.Stream.Close() //nolint:errcheck // never fails
	var text strings.Builder
	for {
		e, err := reply.Stream.Next()
		if err != nil {
			if _, again := reply.Stream.Next(); !errors.Is(again, err) {
				tb.Errorf("a stream that ended with %v goes on with %v", err, again)
			}
			return text.String(), reply, err
		}
		text.Write(e.Raw)
	}
}

// idle checks that a lane is left without load.
func idle(tb testing.TB, g *llm.Generator) {
	tb.Helper()
	_ = g.Close()
	for _, m := range g.Snapshot().Members {
		if m.Inflight != 0 || m.Load != 0 {
			tb.Errorf("member %s is left with %d attempts of load %d", m.Name, m.Inflight, m.Load)
		}
	}
}

// bytewise sends every byte by itself, so that runes and line ends are split.
func bytewise(stream string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range len(stream) {
			_, _ = w.Write([]byte{stream[i]})
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// TestRelay_failsOver holds what comes out of every end of an upstream, byte for
// byte: another upstream's answer before the first content, an error behind it.
func TestRelay_failsOver(t *testing.T) {
	good := role + hello + stop + done
	for name, c := range map[string]struct {
		broken http.HandlerFunc
		want   string
		end    error
	}{
		"429":                {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, good, io.EOF},
		"a refused key":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, good, io.EOF},
		"hangs up":           {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, good, io.EOF},
		"ends after a role":  {events(role), good, io.EOF},
		"only usage":         {events(role + usage + done), good, io.EOF},
		"only the end":       {events(done), good, io.EOF},
		"an error after 200": {events(role + `data: {"error":{"message":"out of memory"}}` + "\n\n"), good, io.EOF},
		"an error event":     {events(role + "event: error\ndata: gone\n\n"), good, io.EOF},
		"malformed":          {events(role + "data: {\n\n"), good, io.EOF},
		"half a rune":        {events(role + "data: {\"choices\":[{\"delta\":{\"content\":\"\xe6"), good, io.EOF},
		"a page":             {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>\n\n") }, good, io.EOF},
		"no stream":          {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "application/json") }, good, io.EOF},
		"an endless line":    {events(strings.Repeat("x", 3<<20)), good, io.EOF},
		"breaks off later":   {events(role + world), role + world, fault.Unavailable},
		"an error later":     {events(world + "event: error\ndata: gone\n\n"), world, fault.Unavailable},
		"nonsense later":     {events(world + "data: {\n\n"), world, fault.Unavailable},
		"too much later":     {events(world + "data: {\"error\":{\"message\":\"slow down\",\"code\":\"rate_limit_exceeded\"}}\n\n"), world, fault.Overloaded},
		"without its end":    {events(world + stop), world + stop + "data: [DONE]\n\n", io.EOF},
		"without a blank":    {events(world + strings.TrimRight(stop, "\n")), world + stop + "data: [DONE]\n\n", io.EOF},
		"in CRLF":            {events(strings.ReplaceAll(": ping\n\n"+world+stop+done, "\n", "\r\n")), strings.ReplaceAll(": ping\n\n"+world+stop+done, "\n", "\r\n"), io.EOF},
		"data in lines":      {events("data: {\"choices\":\ndata: [{\"delta\":{\"content\":\"x\"}}]}\n\n" + stop + usage + done), "data: {\"choices\":\ndata: [{\"delta\":{\"content\":\"x\"}}]}\n\n" + stop + done, io.EOF},
		"byte by byte":       {bytewise(world + stop), world + stop + done, io.EOF},
		"behind the end":     {events(world + stop + done + world), world + stop + done, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			g := over(t, serve(t, openai.Config{}, c.broken), serve(t, openai.Config{}, events(role+hello+stop+usage+done)))
			got, _, err := relayed(t, g, asked(t, "true", ""))
			if got != c.want || !errors.Is(err, c.end) {
				t.Errorf("ended with %v, want %v\n%s, want\n%s", err, c.end, got, c.want)
			}
			idle(t, g)
		})
	}
}

// TestRelay_invalid holds that an error which every upstream would give is passed
// on at once, with its code.
func TestRelay_invalid(t *testing.T) {
	for _, body := range []string{
		`{"error":{"message":"This model's maximum context length is 2048","type":"BadRequestError","param":null,"code":400}}`,
		`{"error":{"message":"m","type":"invalid_request_error","code":"context_length_exceeded"}}`,
		`{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}}`,
	} {
		first := serve(t, openai.Config{}, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, body)
		})
		second := serve(t, openai.Config{}, func(http.ResponseWriter, *http.Request) { t.Error("the second upstream was asked") })
		g := over(t, first, second)
		for _, stream := range []string{"true", "false"} {
			if _, err := g.Relay(t.Context(), asked(t, stream, "")); !errors.Is(err, fault.Invalid) || !errors.As(err, new(*fault.WindowError)) {
				t.Errorf("%v, want one about the window", err)
			}
		}
		idle(t, g)
	}
}

func TestRelay_whole(t *testing.T) {
	const answer = `{"id":"1","choices":[{"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}, "x":1.50}`
	document := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if want := `{"model":"m","messages":[{"role":"user","content":"why?"}],"stream":false}`; string(body) != want {
				t.Errorf("sent %s, want %s", body, want)
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, text)
		}
	}
	for name, first := range map[string]string{
		"answers": answer, "an error": `{"error":{"message":"overloaded"}}`, "no JSON": `<html>`, "no choices": `{"choices":[]}`, "cut off": answer[:40],
	} {
		g := over(t, serve(t, openai.Config{}, document(first)), serve(t, openai.Config{}, document(answer)))
		got, reply, err := relayed(t, g, asked(t, "false", ""))
		if err != nil || got != answer || reply.Usage == nil || reply.Usage.CompletionTokens != 1 {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		if want := map[bool]string{true: "first", false: "second"}[name == "answers"]; err == nil && reply.Route.Upstream != want {
			t.Errorf("%s: answered by %+v, want %s", name, reply.Route, want)
		}
		idle(t, g)
	}
}

// TestRelay_usage holds that the usage is asked for, and passed on to those alone
// that have asked for it.
func TestRelay_usage(t *testing.T) {
	for options, want := range map[string]string{"": hello + stop + done, wantsUsage: hello + stop + usage + done} {
		p := serve(t, openai.Config{}, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if !strings.Contains(string(body), `"stream_options":{"include_usage":true}`) {
				t.Errorf("sent %s", body)
			}
			events(hello+stop+usage+done)(w, r)
		})
		g := over(t, p, p)
		if got, _, err := relayed(t, g, asked(t, "true", options)); got != want || !errors.Is(err, io.EOF) {
			t.Errorf("%v\n%s, want\n%s", err, got, want)
		}
		idle(t, g)
	}
}

// TestRelay_keys holds that a key which was revoked is used once, and never again
// while another one is there.
func TestRelay_keys(t *testing.T) {
	var used []string
	p := serve(t, openai.Config{Key: "revoked", Keys: []string{"sound"}}, func(w http.ResponseWriter, r *http.Request) {
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		used = append(used, key)
		if key == "revoked" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		events(hello+stop+done)(w, r)
	})
	g := over(t, p, p)
	for range 3 {
		if got, _, err := relayed(t, g, asked(t, "true", "")); got != hello+stop+done || !errors.Is(err, io.EOF) {
			t.Errorf("%v, %s", err, got)
		}
	}
	if got := strings.Join(used, " "); got != "revoked sound sound sound" {
		t.Errorf("the keys were used in this order: %s", got)
	}
	idle(t, g)
}

// TestRelay_continues holds that a server is called once for an answer that broke
// off, with the text so far as its last turn.
func TestRelay_continues(t *testing.T) {
	for way, flags := range map[openai.Continuation]bool{openai.Flags: true, openai.Prefill: false} {
		dead := serve(t, openai.Config{Continue: way}, events(role+hello))
		peer := serve(t, openai.Config{Continue: way}, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			turn := `{"role":"user","content":"why?"},{"role":"assistant","content":"Hello"}]`
			if !strings.Contains(string(body), turn) || flags != strings.Contains(string(body), `"continue_final_message":true`) {
				t.Errorf("%s: sent %s", way, body)
			}
			events(role+world+stop+done)(w, r)
		})
		g := over(t, dead, peer)
		call := asked(t, "true", "")
		call.Resume = true
		marked := strings.Replace(world, "{", `{"lanewise":{"resumed":"second"},`, 1)
		if got, _, err := relayed(t, g, call); got != role+hello+marked+stop+done || !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v\n%s", way, err, got)
		}
		idle(t, g)
	}
}
