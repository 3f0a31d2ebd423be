package httpapi

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/embed/bm25"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// letters embeds a text as the numbers of its a's and b's.
type letters struct{}

func (letters) Space() embed.Space { return embed.Space{Model: "letters", Dims: 2} }

func (letters) Embed(_ context.Context, b embed.Batch) (embed.Vectors, error) {
	v := embed.Vectors{Dims: 2}
	for _, text := range b.Texts {
		v.Data = append(v.Data, float32(strings.Count(text, "a")), float32(strings.Count(text, "b")))
	}
	return v, nil
}

// script is a generator that says its lines and then ends with err.
type script struct {
	lines  []string
	err    error
	hold   chan struct{} // if set: said before the last line is asked for, until the context ends
	closed chan struct{} // if set: closed with the stream
}

type scriptStream struct {
	*script
	ctx  context.Context
	next int
}

func (s *script) Generate(ctx context.Context, _ llm.Prompt) (llm.Stream, error) {
	return &scriptStream{script: s, ctx: ctx}, nil
}

func (s *scriptStream) Next() (llm.Chunk, error) {
	if s.next == len(s.lines) {
		if s.hold != nil {
			close(s.hold)
			<-s.ctx.Done()
			return llm.Chunk{}, s.ctx.Err()
		}
		if s.err != nil {
			return llm.Chunk{}, s.err
		}
		return llm.Chunk{}, io.EOF
	}
	s.next++
	c := llm.Chunk{Content: s.lines[s.next-1], Model: "script"}
	if s.next == len(s.lines) {
		c.Finish, c.Usage = "stop", &llm.Usage{PromptTokens: 20, CompletionTokens: len(s.lines)}
	}
	return c, nil
}

func (s *scriptStream) Close() error {
	if s.closed != nil {
		close(s.closed)
	}
	return nil
}

// newRouter makes a router over two local stores with a collection "docs" of
// three points in the space of letters.
func newRouter(tb testing.TB, g llm.Provider) *router.Router {
	tb.Helper()
	c := router.Config{Embedders: []embed.Provider{letters{}}, Reranker: lengths{}, Lexicon: lexicon, Generator: g}
	for _, name := range []string{"s0", "s1"} {
		c.Shards = append(c.Shards, router.Shard{Name: name, Replicas: []router.Replica{{Name: "r0", Store: newStore(tb)}}})
	}
	r, err := router.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close() })
	if _, err := r.CreateCollection(tb.Context(), search.Collection{Name: "docs"}); err != nil {
		tb.Fatal(err)
	}
	_, err = r.Upsert(tb.Context(), router.Upsert{Collection: "docs", Points: []search.Point{
		{Key: search.Key{ID: "one"}, Text: "aaa", Meta: []byte(`{"year":2020}`)},
		{Key: search.Key{ID: "two"}, Text: "abb", Meta: []byte(`{"year":2021}`)},
		{Key: search.Key{ID: "path/to/three"}, Text: "b", Meta: []byte(`{"year":2022}`)},
	}})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func lexicon(c search.Collection) (router.Lexicon, error) {
	return bm25.New(bm25.Config{Language: c.Language, AvgLen: c.AvgLen})
}

func newStore(tb testing.TB) *local.Store {
	tb.Helper()
	s, err := local.Open(local.Config{Path: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// mustServer returns a server.
func mustServer(t *testing.T, c Config) *server {
	t.Helper()
	s, err := newServer(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// faked returns a server of a router whose searches are answered by f.
func faked(t *testing.T, f func(ctx context.Context, q router.Request) (router.Response, error)) *server {
	t.Helper()
	s := mustServer(t, Config{Router: newRouter(t, nil)})
	s.retrieve = f
	return s
}

// failing answers every search with err.
func failing(t *testing.T, err error) *server {
	t.Helper()
	return faked(t, func(context.Context, router.Request) (router.Response, error) { return router.Response{}, err })
}

// newRequest makes a request with a JSON body, or none.
func newRequest(method, path, body string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8080"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// do sends a request to a handler in memory.
func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const anySearch = `{"collection": "docs", "text": "a"}`
