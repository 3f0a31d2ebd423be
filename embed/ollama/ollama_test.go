package ollama_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/embed/ollama"
	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// provider returns one of a server that gives the same answer to everything, and
// what the server was last sent.
func provider(t *testing.T, status int, answer string, c ollama.Config) (*ollama.Provider, *string, error) {
	t.Helper()
	var sent string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent = r.URL.Path + " " + string(body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(web.Close)
	c.URL, c.Model = web.URL, "nomic-embed-text"
	p, err := ollama.New(t.Context(), c)
	if err == nil {
		t.Cleanup(func() { _ = p.Close() })
	}
	return p, &sent, err
}

const two = `{"model": "nomic-embed-text", "embeddings": [[0.6, 0.8], [1, 0]], "total_duration": 14143917, "prompt_eval_count": 8}`

func TestEmbed(t *testing.T) {
	p, sent, err := provider(t, 200, two, ollama.Config{Dims: 2, SendDimensions: true, DocumentPrefix: "search_document: "})
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.Embed(t.Context(), embed.Batch{Texts: []string{"a", "b"}, Task: embed.DocumentTask})
	if err != nil || !slices.Equal(v.Data, []float32{0.6, 0.8, 1, 0}) || v.Tokens != 8 {
		t.Errorf("%+v, %v", v, err)
	}
	want := `/api/embed {"model":"nomic-embed-text","input":["search_document: a","search_document: b"],"truncate":false,"dimensions":2}`
	if *sent != want {
		t.Errorf("sent %s, want %s", *sent, want)
	}
	if v, err := p.Embed(t.Context(), embed.Batch{}); err != nil || v.Dims != 2 {
		t.Errorf("nothing: %+v, %v", v, err)
	}
}

func TestNew_learnsDims(t *testing.T) {
	p, sent, err := provider(t, 200, `{"embeddings": [[1, 2, 3]]}`, ollama.Config{Limits: embed.Limits{Inputs: 9}})
	if err != nil || p.Space() != (embed.Space{Model: "nomic-embed-text", Dims: 3, Normalized: true}) || !strings.Contains(*sent, `["dimensions"]`) {
		t.Errorf("%v, space %+v, sent %s", err, p.Space(), *sent)
	}
	if p.Limits().Inputs != 9 {
		t.Errorf("limits %+v", p.Limits())
	}
	if _, _, err := provider(t, 404, `{"error": "model not found, try pulling it first"}`, ollama.Config{}); !errors.Is(err, fault.Unavailable) ||
		!strings.Contains(err.Error(), "pulling it first") {
		t.Errorf("a model that is not there: %v", err)
	}
}

func TestNew_refuses(t *testing.T) {
	for field, c := range map[string]ollama.Config{
		"/model": {URL: "http://a"},
		"/url":   {Model: "m", Dims: 1},
		"/dims":  {URL: "http://a", Model: "m", Dims: -1},
	} {
		if _, err := ollama.New(t.Context(), c); !errors.Is(err, fault.Invalid) || fault.Field(err) != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := ollama.New(t.Context(), ollama.Config{URL: "http://a", Model: "m", SendDimensions: true}); fault.Field(err) != "/dims" {
		t.Errorf("dimensions without dims: %v", err)
	}
}

func TestEmbed_answers(t *testing.T) {
	for _, c := range []struct {
		status int
		answer string
		want   error
	}{
		{400, `{"error": "the input length exceeds the context length"}`, fault.Invalid},
		{404, `{"error": "model not found"}`, fault.Unavailable},
		{500, `{"error": "llama runner process has terminated"}`, fault.Unavailable},
		{200, `{"error": "loading"}`, fault.Unavailable},
		{200, `{"embeddings": [[1, 2]]}`, fault.Unavailable},
		{200, `{"embeddings": [[1], [2]]}`, fault.Unavailable},
		{200, `{"embeddings": [[1, 2], [3`, fault.Unavailable},
		{200, `{}`, fault.Unavailable},
	} {
		p, _, err := provider(t, c.status, c.answer, ollama.Config{Dims: 2})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Embed(t.Context(), embed.Batch{Texts: []string{"a", "b"}}); !errors.Is(err, c.want) {
			t.Errorf("status %d, %s: %v, want %v", c.status, c.answer, err, c.want)
		}
	}
}

func Example() {
	// Stands for an Ollama server.
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, two) }))
	defer web.Close()
	ctx := context.Background()
	p, err := ollama.New(ctx, ollama.Config{URL: web.URL, Model: "nomic-embed-text", Dims: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close() //nolint:errcheck // never fails
	v, err := p.Embed(ctx, embed.Batch{Texts: []string{"a toll plaza", "a lane"}, Task: embed.QueryTask})
	fmt.Println(p.Space().ID(), v.Row(0), v.Tokens, err)
	// Output: nomic-embed-text-2 [0.6 0.8] 8 <nil>
}
