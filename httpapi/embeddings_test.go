package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
)

// lane embeds a text as its length and 4 times that, token ids as their number and
// sum, and keeps what it was asked.
type lane struct {
	err   error
	last  embed.Batch
	short bool
}

func (*lane) Space() embed.Space {
	return embed.Space{Model: "toll", Revision: "r1", Dims: 2, Normalized: true}
}

func (l *lane) Shortens() bool { return l.short }

func (l *lane) Embed(_ context.Context, b embed.Batch) (embed.Vectors, error) {
	l.last = b
	v := embed.Vectors{Dims: 2, Tokens: 3 * b.Len()}
	for _, text := range b.Texts {
		v.Data = append(v.Data, float32(len(text)), 4*float32(len(text)))
		if len(text) > 100 {
			v.Truncated = append(v.Truncated, len(v.Data)/2-1)
		}
	}
	for _, ids := range b.IDs {
		sum := uint32(0)
		for _, id := range ids {
			sum += id
		}
		v.Data = append(v.Data, float32(len(ids)), float32(sum))
	}
	return v, l.err
}

// embedded posts a body to a server of two lanes.
func embedded(t *testing.T, l *lane, body string) (status int, out embeddingsAnswer, raw string) {
	t.Helper()
	s := mustServer(t, Config{Store: newStore(t), Embedders: []embed.Provider{letters{}, l}})
	w := do(s, newRequest(http.MethodPost, "/v1/embeddings", body))
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("%s: %v in %s", body, err, w.Body)
	}
	if kind := w.Header().Get("Content-Type"); kind != "application/json" {
		t.Errorf("%s: content type %s", body, kind)
	}
	return w.Code, out, w.Body.String()
}

// embeddingsAnswer is an answer or an error, as a client reads it.
type embeddingsAnswer struct {
	Object string
	Data   []struct {
		Object    string
		Index     int
		Embedding json.RawMessage
	}
	Model     string
	Usage     struct{ Prompt_tokens, Total_tokens int } //nolint:revive // as on the wire
	Space     string
	Truncated []int
	Error     *struct {
		Message, Type string
		Param, Code   *string
	}
}

func TestEmbeddings_inputForms(t *testing.T) {
	for input, want := range map[string][]string{
		`"toll"`:          {`[4,16]`},
		`["a", "bb"]`:     {`[1,4]`, `[2,8]`},
		"\n [ \"a\"\t]":   {`[1,4]`},
		`[7, 8, 9]`:       {`[3,24]`},
		`[[7, 8], [9]]`:   {`[2,15]`, `[1,9]`},
		" [ [ 65535 ] ] ": {`[1,65535]`},
	} {
		status, out, raw := embedded(t, &lane{}, `{"model": "toll", "input": `+input+`, "user": "me", "unheard_of": {"x": 1}}`)
		if status != 200 || out.Object != "list" || len(out.Data) != len(want) || out.Model != "toll" || out.Space != "toll@r1-2" {
			t.Errorf("%s: %d %s", input, status, raw)
			continue
		}
		for i, d := range out.Data {
			if d.Object != "embedding" || d.Index != i || string(d.Embedding) != want[i] {
				t.Errorf("%s: %d: %+v, want %s", input, i, d, want[i])
			}
		}
		if out.Usage.Prompt_tokens != 3*len(want) || out.Usage.Total_tokens != 3*len(want) {
			t.Errorf("%s: usage %+v", input, out.Usage)
		}
	}
}

func TestEmbeddings_base64(t *testing.T) {
	_, out, _ := embedded(t, &lane{}, `{"model": "toll@r1-2", "input": "a", "encoding_format": "base64"}`)
	want := `"` + base64.StdEncoding.EncodeToString([]byte{0, 0, 128, 63, 0, 0, 128, 64}) + `"` // 1 and 4
	if got := string(out.Data[0].Embedding); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestEmbeddings_asks(t *testing.T) {
	many := `["` + strings.Repeat(`a", "`, fewInputs) + `a"]`
	for body, want := range map[string]embed.Batch{
		`"input": "a"`: {Task: embed.DocumentTask},
		`"input": "a", "input_type": "query", "dimensions": null`:                                 {Task: embed.QueryTask},
		`"input": "a", "input_type": "search_query", "dimensions": 2, "encoding_format": "float"`: {Task: embed.QueryTask},
		`"input": "a", "input_type": "passage"`:                                                   {Task: embed.DocumentTask},
		`"input": ` + many:                                                                        {Task: embed.DocumentTask, Bulk: true},
	} {
		l := &lane{}
		if status, _, raw := embedded(t, l, `{"model": "toll", `+body+`}`); status != 200 || l.last.Task != want.Task || l.last.Bulk != want.Bulk {
			t.Errorf("%s: %d %s; asked %+v", body, status, raw, l.last)
		}
	}
}

func TestEmbeddings_shortens(t *testing.T) {
	_, out, _ := embedded(t, &lane{short: true}, `{"model": "toll", "input": "abc", "dimensions": 1}`)
	if got := string(out.Data[0].Embedding); got != "[1]" {
		t.Errorf("shortened to %s, want a vector of length 1", got)
	}
	v := shorten(embed.Vectors{Dims: 3, Data: []float32{3, 4, 5, 0, 0, 1}}, 2, true)
	if want := []float32{0.6, 0.8, 0, 0}; !slices.Equal(v.Data, want) {
		t.Errorf("%v, want %v", v.Data, want)
	}
	if v := shorten(embed.Vectors{Dims: 3, Data: []float32{3, 4, 5}}, 2, false); !slices.Equal(v.Data, []float32{3, 4}) {
		t.Errorf("%v of vectors that have any length", v.Data)
	}
}

func TestEmbeddings_saysWhatWasTruncated(t *testing.T) {
	_, out, _ := embedded(t, &lane{}, `{"model": "toll", "input": ["a", "`+strings.Repeat("a", 101)+`"]}`)
	if !slices.Equal(out.Truncated, []int{1}) {
		t.Errorf("truncated %v", out.Truncated)
	}
}

// TestEmbeddings_errors holds that errors have the form that OpenAI's clients read.
func TestEmbeddings_errors(t *testing.T) {
	for _, c := range []struct {
		body, param, code, says string
		err                     error
		status                  int
	}{
		{`{"input": "a"}`, "model", "invalid", "is missing", nil, 400},
		{`{"model": "m", "input": "a"}`, "model", "model_not_found", `no embedding model "m"; known here: "letters", "toll"`, nil, 404},
		{`{"model": 1, "input": "a"}`, "model", "invalid", "must not be a number", nil, 400},
		{`{"model": "toll"}`, "input", "invalid", "must hold 1 to", nil, 400},
		{`{"model": "toll", "input": []}`, "input", "invalid", "must be a text", nil, 400},
		{`{"model": "toll", "input": {}}`, "input", "invalid", "must be a text", nil, 400},
		{`{"model": "toll", "input": ["a", 1]}`, "input", "invalid", "", nil, 400},
		{`{"model": "toll", "input": [1, -1]}`, "input", "invalid", "", nil, 400},
		{`{"model": "toll", "input": ["a", ""]}`, "input", "invalid", "is empty", nil, 400},
		{`{"model": "toll", "input": [[]]}`, "input", "invalid", "is empty", nil, 400},
		{`{"model": "toll", "input": "a", "encoding_format": "int8"}`, "encoding_format", "invalid", "", nil, 400},
		{`{"model": "toll", "input": "a", "input_type": "image"}`, "input_type", "invalid", "", nil, 400},
		{`{"model": "toll", "input": "a", "dimensions": 3}`, "dimensions", "invalid", "between 1 and 2", nil, 400},
		{`{"model": "toll", "input": "a", "dimensions": 1}`, "dimensions", "invalid", "cannot be shortened", nil, 400},
		{`{"model": "toll", `, "", "invalid", "JSON", nil, 400},
		{`{"model": "toll", "input": "a"}`, "", "invalid", "too long", fault.New(fault.Invalid, "too long"), 400},
		{`{"model": "toll", "input": "a"}`, "", "rate_limit_exceeded", "busy", fault.Busy(time.Second, "busy"), 429},
		{`{"model": "toll", "input": "a"}`, "", "refused", "key", fault.New(fault.Refused, "key"), 502},
		{`{"model": "toll", "input": "a"}`, "", "unavailable", "down", fault.New(fault.Unavailable, "down"), 503},
		{`{"model": "toll", "input": "a"}`, "", "", "deadline", context.DeadlineExceeded, 504},
		{`{"model": "toll", "input": "a"}`, "", "", "odd", errors.New("odd"), 500},
	} {
		status, out, raw := embedded(t, &lane{err: c.err}, c.body)
		kind := map[bool]string{true: "invalid_request_error", false: "server_error"}[status < 500]
		if status == 429 {
			kind = "rate_limit_error"
		}
		e := out.Error
		if status != c.status || e == nil || e.Type != kind || !strings.Contains(e.Message, c.says) || text(e.Param) != c.param || text(e.Code) != c.code {
			t.Errorf("%s, %v: %d %s", c.body, c.err, status, raw)
		}
		if !strings.Contains(raw, `"param":`) || !strings.Contains(raw, `"code":`) {
			t.Errorf("%s: param and code must be there: %s", c.body, raw)
		}
	}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// TestEmbeddings_errorsOutside holds the form for what is refused before the handler.
func TestEmbeddings_errorsOutside(t *testing.T) {
	s := mustServer(t, Config{Store: newStore(t), Embedders: []embed.Provider{letters{}}, Keys: []string{"k"}, MaxBody: 100})
	request := newRequest(http.MethodPost, "/v1/embeddings", `{"model": "letters", "input": "a"}`)
	if w := do(s, request); w.Code != 401 || !strings.Contains(w.Body.String(), `"code":"invalid_api_key"`) {
		t.Errorf("without a key: %d %s", w.Code, w.Body)
	}
	request = newRequest(http.MethodPost, "/v1/embeddings", fmt.Sprintf(`{"model": "letters", "input": %q}`, strings.Repeat("a", 200)))
	request.Header.Set("Authorization", "Bearer k")
	if w := do(s, request); w.Code != 413 || !strings.Contains(w.Body.String(), `{"error":{"message":`) {
		t.Errorf("too large: %d %s", w.Code, w.Body)
	}
}

func TestEmbeddings_needEmbedders(t *testing.T) {
	s := mustServer(t, Config{Store: newStore(t)})
	if w := do(s, newRequest(http.MethodPost, "/v1/embeddings", `{}`)); w.Code != 404 {
		t.Errorf("status %d without a lane", w.Code)
	}
}

// BenchmarkEmbeddings is what the surface adds to a lane, for 64 vectors of 256 dims.
func BenchmarkEmbeddings(b *testing.B) {
	v := embed.Vectors{Dims: 256, Data: make([]float32, 64*256)}
	for i := range v.Data {
		v.Data[i] = float32(i%251) / 1000
	}
	for _, form := range []string{"float", "base64"} {
		b.Run("form="+form, func(b *testing.B) {
			request := embeddingsRequest{Model: "m", Encoding: form}
			for b.Loop() {
				request.answer(embed.Space{}, v)
			}
		})
	}
}
