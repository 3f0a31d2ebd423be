package openai_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/embed/openai"
	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call is the body of a call as the server sees it.
type call struct {
	Model      string   `json:"model"`
	Input      []string `json:"input"`
	Encoding   string   `json:"encoding_format"`
	Dimensions int      `json:"dimensions"`
	Type       string   `json:"input_type"`
}

// vectorOf is what the test server embeds a text as.
func vectorOf(text string) []float32 {
	return []float32{float32(len(text)), float32(text[len(text)-1]) / 256, -0.125}
}

func toBase64(v []float32) string {
	var raw []byte
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// server answers as OpenAI does, in reverse order, and keeps the last call.
func server(tb testing.TB, last *call) *httptest.Server {
	tb.Helper()
	var mu sync.Mutex // calls may come side by side
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var got call
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil || r.URL.Path != "/v1/embeddings" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		mu.Lock()
		*last = got
		mu.Unlock()
		var data []any
		for i, text := range slices.Backward(got.Input) {
			var v any = vectorOf(text)
			if got.Encoding == "base64" {
				v = toBase64(vectorOf(text))
			}
			data = append(data, map[string]any{"object": "embedding", "index": i, "embedding": v})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": data, "model": got.Model,
			"usage": map[string]any{"prompt_tokens": 5, "total_tokens": 5}})
	}))
	tb.Cleanup(s.Close)
	return s
}

func provider(tb testing.TB, c openai.Config) *openai.Provider {
	tb.Helper()
	c.Model = "m"
	p, err := openai.New(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = p.Close() })
	return p
}

func TestNew_refuses(t *testing.T) {
	for field, c := range map[string]openai.Config{
		"/model": {URL: "http://a"},
		"/url":   {Model: "m"},
		"/dims":  {URL: "http://a", Model: "m", Dims: -1},
	} {
		if _, err := openai.New(t.Context(), c); !errors.Is(err, fault.Invalid) || fault.Field(err) != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	_, err := openai.New(t.Context(), openai.Config{URL: "http://a", Model: "m", SendDimensions: true})
	if fault.Field(err) != "/dims" {
		t.Errorf("dimensions without dims: %v", err)
	}
}

func TestNew_learnsDims(t *testing.T) {
	var last call
	p := provider(t, openai.Config{URL: server(t, &last).URL, Revision: "r1", Normalized: true, QueryPrefix: "q: "})
	want := embed.Space{Model: "m", Revision: "r1", Dims: 3, Normalized: true, QueryPrefix: "q: "}
	if p.Space() != want || len(last.Input) != 1 {
		t.Errorf("space %+v, want %+v; asked for %q", p.Space(), want, last.Input)
	}
}

func TestNew_probeFails(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer s.Close()
	_, err := openai.New(t.Context(), openai.Config{URL: s.URL, Model: "m"})
	if !errors.Is(err, fault.Refused) || !strings.Contains(err.Error(), `learn the dims of "m"`) {
		t.Errorf("error %v", err)
	}
}

func TestEmbed_sends(t *testing.T) {
	var last call
	s := server(t, &last)
	p := provider(t, openai.Config{URL: s.URL, Dims: 3, SendDimensions: true, Base64: true, QueryPrefix: "q: ", DocumentPrefix: "d: "})
	if _, err := p.Embed(t.Context(), embed.Batch{Texts: []string{"a"}, Task: embed.QueryTask}); err != nil {
		t.Fatal(err)
	}
	if want := (call{"m", []string{"q: a"}, "base64", 3, ""}); fmt.Sprint(last) != fmt.Sprint(want) {
		t.Errorf("query: sent %v, want %v", last, want)
	}
	if _, err := p.Embed(t.Context(), embed.Batch{Texts: []string{"a", "b"}, Task: embed.DocumentTask}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"d: a", "d: b"}; !slices.Equal(last.Input, want) {
		t.Errorf("documents: sent %q, want %q", last.Input, want)
	}
	plain := provider(t, openai.Config{URL: s.URL, Dims: 3})
	if _, err := plain.Embed(t.Context(), embed.Batch{Texts: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	if want := (call{"m", []string{"a"}, "float", 0, ""}); fmt.Sprint(last) != fmt.Sprint(want) {
		t.Errorf("plain: sent %v, want %v", last, want)
	}
}

// TestEmbed_azure holds the form of a call to Azure: the deployment and the
// version in the URL, the key in a header of its own.
func TestEmbed_azure(t *testing.T) {
	var got *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		_, _ = io.WriteString(w, `{"data": [{"index": 0, "embedding": [1, 2, 3]}]}`)
	}))
	defer s.Close()
	p := provider(t, openai.Config{URL: s.URL + "/openai/deployments/small?api-version=2024-10-21", Key: "k", KeyHeader: "api-key", Dims: 3})
	if _, err := p.Embed(t.Context(), embed.Batch{Texts: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	if got.URL.String() != "/openai/deployments/small/embeddings?api-version=2024-10-21" ||
		got.Header.Get("Api-Key") != "k" || got.Header.Get("Authorization") != "" {
		t.Errorf("%s with %v", got.URL, got.Header)
	}
}

func TestEmbed_tokenIDs(t *testing.T) {
	var body string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		body = string(data)
		_, _ = io.WriteString(w, `{"data": [{"embedding": [1, 2, 3]}, {"embedding": [4, 5, 6]}]}`)
	}))
	defer s.Close()
	p := provider(t, openai.Config{URL: s.URL, Dims: 3, DocumentPrefix: "d: "})
	v, err := p.Embed(t.Context(), embed.Batch{IDs: [][]uint32{{1, 2}, {3}}})
	if err != nil || v.Rows() != 2 || body != `{"model":"m","input":[[1,2],[3]],"encoding_format":"float"}` {
		t.Errorf("%v, %d rows, sent %s", err, v.Rows(), body)
	}
}

func TestEmbed_inputType(t *testing.T) {
	var last call
	p := provider(t, openai.Config{URL: server(t, &last).URL, Dims: 3, QueryType: "query", DocumentType: "document"})
	for task, want := range map[embed.Task]string{embed.QueryTask: "query", embed.DocumentTask: "document"} {
		if _, err := p.Embed(t.Context(), embed.Batch{Texts: []string{"a"}, Task: task}); err != nil || last.Type != want {
			t.Errorf("%s: sent %q, %v", task, last.Type, err)
		}
	}
}

func TestEmbed_ordersRows(t *testing.T) {
	var last call
	s := server(t, &last)
	texts := []string{"a", "bb", "cccc"}
	for _, binary := range []bool{false, true} {
		v, err := provider(t, openai.Config{URL: s.URL, Dims: 3, Base64: binary}).Embed(t.Context(), embed.Batch{Texts: texts})
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range texts {
			if got, want := v.Row(i), vectorOf(text); !slices.Equal(got, want) {
				t.Errorf("base64 %v: row %d is %v, want %v", binary, i, got, want)
			}
		}
		if v.Rows() != 3 || v.Tokens != 5 {
			t.Errorf("base64 %v: %d rows, %d tokens", binary, v.Rows(), v.Tokens)
		}
	}
}

func TestEmbed_nothing(t *testing.T) {
	p := provider(t, openai.Config{URL: "http://127.0.0.1:1", Dims: 3})
	if v, err := p.Embed(t.Context(), embed.Batch{}); err != nil || v.Dims != 3 || v.Rows() != 0 {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestEmbed_answers feeds the answers that servers have been seen to give to a
// call with two texts.
func TestEmbed_answers(t *testing.T) {
	row := func(index int, v string) string { return fmt.Sprintf(`{"index": %d, "embedding": %s}`, index, v) }
	list := func(rows ...string) string { return `{"data": [` + strings.Join(rows, ", ") + `]}` }
	nan := `"` + toBase64([]float32{1, float32(math.NaN())}) + `"`
	for _, c := range []struct {
		name, body string
		want       []float32 // nil: refused as Unavailable
	}{
		{"plain", list(row(0, `[1, 2]`), row(1, `[3,4]`)), []float32{1, 2, 3, 4}},
		{"reversed", list(row(1, `[3, 4]`), row(0, `[1, 2]`)), []float32{1, 2, 3, 4}},
		{"odd spaces and numbers", list(row(0, "[ 1e0 ,\n\t2.0 ]"), row(1, `[3, 4E+0]`)), []float32{1, 2, 3, 4}},
		{"no index", list(`{"embedding": [1, 2]}`, `{"embedding": [3, 4]}`), []float32{1, 2, 3, 4}},
		{"base64 unasked", list(row(0, `"`+toBase64([]float32{1, 2})+`"`), row(1, `[3, 4]`)), []float32{1, 2, 3, 4}},
		{"tiny number", list(row(0, `[1e-60, 2]`), row(1, `[3, 4]`)), []float32{0, 2, 3, 4}},
		{"more fields", `{"object": "list", "x": {"data": 1}, "data": [` + row(0, `[1, 2]`) + `,` + row(1, `[3, 4]`) + `]}`, []float32{1, 2, 3, 4}},
		{"too few", list(row(0, `[1, 2]`)), nil},
		{"too many", list(row(0, `[1, 2]`), row(1, `[3, 4]`), row(2, `[5, 6]`)), nil},
		{"twice the same", list(row(0, `[1, 2]`), row(0, `[3, 4]`)), nil},
		{"index out of range", list(row(0, `[1, 2]`), row(2, `[3, 4]`)), nil},
		{"negative index", list(row(0, `[1, 2]`), row(-1, `[3, 4]`)), nil},
		{"other dims", list(row(0, `[1, 2, 3]`), row(1, `[3, 4, 5]`)), nil},
		{"ragged", list(row(0, `[1, 2]`), row(1, `[3]`)), nil},
		{"empty vector", list(row(0, `[]`), row(1, `[]`)), nil},
		{"null vector", list(row(0, `null`), row(1, `[3, 4]`)), nil},
		{"null number", list(row(0, `[1, null]`), row(1, `[3, 4]`)), nil},
		{"text in a vector", list(row(0, `[1, "2"]`), row(1, `[3, 4]`)), nil},
		{"nested", list(row(0, `[[1, 2]]`), row(1, `[[3, 4]]`)), nil},
		{"too big a number", list(row(0, `[1, 1e39]`), row(1, `[3, 4]`)), nil},
		{"NaN in base64", list(row(0, nan), row(1, `[3, 4]`)), nil},
		{"base64 of 3 bytes", list(row(0, `"AAAA"`), row(1, `[3, 4]`)), nil},
		{"no base64", list(row(0, `"!"`), row(1, `[3, 4]`)), nil},
		{"no data", `{}`, nil},
		{"cut off", `{"data": [{"index": 0, "embedding": [1, 2`, nil},
		{"an error with 200", `{"error": {"message": "loading"}}`, nil},
		{"TEI's own form", `[[1, 2], [3, 4]]`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.body) }))
			defer s.Close()
			v, err := provider(t, openai.Config{URL: s.URL, Dims: 2}).Embed(t.Context(), embed.Batch{Texts: []string{"a", "b"}})
			if c.want == nil {
				if !errors.Is(err, fault.Unavailable) {
					t.Errorf("got %v, %v; want Unavailable", v.Data, err)
				}
			} else if err != nil || !slices.Equal(v.Data, c.want) {
				t.Errorf("got %v, %v; want %v", v.Data, err, c.want)
			}
		})
	}
}

func TestEmbed_boundsTheAnswer(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"data": [{"embedding": [1, 2], "x": "`)
		block := strings.Repeat("x", 64<<10)
		for r.Context().Err() == nil { // endless, until the client hangs up
			if _, err := io.WriteString(w, block); err != nil {
				return
			}
		}
	}))
	defer s.Close()
	_, err := provider(t, openai.Config{URL: s.URL, Dims: 2}).Embed(t.Context(), embed.Batch{Texts: []string{"a"}})
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("error %v", err)
	}
}

func TestLimits(t *testing.T) {
	if got := provider(t, openai.Config{URL: "http://a", Dims: 1}).Limits(); got != (embed.Limits{Inputs: 2048, Tokens: 300_000}) {
		t.Errorf("default limits %+v", got)
	}
	mine := embed.Limits{Inputs: 32, Bytes: 2 << 20}
	if got := provider(t, openai.Config{URL: "http://a", Dims: 1, Limits: mine}).Limits(); got != mine {
		t.Errorf("limits %+v, want %+v", got, mine)
	}
}

// BenchmarkEmbed measures a call on a real socket, parsing included.
func BenchmarkEmbed(b *testing.B) {
	for _, form := range []string{"float", "base64"} {
		b.Run("form="+form+"/texts=64/dims=256", func(b *testing.B) {
			v := make([]float32, 256)
			for i := range v {
				v[i] = float32(math.Sin(float64(i)))
			}
			var embedding any = v
			if form == "base64" {
				embedding = toBase64(v)
			}
			var data []any
			for i := range 64 {
				data = append(data, map[string]any{"index": i, "embedding": embedding})
			}
			body, err := json.Marshal(map[string]any{"data": data})
			if err != nil {
				b.Fatal(err)
			}
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
			defer s.Close()
			p := provider(b, openai.Config{URL: s.URL, Dims: 256})
			batch := embed.Batch{Texts: slices.Repeat([]string{"a"}, 64)}
			for b.Loop() {
				if _, err := p.Embed(context.Background(), batch); err != nil { //nolint:usetesting // b.Context ends the loop
					b.Fatal(err)
				}
			}
		})
	}
}
