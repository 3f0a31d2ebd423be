package openai_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/embed/openai"
)

func Example() {
	// Stands for vLLM, TEI, Ollama or a hosted model.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"data": [{"index": 0, "embedding": [0.6, 0.8]}], "usage": {"total_tokens": 3}}`)
	}))
	defer server.Close()

	ctx := context.Background()
	p, err := openai.New(ctx, openai.Config{URL: server.URL, Model: "bge-small", Normalized: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close() //nolint:errcheck // never fails
	v, err := p.Embed(ctx, embed.Batch{Texts: []string{"a toll plaza"}, Task: embed.QueryTask})
	fmt.Println(p.Space().ID(), v.Row(0), v.Tokens, err)
	// Output: bge-small-2 [0.6 0.8] 3 <nil>
}
