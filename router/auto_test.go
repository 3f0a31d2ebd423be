package router_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/prompt"
	"github.com/lanewise/lanewise/llm/routes"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// noted is an embedder that remembers what it was asked for.
type noted struct {
	letters
	mu    sync.Mutex
	texts []string
}

func (n *noted) Embed(ctx context.Context, b embed.Batch) (embed.Vectors, error) {
	n.mu.Lock()
	n.texts = append(n.texts, b.Texts...)
	n.mu.Unlock()
	return n.letters.Embed(ctx, b)
}

// lane is an embedding lane over n, as programs have it.
func (n *noted) lane(t *testing.T) *embed.Embedder {
	t.Helper()
	e, err := embed.New(embed.Config{Upstreams: []embed.Upstream{{Name: "n", Provider: n}}, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// bySubject routes what is about a to one place and what is about b to another.
func bySubject(t *testing.T, e embed.Provider) *routes.Table {
	t.Helper()
	table, err := routes.New(routes.Config{
		Routes: []routes.Route{
			{Name: "a", Examples: []string{"aaaa"}, Threshold: 0.9, Target: llm.Target{Model: "small", Prompt: "terse"}},
			{Name: "b", Examples: []string{"bbbb"}, Threshold: 0.9, Target: llm.Target{Model: "large", Collection: "others"}},
		},
		Embed: func(ctx context.Context, texts []string) ([][]float32, error) {
			v, err := e.Embed(ctx, embed.Batch{Texts: texts, Task: embed.QueryTask})
			if err != nil {
				return nil, err
			}
			rows := make([][]float32, v.Rows())
			for i := range rows {
				rows[i] = v.Row(i)
			}
			return rows, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// routed is a router with two collections, two models and two templates, and routes between them.
func routed(t *testing.T, model llm.Provider) (*router.Router, *noted) {
	t.Helper()
	n := &noted{}
	e := n.lane(t)
	terse, err := prompt.Parse(prompt.Text{System: "Be terse."})
	if err != nil {
		t.Fatal(err)
	}
	r := newRouter(t, router.Config{
		Generator: model, Embedders: []embed.Provider{e}, Routes: bySubject(t, e).Pick, Prompts: map[string]*prompt.Template{"terse": terse},
	}, grid(t, 2, 1)...)
	for _, name := range []string{"texts", "others"} {
		create(t, r, search.Collection{Name: name})
		upsert(t, r, name, "", search.Point{Key: search.Key{ID: "in " + name}, Text: "aabb"})
	}
	return r, n
}

func TestAnswer_goesWhereItsSubjectLeads(t *testing.T) {
	for text, want := range map[string]struct{ route, model, id, system string }{
		"aaaaa": {"a", "small", "in texts", "Be terse."},
		"bbbbb": {"b", "large", "in others", ""},
		"aabb":  {"", "", "in texts", ""}, // 0.71 with both
	} {
		model := &scripted{chunks: []llm.Chunk{{Content: "yes", Finish: "stop"}}}
		r, n := routed(t, model)
		n.texts = nil
		q := ask(text)
		q.Model, q.Explain = llm.Auto, true
		s, err := r.Answer(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		a, err := s.All()
		if err != nil || len(a.Hits) != 1 || a.Hits[0].ID != want.id || model.prompt.Model != want.model {
			t.Errorf("%s: %v, hits %v, model %q; want %+v", text, err, a.Hits, model.prompt.Model, want)
		}
		if terse := model.prompt.Messages[0].Content == "Be terse."; terse != (want.system != "") {
			t.Errorf("%s: the prompt begins with %q", text, model.prompt.Messages[0].Content)
		}
		if got := a.Explain.Routing; got == nil || got.Route != want.route || len(got.Scores) != 2 || got.Scores[0].Score < got.Scores[1].Score {
			t.Errorf("%s: explained as %+v", text, got)
		}
		if a.Explain.Stages[0].Name != "route" {
			t.Errorf("%s: stages %v", text, a.Explain.Stages)
		}
		slices.Sort(n.texts)
		if !slices.Equal(n.texts, slices.Sorted(slices.Values([]string{"aaaa", "bbbb", text}))) {
			t.Errorf("%s: embedded %q, want the examples and the question once each", text, n.texts)
		}
		_ = s.Close()
	}
}

// A template that the request names holds, and without routes auto is a name like any other.
func TestAnswer_whatTheRequestSays(t *testing.T) {
	model := &scripted{chunks: []llm.Chunk{{Content: "yes", Finish: "stop"}}}
	r, _ := routed(t, model)
	q := ask("aaaa")
	q.Model, q.Prompt = llm.Auto, "default"
	s, err := r.Answer(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := s.All(); err != nil || model.prompt.Messages[0].Content == "Be terse." || a.Explain != nil || a.Routing == nil {
		t.Errorf("%v, %+v, the prompt begins with %q", err, a, model.prompt.Messages[0].Content)
	}
	_ = s.Close()

	r = answeringWith(t, router.Config{Generator: model}, map[string]string{"x": "aaaa"})
	q.Prompt = ""
	if s, err = r.Answer(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if a, err := s.All(); err != nil || model.prompt.Model != llm.Auto || a.Routing != nil {
		t.Errorf("%v, model %q, %+v", err, model.prompt.Model, a.Routing)
	}
	_ = s.Close()
}

func TestAnswer_routeIsMissing(t *testing.T) {
	broken := func(context.Context, string) (llm.Routing, error) {
		return llm.Routing{Route: "x", Target: llm.Target{Collection: "gone"}}, nil
	}
	r := answeringWith(t, router.Config{Generator: &scripted{}, Routes: broken}, nil)
	q := ask("aaaa")
	q.Model = llm.Auto
	if _, err := r.Answer(t.Context(), q); !errors.Is(err, fault.NotFound) {
		t.Errorf("a collection that is gone: %v", err)
	}
	r = answeringWith(t, router.Config{Generator: &scripted{}, Routes: func(ctx context.Context, _ string) (llm.Routing, error) {
		return llm.Routing{}, context.DeadlineExceeded
	}}, nil)
	if _, err := r.Answer(t.Context(), q); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no time: %v", err)
	}
}
