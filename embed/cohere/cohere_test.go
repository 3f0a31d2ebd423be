package cohere_test

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
	"github.com/lanewise/lanewise/embed/cohere"
	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// provider returns one of a server that gives the same answer to everything, and
// what the server was last sent.
func provider(t *testing.T, status int, answer string, c cohere.Config) (*cohere.Provider, *string, error) {
	t.Helper()
	var sent string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent = r.URL.Path + " " + string(body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(web.Close)
	c.URL, c.Model = web.URL, "embed-v4.0"
	p, err := cohere.New(t.Context(), c)
	if err == nil {
		t.Cleanup(func() { _ = p.Close() })
	}
	return p, &sent, err
}

const two = `{"id": "x", "embeddings": {"float": [[1, 2], [3, 4]]}, "texts": ["a", "b"],
	"meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 7}}}`

// TestEmbed_tellsTasksApart holds that the server is told what a text is.
func TestEmbed_tellsTasksApart(t *testing.T) {
	for _, c := range []struct {
		config cohere.Config
		task   embed.Task
		want   string
	}{
		{cohere.Config{}, embed.QueryTask, `"input_type":"search_query"`},
		{cohere.Config{}, embed.DocumentTask, `"input_type":"search_document"`},
		{cohere.Config{QueryType: "query", DocumentType: "passage"}, embed.QueryTask, `"input_type":"query"`},
		{cohere.Config{QueryType: "query", DocumentType: "passage"}, embed.DocumentTask, `"input_type":"passage"`},
	} {
		c.config.Dims = 2
		p, sent, err := provider(t, 200, two, c.config)
		if err != nil {
			t.Fatal(err)
		}
		v, err := p.Embed(t.Context(), embed.Batch{Texts: []string{"a", "b"}, Task: c.task})
		if err != nil || !slices.Equal(v.Data, []float32{1, 2, 3, 4}) || v.Tokens != 7 {
			t.Errorf("%+v, %v", v, err)
		}
		want := `/v2/embed {"model":"embed-v4.0","texts":["a","b"],` + c.want + `,"embedding_types":["float"],"truncate":"NONE"}`
		if *sent != want {
			t.Errorf("sent %s, want %s", *sent, want)
		}
	}
}

func TestNew_learnsDims(t *testing.T) {
	p, _, err := provider(t, 200, `{"embeddings": [[1, 2, 3]]}`, cohere.Config{Normalized: true, Revision: "r"}) // the older form
	if err != nil || p.Space() != (embed.Space{Model: "embed-v4.0", Revision: "r", Dims: 3, Normalized: true}) || p.Limits().Inputs != 96 {
		t.Errorf("%v, space %+v, limits %+v", err, p.Space(), p.Limits())
	}
	p, sent, err := provider(t, 200, two, cohere.Config{Dims: 2, SendDimensions: true, Limits: embed.Limits{Inputs: 5}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Embed(t.Context(), embed.Batch{Texts: []string{"a", "b"}})
	if err != nil || p.Limits().Inputs != 5 || !strings.Contains(*sent, `"output_dimension":2`) {
		t.Errorf("%v, limits %+v, sent %s", err, p.Limits(), *sent)
	}
	if _, _, err := provider(t, 401, `{"message": "invalid api token"}`, cohere.Config{}); !errors.Is(err, fault.Refused) {
		t.Errorf("a wrong key: %v", err)
	}
}

func TestNew_refuses(t *testing.T) {
	for field, c := range map[string]cohere.Config{
		"/model": {URL: "http://a"},
		"/url":   {Model: "m", Dims: 1},
		"/dims":  {URL: "http://a", Model: "m", Dims: -1},
	} {
		if _, err := cohere.New(t.Context(), c); !errors.Is(err, fault.Invalid) || fault.Field(err) != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := cohere.New(t.Context(), cohere.Config{URL: "http://a", Model: "m", SendDimensions: true}); fault.Field(err) != "/dims" {
		t.Errorf("dimensions without dims: %v", err)
	}
}

func TestEmbed_answers(t *testing.T) {
	for _, c := range []struct {
		status int
		answer string
		want   error
	}{
		{400, `{"message": "too many tokens: total length must be at most 512"}`, fault.Invalid},
		{429, `{"message": "trial key rate limit"}`, fault.Overloaded},
		{503, `{"message": "unavailable"}`, fault.Unavailable},
		{200, `{"embeddings": {"int8": [[1, 2], [3, 4]]}}`, fault.Unavailable},
		{200, `{"embeddings": [[1, 2]]}`, fault.Unavailable},
		{200, `{"embeddings": "AAAA"}`, fault.Unavailable},
		{200, `{"embeddings": [[1, 2], [3`, fault.Unavailable},
	} {
		p, _, err := provider(t, c.status, c.answer, cohere.Config{Dims: 2})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Embed(t.Context(), embed.Batch{Texts: []string{"a", "b"}}); !errors.Is(err, c.want) {
			t.Errorf("status %d, %s: %v, want %v", c.status, c.answer, err, c.want)
		}
	}
}

func TestEmbed_nothing(t *testing.T) {
	p, sent, err := provider(t, 500, "", cohere.Config{Dims: 2})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := p.Embed(t.Context(), embed.Batch{}); err != nil || v.Dims != 2 || *sent != "" {
		t.Errorf("%+v, %v, sent %q", v, err, *sent)
	}
}

func Example() {
	// Stands for Cohere.
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, two) }))
	defer web.Close()
	ctx := context.Background()
	p, err := cohere.New(ctx, cohere.Config{URL: web.URL, Model: "embed-v4.0", Dims: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close() //nolint:errcheck // never fails
	v, err := p.Embed(ctx, embed.Batch{Texts: []string{"a toll plaza", "a lane"}, Task: embed.DocumentTask})
	fmt.Println(p.Space().ID(), v.Row(1), v.Tokens, err)
	// Output: embed-v4.0-2-raw [3 4] 7 <nil>
}
