package openaiwire_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/openaiwire"
)

// answers are error answers as servers really send them, and their class.
var answers = []struct {
	name   string
	status int
	body   string
	want   fault.Class
	says   string // in the error's text
}{
	{"openai rate", 429, `{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}`, fault.Overloaded, "Rate limit reached (rate_limit_exceeded)"},
	{"openai quota", 429, `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`, fault.Refused, "current quota"},
	{"quota in the type only", 429, `{"error":{"message":"m","type":"insufficient_quota","code":null}}`, fault.Refused, ""},
	{"openai key", 401, `{"error":{"message":"Incorrect API key provided: ` + key + `","type":"invalid_request_error","code":"invalid_api_key"}}`, fault.Refused, "provided: [key]"},
	{"key as 400", 400, `{"error":{"message":"bad","code":"invalid_api_key"}}`, fault.Refused, ""},
	{"country", 403, `{"error":{"message":"not supported","code":"unsupported_country_region_territory"}}`, fault.Refused, ""},
	{"payment", 402, ``, fault.Refused, "status 402: no message"},
	{"openai model", 404, `{"error":{"message":"The model does not exist","type":"invalid_request_error","code":"model_not_found"}}`, fault.Unavailable, "does not exist"},
	{"model as 400", 400, `{"error":{"message":"m","code":"model_not_found"}}`, fault.Unavailable, ""},
	{"openai context", 400, `{"error":{"message":"maximum context length is 8192","type":"invalid_request_error","code":"context_length_exceeded"}}`, fault.Invalid, "8192"},
	{"vllm context", 400, `{"error":{"message":"This model's maximum context length is 2048","type":"BadRequestError","param":null,"code":400}}`, fault.Invalid, "2048"},
	{"vllm flat", 400, `{"object":"error","message":"bad","type":"BadRequestError","param":null,"code":400}`, fault.Invalid, "bad"},
	{"vllm missing model", 404, `{"error":{"message":"The model x does not exist.","type":"NotFoundError","code":404}}`, fault.Unavailable, ""},
	{"tei too long", 413, `{"message":"Payload too large","code":413,"type":"Validation"}`, fault.Invalid, "Payload too large"},
	{"tei batch", 422, `{"message":"batch size 64 > maximum allowed batch size 32","code":422,"type":"Validation"}`, fault.Invalid, "batch size"},
	{"tei backend", 424, `{"message":"backend","code":424,"type":"Backend"}`, fault.Unavailable, ""},
	{"tei overloaded", 429, `{"message":"Model is overloaded","code":429,"type":"Overloaded"}`, fault.Overloaded, ""},
	{"anthropic overloaded", 529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, fault.Overloaded, "Overloaded"},
	{"anthropic credit", 400, `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}`, fault.Refused, ""},
	{"anthropic key", 401, `{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}`, fault.Refused, ""},
	{"ollama", 404, `{"error":"model \"x\" not found, try pulling it first"}`, fault.Unavailable, "try pulling"},
	{"azure", 429, `{"error":{"code":"429","message":"Requests have exceeded call rate limit"}}`, fault.Overloaded, ""},
	{"a proxy's page", 502, "<html>\n<h1>502 Bad\tGateway</h1>", fault.Unavailable, "<html> <h1>502 Bad Gateway</h1>"},
	{"not JSON with 400", 400, "bad request", fault.Invalid, "bad request"},
	{"nothing", 500, "", fault.Unavailable, "status 500: no message"},
	{"broken UTF-8", 500, "a\xffb", fault.Unavailable, "a?b"},
	{"timeout", 408, "", fault.Unavailable, ""},
	{"wrong method", 405, "", fault.Unavailable, ""},
	{"unavailable", 503, `{"error":{"message":null}}`, fault.Unavailable, ""},
	{"an empty list", 500, `[]`, fault.Unavailable, ""},
	{"a number as error", 500, `{"error": 5}`, fault.Unavailable, ""},
	{"long", 500, strings.Repeat("x", 100_000), fault.Unavailable, "xxx…"},
	{"accepted", 202, ``, fault.Unavailable, "202"},
}

func TestPost_classifies(t *testing.T) {
	for _, a := range answers {
		t.Run(a.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(a.status)
				_, _ = io.WriteString(w, a.body)
			})
			_, err := c.Post(t.Context(), "/chat/completions", 1) //nolint:bodyclose // an error has no body
			if got := fault.Of(err); got != a.want {
				t.Errorf("class %q, want %q: %v", got, a.want, err)
			}
			text := err.Error()
			if !strings.Contains(text, a.says) || !strings.Contains(text, "/v1/chat/completions") {
				t.Errorf("says %q, without %q", text, a.says)
			}
			if strings.Contains(text, key) || len(text) > 500 || strings.ContainsAny(text, "\n\t") {
				t.Errorf("not fit to be shown: %q", text)
			}
		})
	}
}

func TestPost_retryAfter(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	_, err := c.Post(t.Context(), "/x", 1) //nolint:bodyclose // an error has no body
	if got := fault.RetryAfter(err); got != 7*time.Second {
		t.Errorf("wait %v, want 7s", got)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		header map[string]string
		want   time.Duration
	}{
		{"none", nil, 0},
		{"seconds", map[string]string{"Retry-After": "20"}, 20 * time.Second},
		{"parts of a second", map[string]string{"Retry-After": "0.5"}, 500 * time.Millisecond},
		{"date", map[string]string{"Retry-After": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30 * time.Second},
		{"past date", map[string]string{"Retry-After": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0},
		{"milliseconds win", map[string]string{"Retry-After": "20", "Retry-After-Ms": "1500"}, 1500 * time.Millisecond},
		{"azure", map[string]string{"X-Ms-Retry-After-Ms": "250"}, 250 * time.Millisecond},
		{"bad milliseconds", map[string]string{"Retry-After": "3", "Retry-After-Ms": "soon"}, 3 * time.Second},
		{"zero", map[string]string{"Retry-After": "0"}, 0},
		{"negative", map[string]string{"Retry-After": "-5"}, 0},
		{"nonsense", map[string]string{"Retry-After": "later"}, 0},
		{"not a number", map[string]string{"Retry-After": "NaN"}, 0},
		{"infinite", map[string]string{"Retry-After": "Inf"}, time.Hour},
		{"too far", map[string]string{"Retry-After": "1e300"}, time.Hour},
		{"far date", map[string]string{"Retry-After": "Sun, 01 Mar 2099 12:00:00 GMT"}, time.Hour},
	} {
		h := http.Header{}
		for k, v := range c.header {
			h.Set(k, v)
		}
		if got := openaiwire.RetryAfter(h, now); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestStreamFault(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) {})
	for _, e := range []struct {
		event, data string
		want        fault.Class
	}{
		{"", `{"choices":[]}`, ""},
		{"", `{"error":null,"choices":[]}`, ""},
		{"", `{"error":{"message":"boom","code":500}}`, fault.Unavailable},
		{"", `{"error":{"message":"slow","code":"rate_limit_exceeded"}}`, fault.Overloaded},
		{"error", `{"type":"error","error":{"type":"overloaded_error","message":"m"}}`, fault.Overloaded},
		{"error", `out of memory`, fault.Unavailable},
		{"", `out of memory`, ""},
	} {
		err := c.StreamFault("/x", e.event, []byte(e.data))
		if fault.Of(err) != e.want || (err == nil) != (e.want == "") {
			t.Errorf("%s %s: %v, want class %q", e.event, e.data, err, e.want)
		}
	}
}

// FuzzFault holds that no answer makes a panic or an error without a class, and
// that none gets the key into an error.
func FuzzFault(f *testing.F) {
	for _, a := range answers {
		f.Add(a.status, []byte(a.body))
	}
	for _, o := range overlong {
		f.Add(o.status, []byte(o.body))
	}
	c, err := openaiwire.New(openaiwire.Config{URL: "http://a", Key: key})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		err := c.Fault("/x", &http.Response{StatusCode: status, Header: http.Header{}}, body)
		var typed *fault.Error
		var long *fault.WindowError
		if !errors.As(err, &typed) && !errors.As(err, &long) || fault.Of(err) == "" || strings.Contains(err.Error(), key) {
			t.Errorf("error %v", err)
		}
	})
}

// overlong are the words of servers for a prompt that does not fit, and the window they name.
var overlong = []struct {
	name   string
	status int
	body   string
	limit  int // -1: it is no such error
}{
	{"openai", 400, `{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.","code":"context_length_exceeded"}}`, 8192},
	{"openai, by the code alone", 400, `{"error":{"message":"Your input exceeds it.","code":"context_length_exceeded"}}`, 0},
	{"vllm", 400, `{"error":{"message":"This model's maximum context length is 2048 tokens. However, you requested 3000 tokens (2900 in the messages, 100 in the completion).","type":"BadRequestError","code":400}}`, 2048},
	{"vllm, newer", 400, `{"error":{"message":"You passed 8193 input tokens and requested 0 output tokens. However, the model's context length is only 8192 tokens.","type":"BadRequestError","code":400}}`, 8192},
	{"sglang", 400, `{"object":"error","message":"The input (9000 tokens) is longer than the model's context length (8192 tokens).","type":"BadRequestError","code":400}`, 8192},
	{"tgi", 422, "{\"error\":\"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens\",\"error_type\":\"validation\"}", 4096},
	{"llama.cpp", 400, `{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":5000,"n_ctx":4096}}`, 4096},
	{"anthropic", 400, `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}`, 200000},
	{"anthropic, with the answer", 400, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease it\"}}", 200000},
	{"no figure", 400, `{"error":{"message":"Prompt is too long.","type":"x"}}`, 0},
	{"another field", 400, `{"error":{"message":"temperature must be at most 2","type":"invalid_request_error"}}`, -1},
	{"a server that broke", 500, `{"error":{"message":"maximum context length is 8192"}}`, -1},
	{"an empty account", 400, `{"error":{"message":"credit balance: prompt is too long","type":"invalid_request_error"}}`, -1},
}

func TestPost_tellsPromptsThatAreTooLong(t *testing.T) {
	for _, o := range overlong {
		t.Run(o.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(o.status)
				_, _ = io.WriteString(w, o.body)
			})
			_, err := c.Post(t.Context(), "/chat/completions", 1) //nolint:bodyclose // an error has no body
			var long *fault.WindowError
			switch found := errors.As(err, &long); {
			case found != (o.limit >= 0):
				t.Errorf("found %v: %v", found, err)
			case found && (long.Limit != o.limit || !errors.Is(err, fault.Invalid)):
				t.Errorf("limit %d, want %d; class %q", long.Limit, o.limit, fault.Of(err))
			}
		})
	}
}

func TestStreamFault_tellsPromptsThatAreTooLong(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) {})
	err := c.StreamFault("/x", "", []byte(`{"error":{"message":"maximum context length is 512 tokens","type":"x"}}`))
	var long *fault.WindowError
	if !errors.As(err, &long) || long.Limit != 512 || fault.Elsewhere(err) {
		t.Errorf("error %v", err)
	}
}
